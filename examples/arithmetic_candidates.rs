//! The measurement behind section 11 of `docs/exact.md`: the integer arithmetic against the float one, on every adapter.
//!
//! `cargo run --release --example arithmetic_candidates`. (a) is the arithmetic of this crate. (b) takes two isolated float
//! multiplications: `q = u32(trunc((m − x) · 2^20) · c)`, `mantissa = u32(A[q >> 10 & 1023] · B[q & 1023])`. Everything
//! around them, the sums and the delegates, is the same kernel text.
#![expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measurement that prints its result"
)]

use std::error::Error;
use std::time::Instant;

use sortilege::device::{Gpu, candidates};
use sortilege::wgpu::{self, util::DeviceExt};
use sortilege::{Logits, Params, cpu, oracle};

const KERNEL: &str = include_str!("../shaders/tile_stats.wgsl");
const LIBRARIES: &str = concat!(
    include_str!("../shaders/lib/format.wgsl"),
    include_str!("../shaders/lib/words.wgsl"),
    include_str!("../shaders/lib/logits.wgsl")
);
const INTEGERS: &str = include_str!("../shaders/lib/exact.wgsl");

const ROWS: u32 = 64;
const VOCAB: u32 = 128_256;

fn main() -> Result<(), Box<dyn Error>> {
    errors();
    for (name, (kernel, arithmetic)) in [("(a) integers", sources(false)), ("(b) floats", sources(true))] {
        println!("{name}: {} SPIR-V instructions per token", instructions_per_token(&kernel, &arithmetic)?);
    }
    for candidate in candidates(true).into_iter().filter(|candidate| candidate.unfit.is_none()) {
        let id = candidate.id.clone();
        let gpu = Gpu::open(candidate)?;
        let mut times = [false, true].map(|floats| Run::new(&gpu, floats));
        let (mut a, mut b): (Vec<f64>, Vec<f64>) =
            (0..15).map(|_| (times[0].once(), times[1].once())).unzip();
        let (a, b) = (median(&mut a), median(&mut b));
        println!(
            "{id}: (a) {:.2} ns, (b) {:.2} ns per token, ratio {:.2}",
            per_token(a),
            per_token(b),
            a / b
        );
    }
    Ok(())
}

/// Kernel and arithmetic of a candidate.
fn sources(floats: bool) -> (String, String) {
    if !floats {
        return (KERNEL.to_owned(), INTEGERS.to_owned());
    }
    let kernel = KERNEL
        .replace("array<u32, 1024>", "array<f32, 2048>")
        .replace("table_copy[i] = table[i]", "table_copy[i] = bitcast<f32>(table[i])")
        .replace("i < 1024u", "i < 2048u")
        .replace(
            "mantissa(table_copy[table_index(octaves)], octaves)",
            "u32(table_copy[(octaves >> 10u) & 1023u] * table_copy[1024u + (octaves & 1023u)])",
        );
    // q has 20 fraction bits here.
    let arithmetic = INTEGERS
        .replace(
            "mul_high(distance << 2u, batch.rate)",
            "u32(trunc((bitcast<f32>(max_bits) - bitcast<f32>(bits)) * 1048576.0) * bitcast<f32>(batch.rate))",
        )
        .replace("    let distance = fixed(max_bits, batch.shift) - fixed(bits, batch.shift);\n", "")
        .replace("octaves >> 24u", "octaves >> 20u")
        .replace("octaves << 1u", "octaves << 5u");
    (kernel, arithmetic)
}

/// Arithmetic instructions that naga writes for the weight of one token: mantissa and placement, without surprisal.
fn instructions_per_token(kernel: &str, arithmetic: &str) -> Result<usize, Box<dyn Error>> {
    let expression = if kernel.contains("table_index(octaves)") {
        "mantissa(table_copy[table_index(octaves)], octaves)"
    } else {
        "u32(table_copy[(octaves >> 10u) & 1023u] * table_copy[1024u + (octaves & 1023u)])"
    };
    let element = if expression.starts_with("u32") { "f32" } else { "u32" };
    let source = format!(
        "@group(0) @binding(0) var<uniform> chunk: Chunk;
         @group(0) @binding(1) var<storage, read> table_copy: array<{element}, 2048>;
         @group(0) @binding(2) var<storage, read_write> sum: vec2<u32>;
         @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) bits: u32) {{
            let octaves = octaves_below(chunk.vocab, bits);
            if octaves != FAR {{ sum = add64(sum, weight({expression}, octaves)); }}
         }}\n{LIBRARIES}{arithmetic}"
    );
    let module = naga::front::wgsl::parse_str(&source)?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let info = validator.validate(&module)?;
    let constants = naga::back::PipelineConstants::default();
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)?;
    let words = naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None)?;

    // Functions by id, with their arithmetic instructions and the functions they call.
    let mut functions: Vec<(u32, usize, Vec<u32>)> = Vec::new();
    let mut entry = 0;
    let mut place = 5; // past the header
    while place < words.len() {
        let (opcode, length) = (words[place] & 0xffff, (words[place] >> 16) as usize);
        match opcode {
            15 => entry = words[place + 2],                          // OpEntryPoint
            54 => functions.push((words[place + 2], 0, Vec::new())), // OpFunction
            57 => functions.last_mut().ok_or("a call outside a function")?.2.push(words[place + 3]), // OpFunctionCall
            109..=205 => functions.last_mut().ok_or("an operation outside a function")?.1 += 1, // conversions to bits
            _ => {}
        }
        place += length;
    }
    fn total(id: u32, functions: &[(u32, usize, Vec<u32>)]) -> usize {
        let Some((_, own, calls)) = functions.iter().find(|(function, ..)| *function == id) else { return 0 };
        own + calls.iter().map(|&call| total(call, functions)).sum::<usize>()
    }
    Ok(total(entry, &functions))
}

/// A candidate's kernel with its buffers.
struct Run<'a> {
    gpu: &'a Gpu,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl<'a> Run<'a> {
    fn new(gpu: &'a Gpu, floats: bool) -> Self {
        let device = gpu.device();
        let (kernel, arithmetic) = sources(floats);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(format!("{kernel}{LIBRARIES}{arithmetic}").into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let tiles = VOCAB.div_ceil(4096);
        let rate = if floats { std::f32::consts::LOG2_E.to_bits() } else { 1_549_082_005 };
        let batch = [VOCAB, tiles, 0, ROWS, 0, VOCAB, 0, 0, 24, rate, 24f32.to_bits(), 0];
        let logits: Vec<f32> =
            (0..ROWS * VOCAB).map(|i| (i.wrapping_mul(2_654_435_761) >> 12) as f32 / 50_000.0).collect();
        let table: Vec<u32> = (0..2048u32)
            .map(|i| {
                let power =
                    if i < 1024 { 31.0 - f64::from(i) / 1024.0 } else { -f64::from(i - 1024) / 1_048_576.0 };
                if floats { (power.exp2() as f32).to_bits() } else { power.exp2() as u32 }
            })
            .collect();
        let none = vec![u32::MAX; ROWS as usize];
        let contents: [(&[u8], wgpu::BufferUsages); 4] = [
            (bytemuck::cast_slice(&batch), wgpu::BufferUsages::UNIFORM),
            (bytemuck::cast_slice(&logits), wgpu::BufferUsages::STORAGE),
            (bytemuck::cast_slice(&none), wgpu::BufferUsages::STORAGE),
            (bytemuck::cast_slice(&table), wgpu::BufferUsages::STORAGE),
        ];
        let mut buffers: Vec<wgpu::Buffer> = contents
            .map(|(contents, usage)| {
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage })
            })
            .into();
        for words in [8, 64] {
            buffers.push(device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: u64::from(ROWS * tiles * words * 4),
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }));
        }
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(&buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &entries,
        });
        Self { gpu, pipeline, group }
    }

    /// Seconds of one pass, from submit to done.
    fn once(&mut self) -> f64 {
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups(VOCAB.div_ceil(4096), ROWS, 1);
        }
        let start = Instant::now();
        self.gpu.queue().submit([encoder.finish()]);
        self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device finishes");
        start.elapsed().as_secs_f64()
    }
}

/// Error of the log-sum-exp of rows with one token at 0 and 3000 at one distance, the hardest rows: nothing averages out.
fn errors() {
    let c = std::f32::consts::LOG2_E;
    let (mut worst_a, mut worst_b) = (0.0f64, 0.0f64);
    for step in 0..2000 {
        let x = -(step as f32) * 0.0079;
        let mut row = vec![x; 3001];
        row[0] = 0.0;
        let truth = oracle::truth(&row, 1.0).expect("a distribution").logsumexp;
        let logits = Logits::f32(&row, 1, row.len()).expect("a row");
        let a = cpu::record(&logits, &Params::default(), &[]).expect("a record")[0].logsumexp;
        let q = ((0.0 - x) * 1_048_576.0).trunc() * c;
        let q = q as u32;
        let high = (31.0 - f64::from(q >> 10 & 1023) / 1024.0).exp2() as f32;
        let low = (-f64::from(q & 1023) / 1_048_576.0).exp2() as f32;
        let weight = ((u64::from((high * low) as u32)) << 19) >> (q >> 20).min(63);
        let mass = (1u64 << 50) + 3000 * weight;
        let b = (mass as f64 / (50f64).exp2()).ln();
        worst_a = worst_a.max((a - truth).abs());
        worst_b = worst_b.max((b - truth).abs());
    }
    println!("worst error of the log-sum-exp: (a) {worst_a:.1e}, (b) {worst_b:.1e}");
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn per_token(seconds: f64) -> f64 {
    seconds * 1e9 / f64::from(ROWS * VOCAB)
}
