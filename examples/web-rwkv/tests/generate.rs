//! What is drawn where web-rwkv's logits lie is what the CPU engine draws from their download: tokens and whole samples. And
//! what goes wrong is told.

use std::time::Instant;

use half::f16;
use rwkv_engine::engine::{Batch, CHUNK, Engine, Head, place};
use rwkv_engine::{requests, weights};
use sortilege::wgpu::{self, BufferUsages};
use sortilege::{
    Cpu, Engine as _, GpuLogits, Logits, Request, Sample, SampleBuffers, SampleInputs, SamplingParams,
};
use web_rwkv::runtime::infer::{Rnn, RnnInput, RnnInputBatch, RnnOption};
use web_rwkv::runtime::v7::Bundle;
use web_rwkv::runtime::{Job, SimpleRuntime};
use web_rwkv::tensor::kind::{ReadWrite, Uniform};
use web_rwkv::tensor::{TensorGpu, TensorInitContext};

const STEPS: u64 = 60;

fn engine() -> Engine {
    Engine::new(&weights::file(1).expect("weights"), requests::COUNT).expect("an engine")
}

fn batch(engine: &Engine) -> Batch {
    let prompts = requests::prompts(engine.vocab);
    let requests = requests::requests(&prompts, STEPS).expect("in range");
    Batch::new(engine, &prompts, requests).expect("a batch")
}

/// What the CPU engine draws from a padded row in host memory.
fn on_host(row: &[f32], vocab: usize, request: &Request) -> Sample {
    let logits = Logits::f32(&row[..vocab], 1, vocab).expect("a row");
    let row = request.row(request.output().len() as u64);
    Cpu.sample(&logits, &[row], &SampleInputs::default()).expect("a sample").remove(0)
}

/// The same of all rows, downloaded as web-rwkv does.
fn by_download(head: Head, engine: &Engine, batch: &Batch) -> Vec<Sample> {
    let output = pollster::block_on(head.job.back()).expect("a download");
    let row = |&sequence: &usize| on_host(&output[sequence], engine.vocab, &batch.requests[sequence]);
    head.sequences.iter().map(row).collect()
}

/// The tokens of web-rwkv's own loop, without a hook: each step waits for its logits in host memory.
fn by_web_rwkv(engine: &Engine) -> Vec<Vec<u32>> {
    let prompts = requests::prompts(engine.vocab);
    let mut requests = requests::requests(&prompts, STEPS).expect("in range");
    let bundle = Bundle::<f16>::new(engine.model.clone(), requests::COUNT);
    let runtime = SimpleRuntime::<_, Rnn, _>::new(bundle);
    let sequences = prompts.into_iter().map(|prompt| RnnInputBatch::new(prompt, RnnOption::Last));
    let mut input = RnnInput::new(sequences.collect(), CHUNK);
    while input.num_token() > 0 {
        let (rest, output) = pollster::block_on(runtime.infer(input)).expect("a step");
        input = rest;
        for (sequence, row) in output.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            let sample = on_host(row, engine.vocab, &requests[sequence]);
            requests[sequence].accept(&sample).expect("in turn");
            if sample.finish_reason.is_none() {
                input.batches[sequence].push(sample.draws[0].token);
            }
        }
    }
    requests.iter().map(|request| request.output().to_vec()).collect()
}

#[test]
fn tokens_and_samples_are_those_of_a_download() {
    let (engine, start) = (engine(), Instant::now());
    let mut batch = batch(&engine);
    let (mut rows, mut steps) = (0, 0);
    while !batch.is_finished() {
        let Some(head) = engine.forward(&mut batch).expect("a step") else { continue };
        let samples = engine.draw(&head, &batch).expect("recorded").wait().expect("samples");
        let sequences = head.sequences.clone();
        assert_eq!(samples, by_download(head, &engine, &batch), "step {steps}");
        batch.accept(&sequences, &samples).expect("tokens");
        (rows, steps) = (rows + samples.len(), steps + 1);
    }
    assert_eq!(rows, requests::COUNT * STEPS as usize);
    let tokens: Vec<_> = batch.requests.iter().map(|request| request.output().to_vec()).collect();
    assert_eq!(tokens, by_web_rwkv(&engine));
    eprintln!("{rows} tokens and samples equal in {steps} steps, {:.1?}", start.elapsed());
}

/// What is drawn from rows that lie so.
fn draw(engine: &Engine, logits: &GpuLogits<'_>, requests: &[Request]) -> sortilege::Result<Vec<Sample>> {
    let rows: Vec<_> = requests.iter().map(|request| request.row(0)).collect();
    let mut encoder = engine.context.device.create_command_encoder(&Default::default());
    let pending = engine.sampler.sample(&mut encoder, logits, &rows, &SampleBuffers::default())?;
    engine.context.queue.submit([encoder.finish()]);
    pending.wait()
}

/// The comparison sees rows that are taken to lie without padding, and another seed.
#[test]
fn what_is_drawn_otherwise_is_seen() {
    let engine = engine();
    let all = batch(&engine);
    let prompts: Vec<_> = requests::prompts(engine.vocab).into_iter().take(3).collect();
    let mut batch = Batch::new(&engine, &prompts, all.requests[..3].to_vec()).expect("a batch");
    let head = engine.forward(&mut batch).expect("a step").expect("three rows");
    let logits = place(&head.logits, engine.vocab).expect("a place");
    let in_place = draw(&engine, &logits, &batch.requests).expect("samples");
    let packed = GpuLogits { row_stride: engine.vocab, ..logits };
    let packed = draw(&engine, &packed, &batch.requests).expect("samples");
    let mut others = batch.requests.clone();
    let seed = Some(99);
    others[1] = Request::new(SamplingParams { seed, ..others[1].params().clone() }).expect("in range");
    let reseeded = draw(&engine, &logits, &others).expect("samples");

    let expected = by_download(head, &engine, &batch);
    assert_eq!(in_place, expected);
    assert_eq!(packed[0], expected[0], "the first row lies at 0 either way");
    assert!(packed[1..].iter().zip(&expected[1..]).all(|(sample, expected)| sample != expected));
    assert_eq!(reseeded[2], expected[2]);
    assert_ne!(reseeded[1], expected[1]);
}

#[test]
fn what_cannot_be_is_told() {
    let engine = engine();
    let all = batch(&engine);
    let says = |outcome: anyhow::Result<()>, words: &str| {
        let message = format!("{:#}", outcome.expect_err(words));
        assert!(message.contains(words), "{message}");
    };
    let batch = |prompts: &[Vec<u32>]| {
        Batch::new(&engine, prompts, all.requests.iter().cycle().take(prompts.len()).cloned().collect())
    };
    says(batch(&vec![vec![1]; 9]).map(drop), "9 sequences, where the engine has states for 8");
    says(batch(&[vec![1], vec![4099]]).map(drop), "token 4099 in a prompt, where the vocabulary has 4099");
    says(Batch::new(&engine, &[vec![1]], vec![]).map(drop), "1 prompts and 0 requests");
    says(
        engine.forward(&mut batch(&[vec![]]).expect("a batch")).map(drop),
        "no sequence has a token to read",
    );
    says(Engine::new(b"no file", 1).map(drop), "the model");

    // Buffers that do not fit, told before anything is recorded.
    let try_draw = |logits: &GpuLogits<'_>| {
        draw(&engine, logits, &all.requests[..logits.rows]).map(drop).map_err(anyhow::Error::new)
    };
    let tensor: TensorGpu<f32, ReadWrite> = TensorInitContext::init(&engine.context, [104, 2, 1, 1]);
    says(place(&tensor, 96).map(drop), "rows of 104 logits, where 96 tokens are padded to 96");
    says(place(&tensor, 105).map(drop), "rows of 104 logits, where 105 tokens are padded to 112");
    let logits = place(&tensor, 99).expect("a place");
    try_draw(&logits).expect("all is well");
    says(try_draw(&GpuLogits { row_stride: 98, ..logits }), "98");
    says(try_draw(&GpuLogits { row_stride: 120, ..logits }), "the buffer has 832");
    says(try_draw(&GpuLogits { rows: 3, ..logits }), "the buffer has 832");
    let uniform: TensorGpu<f32, Uniform> = TensorInitContext::init(&engine.context, [104, 2, 1, 1]);
    says(try_draw(&place(&uniform, 99).expect("a place")), "lacks the usage STORAGE");
    let (stranger, _) =
        pollster::block_on(engine.context.adapter.request_device(&Default::default())).expect("opens");
    let theirs = stranger.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 832,
        usage: BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    says(
        try_draw(&GpuLogits { buffer: &theirs, ..logits }),
        "the device rejected binding the buffers of the call",
    );
}
