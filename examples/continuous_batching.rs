//! An engine with a device of its own that serves many requests: they join when a place is free and leave when they have
//! finished, three steps are always in flight, and nothing waits for a token on its way to the next step. What one client
//! asks wrongly ends nobody else's request.
//!
//! `cargo run --release --no-default-features --features wgpu --example continuous_batching`

#![expect(clippy::print_stdout, reason = "an example")]

use std::collections::VecDeque;

use sortilege::wgpu;
use sortilege::{
    Dtype, GpuLogits, GpuOutput, Histories, Kernels, Pending, Request, Row, Sample, SampleBuffers, Sampler,
    SamplingParams,
};

use toy::{Model, VOCAB};

mod toy;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const PLACES: u32 = 4;
const REQUESTS: u32 = 10;
/// Steps that are recorded before the first of them is waited for.
const IN_FLIGHT: usize = 3;
const MOST_TOKENS: u64 = 40;

/// What a client asks: parameters, and where its text begins.
fn asked(number: u32) -> (SamplingParams, u32) {
    let mut params = SamplingParams { seed: Some(number.into()), ..SamplingParams::default() };
    (params.temperature, params.top_p) = (0.8, 0.95);
    params.max_tokens = Some(MOST_TOKENS - 3 * u64::from(number));
    params.stop_token_ids = (0..VOCAB).step_by(50).collect();
    if number.is_multiple_of(2) {
        (params.repetition_penalty, params.frequency_penalty) = (1.1, 0.5);
    }
    match number {
        // What is refused at once, in the first step, and by the row itself.
        3 => params.temperature = -1.0,
        5 => params.stop_token_ids.push(VOCAB),
        7 => (params.allowed_token_ids, params.bad_words) = (Some(vec![9]), vec![vec![9]]),
        _ => {}
    }
    (params, number)
}

/// A request in its place.
struct Running {
    number: u32,
    request: Request,
    place: u32,
    /// Of the token that is drawn next: it counts steps, not what came back.
    position: u64,
}

/// A step on its way, and whose rows it has.
struct Flight {
    samples: Pending<Sample>,
    numbers: Vec<u32>,
}

struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    model: Model,
    sampler: Sampler,
    histories: Histories,
}

impl Engine {
    async fn new() -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
        let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
        let model = Model::new(&device, PLACES);
        let sampler = Sampler::new(&device, &queue)?;
        // Compiles the kernels for these logits, once.
        sampler.prepare_async(Kernels::Sample, Dtype::F32).await?;
        sampler.prepare_async(Kernels::Histories, Dtype::F32).await?;
        // For requests that look at their tokens, or may end, while they run ahead of the host.
        let histories = sampler.histories(2 * PLACES as usize, 128)?;
        Ok(Self { device, queue, model, sampler, histories })
    }

    /// The text of a request begins in its place.
    fn join(&self, place: u32, token: u32) {
        self.queue.write_buffer(&self.model.tokens, u64::from(place) * 4, bytemuck::bytes_of(&token));
    }

    /// The model and the draw of all that run, in one encoder. Rows are without gaps; where each one's logits lie, and where
    /// its token goes, say the offsets.
    fn step(&self, running: &mut [Running]) -> sortilege::Result<Flight> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.model.forward(&mut encoder);
        let places: Vec<u64> = running.iter().map(|running| running.place.into()).collect();
        let starts: Vec<u64> = places.iter().map(|place| place * u64::from(VOCAB)).collect();
        let packed = GpuLogits::packed(&self.model.logits, Dtype::F32, running.len(), VOCAB as usize);
        let logits = GpuLogits { row_offsets: &starts, ..packed };
        let buffers = SampleBuffers {
            tokens: Some(GpuOutput::new(&self.model.tokens)),
            token_offsets: &places,
            histories: Some(&self.histories),
            ..SampleBuffers::default()
        };
        let rows: Vec<Row<'_>> =
            running.iter().map(|running| running.request.row(running.position)).collect();
        let samples = self.sampler.sample(&mut encoder, &logits, &rows, &buffers)?;
        drop(rows);
        self.queue.submit([encoder.finish()]);
        running.iter_mut().for_each(|running| running.position += 1);
        Ok(Flight { samples, numbers: running.iter().map(|running| running.number).collect() })
    }
}

/// Serves all requests, and gives the tokens of each, or why it has none.
async fn serve(engine: &Engine) -> Result<Vec<Result<Vec<u32>, String>>> {
    let mut waiting = 0..REQUESTS;
    let mut free: Vec<u32> = (0..PLACES).collect();
    let (mut running, mut in_flight) = (Vec::<Running>::new(), VecDeque::<Flight>::new());
    let mut texts = vec![Ok(Vec::new()); REQUESTS as usize];
    loop {
        // 1. who waits joins where a place is free
        while let Some(&place) = free.last()
            && let Some(number) = waiting.next()
        {
            let (params, first) = asked(number);
            match Request::new(params) {
                Ok(request) => {
                    free.pop();
                    engine.join(place, first);
                    running.push(Running { number, request, place, position: 0 });
                }
                Err(error) => texts[number as usize] = Err(error.to_string()),
            }
        }
        // 2. the next step; rows of requests that have finished unseen draw nothing there
        if !running.is_empty() {
            match engine.step(&mut running) {
                Ok(flight) => in_flight.push_back(flight),
                // Nothing was submitted: the others' step comes without the one that is at fault.
                Err(error) => {
                    let Some(row) = error.row() else { return Err(error.into()) };
                    let left = running.swap_remove(row);
                    texts[left.number as usize] = Err(error.to_string());
                    free.push(left.place);
                    continue;
                }
            }
        }
        // 3. the oldest step, once enough are on their way
        if in_flight.len() < IN_FLIGHT && !running.is_empty() {
            continue;
        }
        let Some(Flight { samples, numbers }) = in_flight.pop_front() else { return Ok(texts) };
        for (number, sample) in numbers.into_iter().zip(samples.await?) {
            let Some(at) = running.iter().position(|running| running.number == number) else {
                continue; // it has left
            };
            running[at].request.accept(&sample)?;
            let is_without_token = sample.token().is_none() && sample.finish_reason.is_none();
            if is_without_token || running[at].request.finish_reason().is_some() {
                let left = running.swap_remove(at);
                texts[number as usize] = match is_without_token {
                    true => Err(format!("a row without a token: {}", sample.status.name())),
                    false => Ok(left.request.output().to_vec()),
                };
                free.push(left.place);
            }
        }
    }
}

fn main() -> Result<()> {
    pollster::block_on(async {
        let engine = Engine::new().await?;
        for (number, text) in serve(&engine).await?.iter().enumerate() {
            match text {
                Ok(text) => println!("request {number}: {} tokens, {text:?}", text.len()),
                Err(why) => println!("request {number} is refused: {why}"),
            }
        }
        Ok(())
    })
}

/// Who else is in the batch, when somebody joins, and how late the host hears of it changes no token.
#[test]
fn every_text_is_that_of_its_request_alone() {
    use sortilege::{Cpu, Engine as _, Logits, SampleInputs};

    let texts = pollster::block_on(async { serve(&Engine::new().await?).await }).expect("served");
    let refused: Vec<&str> =
        texts.iter().filter_map(|text| text.as_ref().err().map(String::as_str)).collect();
    let [temperature, stop_token, nothing] = refused[..] else { panic!("{refused:?}") };
    assert!(temperature.contains("temperature -1"), "{temperature}");
    assert!(stop_token.contains("token 1000 of stop_token_ids"), "{stop_token}");
    assert_eq!(nothing, "a row without a token: nothing_finite");
    let texts: Vec<(u32, &Vec<u32>)> =
        (0..).zip(&texts).filter_map(|(number, text)| Some((number, text.as_ref().ok()?))).collect();
    for &(number, text) in &texts {
        let (params, mut token) = asked(number);
        let mut request = Request::new(params).expect("in range");
        while request.finish_reason().is_none() {
            let logit = |i: u32| {
                let mixed = token.wrapping_mul(2_654_435_761) ^ i.wrapping_mul(2_246_822_519);
                f32::from(u16::try_from((mixed >> 7) & 1023).expect("ten bits")) / 64.0
            };
            let logits: Vec<f32> = (0..VOCAB).map(logit).collect();
            let logits = Logits::f32(&logits, 1, VOCAB as usize).expect("a row");
            let row = request.row(request.output().len() as u64);
            let sample = Cpu.sample(&logits, &[row], &SampleInputs::default()).expect("a sample").remove(0);
            request.accept(&sample).expect("in turn");
            token = sample.token().unwrap_or(token);
        }
        assert_eq!(text, request.output(), "request {number}");
    }
    let at_length =
        |(number, text): &(u32, &Vec<u32>)| asked(*number).0.max_tokens == Some(text.len() as u64);
    let longest = texts.iter().filter(|text| at_length(text)).count();
    assert!(
        longest > 0 && longest < texts.len(),
        "{longest} of {} end by their length, others by a stop token",
        texts.len()
    );
}
