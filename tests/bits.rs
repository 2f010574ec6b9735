//! The same bits everywhere: on every adapter, alone or anywhere in a batch, under any chunking, in any buffer.
#![expect(clippy::cast_possible_truncation, reason = "a test")]

mod common;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sortilege::device::{Gpu, adapters};
use sortilege::validate::{Extent, validate};
use sortilege::wgpu::Limits;
use sortilege::{Cpu, Dtype, Engine, GpuLogits, GpuOutput, Logits, LogprobsParams, Sampler};

use common::{encoder, gpus, read, upload};

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..Config::default()
    }
}

/// Logits as models have them, with ties, gaps and impossible tokens among them.
fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -30.0f32..30.0,
        2 => (-4i8..4).prop_map(f32::from),
        1 => Just(f32::NEG_INFINITY),
        1 => -1e4f32..1e4,
        1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
    ]
}

/// The reports of a device.
const OPERATIONS: [&str; 10] = [
    "tile_stats",
    "logprobs",
    "row_max",
    "log_sum_exp",
    "log_softmax",
    "top_k",
    "sample",
    "sample_tokens",
    "histories",
    "divergence",
];

#[test]
fn every_kernel_agrees_with_the_cpu_on_every_adapter() {
    for gpu in gpus() {
        let reports = validate(Some(&gpu), Extent::Quick, &mut |_, _| ()).expect("the device works");
        let names: Vec<&str> = reports.iter().map(|report| report.name).collect();
        assert_eq!(names, OPERATIONS);
        for report in reports {
            let least =
                if ["sample", "sample_tokens", "histories"].contains(&report.name) { 700 } else { 2000 };
            assert!(report.cases > least, "{report:?}");
            assert_eq!(report.mismatches, 0, "{}: {report:?}", gpu.info().name);
        }
    }
}

#[test]
fn the_cpu_engine_agrees_with_the_oracle() {
    let reports = validate(None, Extent::Quick, &mut |_, _| ()).expect("no device is needed");
    let names: Vec<&str> = reports.iter().map(|report| report.name).collect();
    // No twin to be compared with, no buffer for tokens, and nothing to run ahead of.
    let of_devices = ["tile_stats", "sample_tokens", "histories"];
    assert!(OPERATIONS.iter().filter(|name| !of_devices.contains(name)).eq(&names), "{names:?}");
    for report in reports {
        assert!(report.cases > if report.name == "sample" { 700 } else { 2000 }, "{report:?}");
        assert_eq!(report.mismatches, 0, "{report:?}");
        let has_error = !["row_max", "top_k"].contains(&report.name);
        assert_eq!(report.worst_error.is_some(), has_error, "{report:?}");
    }
}

/// A row alone, and the same row at every place of a batch, on every adapter.
#[test]
fn a_row_has_the_same_bits_anywhere() {
    let gpus = gpus();
    let strategy = (prop::collection::vec(logit(), 1..6000), 1u32..40, 0.05f32..10.0, any::<u32>());
    TestRunner::new(config(12))
        .run(&strategy, |(row, top_logprobs, temperature, token)| {
            let vocab = row.len();
            let params = LogprobsParams { top_logprobs, temperature, entropy: top_logprobs % 2 == 0 };
            let target = Some(token % vocab as u32);
            let alone =
                Cpu.logprobs(&Logits::f32(&row, 1, vocab).unwrap(), &params, &[target]).unwrap().remove(0);
            // Neighbours: a rotated copy and a NaN row.
            let mut batch = Vec::new();
            for i in 0..7 {
                match i % 3 {
                    0 => batch.extend_from_slice(&row),
                    1 => batch.extend(row.iter().cycle().skip(i).take(vocab)),
                    _ => batch.extend(std::iter::repeat_n(f32::NAN, vocab)),
                }
            }
            let logits = Logits::f32(&batch, 7, vocab).unwrap();
            let targets = [target; 7];
            for records in std::iter::once(Cpu.logprobs(&logits, &params, &targets))
                .chain(gpus.iter().map(|gpu| gpu.logprobs(&logits, &params, &targets)))
            {
                let records = records.unwrap();
                for i in [0, 3, 6] {
                    prop_assert_eq!(&records[i], &alone);
                }
            }
            Ok(())
        })
        .unwrap();
}

/// A device that allows small bindings cuts the batch into many chunks.
#[test]
fn chunking_changes_nothing() {
    let values: Vec<f32> = (0..40 * 3000).map(|i| ((i * 7919) % 10_007) as f32 / 700.0).collect();
    let logits = Logits::f32(&values, 40, 3000).expect("a batch");
    let targets: Vec<Option<u32>> = (0..40).map(|row| Some(row * 70)).collect();
    let params = LogprobsParams { top_logprobs: 33, temperature: 1.7, entropy: true };
    // Rows without given tokens among those with one, and with many.
    let ids: Vec<Vec<u32>> =
        (0..40).map(|row| (0..[0, 1, 60][row % 3]).map(|i| (i * 7) % 3000).collect()).collect();
    let token_ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let expected = Cpu.logprobs_of(&logits, &params, &targets, &token_ids).expect("records");
    let mut devices = 0;
    for adapter in adapters(false).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        let limits = Limits { max_storage_buffer_binding_size: 50_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        let buffer = upload(&gpu, bytemuck::cast_slice(&values));
        let mut open = encoder(&gpu);
        let batch = GpuLogits::packed(&buffer, Dtype::F32, 40, 3000);
        let pending =
            gpu.sampler().logprobs_of(&mut open, &batch, &params, &targets, &token_ids).expect("records");
        assert_eq!(
            pending.plan().cost().dispatches,
            3 * 10,
            "four rows of 12 000 bytes fit a binding: {}",
            pending.plan()
        );
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("records"), expected);
        assert_eq!(gpu.log_softmax(&logits).expect("values"), Cpu.log_softmax(&logits).expect("values"));
        assert_eq!(gpu.top_k(&logits, 33).expect("values"), Cpu.top_k(&logits, 33).expect("values"));
        assert_eq!(gpu.row_max(&logits).expect("values"), Cpu.row_max(&logits).expect("values"));
        devices += 1;
    }
    assert!(devices > 0, "no adapter");
}

/// The bytes, `shift` bytes into an engine's buffer, between bits of NaN.
fn shifted(bytes: &[u8], shift: usize) -> Vec<u8> {
    let mut content = vec![0xff; (shift + bytes.len()).next_multiple_of(4) + 64];
    content[shift..shift + bytes.len()].copy_from_slice(bytes);
    content
}

/// Any byte offset that the element allows, and any stride.
#[test]
fn logits_may_lie_anywhere_in_the_buffer() {
    for gpu in gpus() {
        for (dtype, width) in [(Dtype::F32, 4), (Dtype::F16, 2), (Dtype::Bf16, 2)] {
            for (offset, vocab, stride) in [
                (0, 5, 5),
                (1, 5, 7),
                (3, 333, 334),
                (127, 100, 101),
                (129, 4097, 4099),
                (8191, 1, 3),
                (4, 4096, 4096),
                (4, 8192, 8196),
            ] {
                let rows = 9;
                let bytes: Vec<u8> =
                    (0..rows * stride * width).map(|i| (i * 37 % 61 + i % 2 * 4) as u8).collect();
                let logits = Logits::strided(&bytes, dtype, rows, vocab, stride).expect("a batch");
                let expected = Cpu.logprobs(&logits, &LogprobsParams::default(), &[]).expect("records");
                let buffer = upload(&gpu, &shifted(&bytes, offset * width));
                let byte_offset = (offset * width) as u64;
                let batch = GpuLogits {
                    byte_offset,
                    row_stride: stride,
                    ..GpuLogits::packed(&buffer, dtype, rows, vocab)
                };
                let mut open = encoder(&gpu);
                let pending = gpu
                    .sampler()
                    .logprobs(&mut open, &batch, &LogprobsParams::default(), &[])
                    .expect("records");
                gpu.queue().submit([open.finish()]);
                assert_eq!(
                    pending.wait().expect("records"),
                    expected,
                    "{dtype} at {offset}, [{rows}][{vocab}] by {stride}"
                );
            }
        }
    }
}

/// Results go where the engine wants them, and nowhere else.
#[test]
fn results_may_start_anywhere_in_their_buffer() {
    for gpu in gpus() {
        let values: Vec<f32> = (0..5 * 777).map(|i| ((i * 7919) % 1009) as f32 / 90.0).collect();
        let logits = Logits::f32(&values, 5, 777).expect("a batch");
        let source = upload(&gpu, bytemuck::cast_slice(&values));
        let batch = GpuLogits::packed(&source, Dtype::F32, 5, 777);
        for words in [0usize, 1, 63, 64, 1000] {
            let out = upload(&gpu, &vec![0xa5; 4 * (words + 5 * 777 + 8)]);
            let place = GpuOutput { buffer: &out, byte_offset: 4 * words as u64 };
            let mut open = encoder(&gpu);
            gpu.sampler().log_softmax(&mut open, &batch, place).expect("recorded");
            gpu.queue().submit([open.finish()]);
            let got = read(&gpu, &out);
            let got: &[f32] = bytemuck::cast_slice(&got);
            assert_eq!(
                got[words..words + 5 * 777],
                Cpu.log_softmax(&logits).expect("values")[..],
                "at word {words}"
            );
            let around = got[..words].iter().chain(&got[words + 5 * 777..]);
            assert!(around.into_iter().all(|x| x.to_bits() == 0xa5a5_a5a5), "written beside word {words}");
        }
    }
}

/// A batch that goes to the device in several blocks: each row gets what was asked of it.
#[test]
fn given_tokens_of_several_blocks_are_those_of_their_rows() {
    const VOCAB: usize = 1 << 20;
    const ROWS: usize = 9; // of 4 MiB: a block of 32 MiB, and a row
    let values: Vec<f32> = (0..ROWS * VOCAB).map(|i| ((i * 7919) % 100_003) as f32 / 9000.0).collect();
    let logits = Logits::f32(&values, ROWS, VOCAB).expect("a batch");
    let ids: Vec<Vec<u32>> = (0..ROWS)
        .map(|row| (0..row % 4).map(|i| (row * 77_777 + i * 400_000) as u32 % (1 << 20)).collect())
        .collect();
    let token_ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let targets: Vec<Option<u32>> = (0..ROWS as u32).map(|row| (row % 3 > 0).then_some(row * 1000)).collect();
    let params = LogprobsParams { top_logprobs: 2, ..LogprobsParams::default() };
    let expected = Cpu.logprobs_of(&logits, &params, &targets, &token_ids).expect("records");
    assert!(expected.iter().any(|record| record.distribution.token_logprobs.len() == 3));
    for gpu in gpus() {
        let got = gpu.logprobs_of(&logits, &params, &targets, &token_ids).expect("records");
        assert_eq!(got, expected);
    }
}

/// Many steps in flight, read in any order, some dropped unread; their logits one after the other in one buffer.
#[test]
fn steps_in_flight_do_not_disturb_each_other() {
    for gpu in gpus() {
        let sampler = Sampler::new(gpu.device(), gpu.queue()).expect("a sampler");
        let mut steps = Vec::new();
        let buffer = upload(&gpu, &[0; 3 * 700 * 4]);
        for step in 0..12u32 {
            let values: Vec<f32> = (0..3 * 700).map(|i| ((i * 31 + step * 17) % 509) as f32 / 40.0).collect();
            let params = LogprobsParams {
                top_logprobs: step,
                temperature: 1.0 + step as f32 / 10.0,
                entropy: step % 2 == 0,
            };
            // What an earlier step left in the same buffers is not told.
            let token_ids: &[&[u32]] = if step % 4 < 2 { &[&[5, 600], &[], &[7]] } else { &[&[], &[9], &[]] };
            let logits = Logits::f32(&values, 3, 700).unwrap();
            let expected = Cpu.logprobs_of(&logits, &params, &[], token_ids).expect("records");
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
            let mut open = encoder(&gpu);
            let batch = GpuLogits::packed(&buffer, Dtype::F32, 3, 700);
            let pending = sampler.logprobs_of(&mut open, &batch, &params, &[], token_ids).expect("records");
            gpu.queue().submit([open.finish()]);
            steps.push((step, pending, expected));
        }
        steps.reverse();
        for (step, pending, expected) in steps {
            match step % 3 {
                0 => drop(pending),
                1 => assert_eq!(pending.wait().expect("records"), expected, "step {step}"),
                _ => {
                    assert_eq!(pollster::block_on(pending).expect("records"), expected, "step {step} awaited")
                }
            }
        }
    }
}

/// Adding a constant that every logit can take exactly changes no logprob.
#[test]
fn shifting_all_logits_changes_no_logprob() {
    let strategy = (prop::collection::vec(-1000i32..1000, 1..300), -64i32..64, 0.1f32..5.0);
    TestRunner::new(config(64))
        .run(&strategy, |(steps, shift, temperature)| {
            let of = |add: f32| {
                let row: Vec<f32> = steps.iter().map(|&step| step as f32 / 64.0 + add).collect();
                let params = LogprobsParams { top_logprobs: 50, temperature, entropy: true };
                Cpu.logprobs(&Logits::f32(&row, 1, row.len()).unwrap(), &params, &[Some(0)])
                    .unwrap()
                    .remove(0)
            };
            let (plain, shifted) = (of(0.0), of(shift as f32));
            let logprobs = |record: &sortilege::Logprobs| -> Vec<(u32, u64)> {
                record
                    .distribution
                    .top_logprobs
                    .iter()
                    .map(|entry| (entry.token, entry.logprob.to_bits()))
                    .collect()
            };
            prop_assert_eq!(logprobs(&plain), logprobs(&shifted));
            prop_assert_eq!(plain.distribution.entropy.to_bits(), shifted.distribution.entropy.to_bits());
            Ok(())
        })
        .unwrap();
}

/// The order of the subtiles changes neither mass nor entropy, and moves the entries along. That of single tokens, whose
/// sums are rounded sixteen at a time, changes them by less than the promise.
#[test]
fn permuting_tokens_permutes_the_record() {
    const SUBTILE: usize = 64;
    let strategy = prop::collection::vec(-20.0f32..20.0, 2 * SUBTILE..2000).prop_flat_map(|mut row| {
        row.truncate(row.len() / SUBTILE * SUBTILE);
        let places = |count: usize| Just((0..count).collect::<Vec<usize>>()).prop_shuffle();
        let (subtiles, tokens) = (places(row.len() / SUBTILE), places(row.len()));
        (Just(row), subtiles, tokens)
    });
    TestRunner::new(config(48))
        .run(&strategy, |(row, subtiles, tokens)| {
            let params = LogprobsParams { top_logprobs: 10, temperature: 1.0, entropy: true };
            let of = |row: &[f32]| {
                let logits = Logits::f32(row, 1, row.len()).unwrap();
                Cpu.logprobs(&logits, &params, &[]).unwrap().remove(0).distribution
            };
            let before = of(&row);
            let moved: Vec<f32> =
                subtiles.iter().flat_map(|&place| &row[place * SUBTILE..][..SUBTILE]).copied().collect();
            let after = of(&moved);
            prop_assert_eq!(before.logsumexp.to_bits(), after.logsumexp.to_bits());
            prop_assert_eq!(before.entropy.to_bits(), after.entropy.to_bits());
            for (a, b) in before.top_logprobs.iter().zip(&after.top_logprobs) {
                prop_assert_eq!(a.logprob.to_bits(), b.logprob.to_bits());
                prop_assert_eq!(row[a.token as usize].to_bits(), moved[b.token as usize].to_bits());
            }
            let shuffled: Vec<f32> = tokens.iter().map(|&place| row[place]).collect();
            let after = of(&shuffled);
            prop_assert!((before.logsumexp - after.logsumexp).abs() < 1e-6);
            prop_assert!((before.entropy - after.entropy).abs() < 1e-6);
            Ok(())
        })
        .unwrap();
}

/// Raising one logit never lowers its own logprob, nor raises another's, by more than their errors.
#[test]
fn logprobs_are_monotone() {
    let strategy = (prop::collection::vec(-30.0f32..30.0, 2..200), 0.0f32..3.0, any::<prop::sample::Index>());
    TestRunner::new(config(64))
        .run(&strategy, |(row, raise, index)| {
            let token = index.index(row.len());
            let of = |row: &[f32], token: usize| {
                let logits = Logits::f32(row, 1, row.len()).unwrap();
                let target = [Some(token as u32)];
                let params = LogprobsParams { top_logprobs: 0, ..LogprobsParams::default() };
                Cpu.logprobs(&logits, &params, &target).unwrap()[0].target.unwrap().logprob
            };
            let mut raised = row.clone();
            raised[token] += raise;
            prop_assert!(of(&raised, token) >= of(&row, token) - 1e-6);
            let other = (token + 1) % row.len();
            prop_assert!(of(&raised, other) <= of(&row, other) + 1e-6);
            Ok(())
        })
        .unwrap();
}
