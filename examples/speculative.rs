//! Speculative decoding: a draft model draws a few tokens ahead on the device, the target model sees them all in one pass, and
//! one call says how many are accepted; the output has the target's distribution. Says for each kind of verification how
//! many tokens a pass of the target gives.
//!
//! `cargo run --release --example speculative`

#![expect(clippy::print_stdout, clippy::cast_possible_truncation, reason = "an example of small sizes")]

use sortilege::device::Gpu;
use sortilege::wgpu::{self, BufferUsages};
use sortilege::{
    DraftTokens, Dtype, GpuInput, GpuLogits, GpuOutput, Pending, Request, Row, Sample, SampleBuffers,
    SamplingParams, Verification, Verified,
};

const SEQUENCES: usize = 4;
const DRAFTED: usize = 4;
/// Of each sequence a row after its last token, and one after each draft token.
const ROWS: usize = SEQUENCES * (DRAFTED + 1);
const VOCAB: usize = 256;
const TOKENS: usize = 64;

/// Two "models", whose logits are a function of the last token: the target, and a draft that is a little off. The draft's
/// probabilities are those of its draws, at temperature 1 and without filters.
const MODELS: &str = "
@group(0) @binding(0) var<storage, read> tokens: array<u32>;                      // [rows]
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;                // [rows][vocab]
@group(0) @binding(2) var<storage, read_write> draft_logits: array<f32>;          // [rows][vocab]
@group(0) @binding(3) var<storage, read_write> draft_probabilities: array<f32>;   // [rows][vocab]

var<workgroup> weights: array<f32, 256>;

fn noise(row: u32, token: u32, salt: u32) -> f32 {
    let mixed = (tokens[row] * 2654435761u) ^ (token * 2246822519u) ^ (salt * 3266489917u);
    return f32(((mixed * 668265263u) >> 9u) & 1023u) / 1024.0;
}

@compute @workgroup_size(256)
fn target_model(@builtin(workgroup_id) row: vec3<u32>, @builtin(local_invocation_index) token: u32) {
    logits[row.x * 256u + token] = 12.0 * noise(row.x, token, 0u);
}

@compute @workgroup_size(256)
fn draft_model(@builtin(workgroup_id) row: vec3<u32>, @builtin(local_invocation_index) token: u32) {
    let logit = 12.0 * noise(row.x, token, 0u) + 2.0 * noise(row.x, token, 1u);
    weights[token] = exp(logit);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < 256u; i++) { sum += weights[i]; }
    draft_logits[row.x * 256u + token] = logit;
    draft_probabilities[row.x * 256u + token] = weights[token] / sum;
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = Gpu::any()?;
    let engine = Engine::new(&gpu);
    for verification in [Verification::SampleAndMatch, Verification::Rejection, Verification::Block] {
        let (requests, passes) = decode(&engine, verification)?;
        let tokens: usize = requests.iter().map(|request| request.output().len()).sum();
        let first: Vec<String> = requests[0].output().iter().take(12).map(u32::to_string).collect();
        println!(
            "{verification:?}: {:.2} tokens of a sequence for a pass of the target; the first one begins {} ...",
            tokens as f64 / (passes * SEQUENCES) as f64,
            first.join(" ")
        );
    }
    Ok(())
}

/// The requests when each has at least so many tokens, and how often the target model ran for that.
fn decode(engine: &Engine<'_>, verification: Verification) -> sortilege::Result<(Vec<Request>, usize)> {
    // The target's requests may ask for anything.
    let params = |sequence: usize| SamplingParams {
        seed: Some(sequence as u64),
        presence_penalty: 0.5,
        max_tokens: Some(TOKENS as u64),
        ..SamplingParams::default()
    };
    // The draft's have a temperature, a seed and a stream alone: so `draft_probabilities` are what they draw from, nothing
    // in them waits for a token, and they never finish.
    let drafting = |sequence: usize, stream| SamplingParams {
        seed: Some(sequence as u64),
        stream,
        ..SamplingParams::default()
    };
    let mut requests: Vec<Request> =
        (0..SEQUENCES).map(|sequence| Request::new(params(sequence))).collect::<Result<_, _>>()?;
    let mut drafters: Vec<Request> =
        (0..SEQUENCES).map(|sequence| Request::new(drafting(sequence, 0))).collect::<Result<_, _>>()?;
    let mut passes = 0;
    while requests.iter().any(|request| request.finish_reason().is_none()) {
        if verification == Verification::Block {
            // No position is drawn again with the numbers of a token that a block dropped.
            for (sequence, drafter) in drafters.iter_mut().enumerate() {
                drafter.set_params(drafting(sequence, 1 + passes as u32))?;
            }
        }
        engine.begin(&requests);
        let steps: Vec<Pending<Sample>> =
            (0..DRAFTED).map(|step| engine.draft(&drafters, step)).collect::<Result<_, _>>()?;
        let steps: Vec<Vec<Sample>> = steps.into_iter().map(Pending::wait).collect::<Result<_, _>>()?;
        let drafted: Vec<Vec<u32>> = (0..SEQUENCES)
            .map(|sequence| steps.iter().map(|samples| samples[sequence].draws[0].token).collect())
            .collect();
        let drafts: Vec<DraftTokens<'_>> = requests
            .iter()
            .zip(&drafted)
            .map(|(request, tokens)| {
                DraftTokens::new(request, request.output().len() as u64, tokens, verification)
            })
            .collect::<Result<_, _>>()?;
        let rows: Vec<Row<'_>> = drafts.iter().flat_map(DraftTokens::rows).collect();
        let samples = engine.verify(&rows)?.wait()?;
        let verified: Vec<Verified<'_>> = drafts
            .iter()
            .zip(samples.chunks(DRAFTED + 1))
            .map(|(draft, samples)| draft.verify(samples))
            .collect();
        for ((request, drafter), verified) in requests.iter_mut().zip(&mut drafters).zip(&verified) {
            for sample in &verified.samples {
                request.accept(sample)?;
                drafter.accept_token(sample.draws[0].token);
            }
        }
        passes += 1;
    }
    Ok((requests, passes))
}

/// What an engine has: its device, two models, its buffers.
struct Engine<'a> {
    gpu: &'a Gpu,
    target: wgpu::ComputePipeline,
    draft: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    tokens: wgpu::Buffer,
    logits: wgpu::Buffer,
    draft_logits: wgpu::Buffer,
    draft_probabilities: wgpu::Buffer,
}

impl<'a> Engine<'a> {
    fn new(gpu: &'a Gpu) -> Self {
        let device = gpu.device();
        let buffer = |values: usize| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: values as u64 * 4,
                usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let tokens = buffer(ROWS);
        let [logits, draft_logits, draft_probabilities] = [(); 3].map(|()| buffer(ROWS * VOCAB));
        let entry = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, true), entry(1, false), entry(2, false), entry(3, false)],
        });
        let buffers = [&tokens, &logits, &draft_logits, &draft_probabilities];
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &entries,
        });
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("models"),
            source: wgpu::ShaderSource::Wgsl(MODELS.into()),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            bind_group_layouts: &[Some(&layout)],
            ..wgpu::PipelineLayoutDescriptor::default()
        });
        let [target, draft] = ["target_model", "draft_model"].map(|name| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(name),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        });
        Self { gpu, target, draft, bindings, tokens, logits, draft_logits, draft_probabilities }
    }

    /// Writes each sequence's last token to its first row.
    fn begin(&self, requests: &[Request]) {
        for (sequence, request) in requests.iter().enumerate() {
            let last = request.output().last().copied().unwrap_or(sequence as u32);
            self.gpu.queue().write_buffer(&self.tokens, first_row(sequence) as u64 * 4, &last.to_ne_bytes());
        }
    }

    /// Draws the next draft token of each sequence, to where the target and the next step of the draft read it.
    fn draft(&self, drafters: &[Request], step: usize) -> sortilege::Result<Pending<Sample>> {
        let mut encoder = self.run(&self.draft);
        let here: Vec<u64> = (0..SEQUENCES).map(|sequence| (first_row(sequence) + step) as u64).collect();
        let row_offsets: Vec<u64> = here.iter().map(|row| row * VOCAB as u64).collect();
        let token_offsets: Vec<u64> = here.iter().map(|row| row + 1).collect();
        let logits = GpuLogits {
            row_offsets: &row_offsets,
            ..GpuLogits::packed(&self.draft_logits, Dtype::F32, SEQUENCES, VOCAB)
        };
        let position = |drafter: &Request| (drafter.output().len() + step) as u64;
        let rows: Vec<Row<'_>> = drafters.iter().map(|drafter| drafter.row(position(drafter))).collect();
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput::new(&self.tokens)),
            token_offsets: &token_offsets,
            ..SampleBuffers::default()
        };
        let pending = self.gpu.sampler().sample(&mut encoder, &logits, &rows, &buffers)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(pending)
    }

    /// Runs the target on all draft tokens, and verifies them.
    fn verify(&self, rows: &[Row<'_>]) -> sortilege::Result<Pending<Sample>> {
        let mut encoder = self.run(&self.target);
        let logits = GpuLogits::packed(&self.logits, Dtype::F32, ROWS, VOCAB);
        let draft = Some(GpuInput::new(&self.draft_probabilities));
        let buffers = SampleBuffers { draft, ..SampleBuffers::default() };
        let pending = self.gpu.sampler().sample(&mut encoder, &logits, rows, &buffers)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(pending)
    }

    /// The start of a step: a model reads the tokens of all rows.
    fn run(&self, model: &wgpu::ComputePipeline) -> wgpu::CommandEncoder {
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(model);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(ROWS as u32, 1, 1);
        drop(pass);
        encoder
    }
}

fn first_row(sequence: usize) -> usize {
    sequence * (DRAFTED + 1)
}
