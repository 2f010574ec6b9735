//! An engine's decode loop: 64 steps without a wait between them. The tokens stay on the GPU, where the next step's model
//! reads them and the sampler keeps them for penalties, DRY and Mirostat; the samples arrive later, and are the same as when
//! every step is waited for.
//!
//! `cargo run --release --example decode_loop`

#![expect(clippy::print_stdout, clippy::cast_possible_truncation, reason = "an example of small sizes")]

use std::time::Instant;

use sortilege::device::Gpu;
use sortilege::wgpu;
use sortilege::{
    Dry, Dtype, GpuLogits, GpuOutput, Histories, Kernels, Mirostat, Request, Row, Sample, SampleBuffers,
    SamplingParams,
};

use toy::{Model, VOCAB};

mod toy;

const ROWS: usize = 4;
const STEPS: u64 = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = Gpu::any()?;
    let engine = Engine { gpu: &gpu, model: Model::new(gpu.device(), ROWS as u32) };
    let requests: Vec<Request> = (0..ROWS).map(request).collect::<Result<_, _>>()?;

    // Compiles the kernels, once. (A software device gains nothing by running ahead.)
    gpu.sampler().prepare(Kernels::Sample, Dtype::F32)?;
    gpu.sampler().prepare(Kernels::Histories, Dtype::F32)?;
    let start = Instant::now();
    engine.reset();
    let (mut waited, mut accepted) = (Vec::new(), requests.clone());
    for position in 0..STEPS {
        let samples = engine.step(&accepted, position, None)?.wait()?;
        for (request, sample) in accepted.iter_mut().zip(&samples) {
            request.accept(sample)?;
        }
        waited.push(samples);
    }
    let with_waits = start.elapsed();

    let histories = gpu.sampler().histories(ROWS, STEPS as usize)?;
    let start = Instant::now();
    engine.reset();
    let in_flight: Vec<_> = (0..STEPS)
        .map(|position| engine.step(&requests, position, Some(&histories)))
        .collect::<Result<_, _>>()?;
    let samples: Vec<Vec<Sample>> =
        in_flight.into_iter().map(|step| step.wait()).collect::<Result<_, _>>()?;
    let without_waits = start.elapsed();

    assert_eq!(samples, waited, "the same samples");
    for row in 0..ROWS {
        let tokens: Vec<String> = samples.iter().map(|step| step[row].draws[0].token.to_string()).collect();
        println!("request {row}: {}", tokens.join(" "));
    }
    println!(
        "{STEPS} steps on {}: {with_waits:.1?} with waits, {without_waits:.1?} without",
        gpu.info().name
    );
    Ok(())
}

/// Requests of which each looks at its tokens in another way, but for the first.
fn request(row: usize) -> sortilege::Result<Request> {
    let mut params = SamplingParams {
        temperature: 0.8,
        top_p: 0.95,
        seed: Some(row as u64),
        raw_logprobs: Some(3),
        ..SamplingParams::default()
    };
    match row {
        1 => (params.repetition_penalty, params.frequency_penalty) = (1.1, 0.5),
        2 => (params.dry, params.bad_words) = (Some(Dry::default()), vec![vec![7, 8]]),
        3 => params.mirostat = Some(Mirostat { tau: 4.0, eta: 0.1 }),
        _ => {}
    }
    Request::new(params)
}

/// What an engine has: its device, and a model with its buffers.
struct Engine<'a> {
    gpu: &'a Gpu,
    model: Model,
}

impl Engine<'_> {
    /// Every request starts at its own token.
    fn reset(&self) {
        let first: Vec<u32> = (0..ROWS as u32).collect();
        self.gpu.queue().write_buffer(&self.model.tokens, 0, bytemuck::cast_slice(&first));
    }

    /// One step of all requests: the model reads the tokens and writes the logits, the sampler reads these and writes
    /// the tokens; one submit.
    fn step(
        &self,
        requests: &[Request],
        position: u64,
        histories: Option<&Histories>,
    ) -> sortilege::Result<sortilege::Pending<Sample>> {
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.model.forward(&mut encoder);
        let logits = GpuLogits::packed(&self.model.logits, Dtype::F32, ROWS, VOCAB as usize);
        let rows: Vec<Row<'_>> = requests.iter().map(|request| request.row(position)).collect();
        let tokens = Some(GpuOutput::new(&self.model.tokens));
        let buffers = SampleBuffers { tokens, histories, ..SampleBuffers::default() };
        let pending = self.gpu.sampler().sample(&mut encoder, &logits, &rows, &buffers)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(pending)
    }
}
