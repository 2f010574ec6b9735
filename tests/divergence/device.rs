//! Divergences on devices: the CPU engine's bits, wherever the batches lie; and what cannot be asked.

use sortilege::device::{Gpu, adapters};
use sortilege::synthetic::KINDS;
use sortilege::wgpu::{BufferUsages, Limits};
use sortilege::{
    Cpu, DeviceLimits, Divergence, Dtype, Engine, Error, GpuLogits, Kernels, Logits, Plan, Shape,
};

use crate::common::{buffer, encoder, gpus, test_each, upload};

/// Rows of the kinds from this one on, in one type.
fn rows_from(first: usize, rows: usize, vocab: usize, dtype: Dtype) -> Vec<u8> {
    let mut bytes = vec![0; rows * vocab * dtype.bytes()];
    for (row, bytes) in bytes.chunks_exact_mut(vocab * dtype.bytes()).enumerate() {
        KINDS[(first + row) % KINDS.len()].store(dtype, (row as u64) << 40, bytes);
    }
    bytes
}

fn on_device(gpu: &Gpu, first: &GpuLogits<'_>, second: &GpuLogits<'_>) -> Vec<Divergence> {
    let mut open = encoder(gpu);
    let pending = gpu.sampler().divergence(&mut open, first, second).expect("recorded");
    gpu.queue().submit([open.finish()]);
    pending.wait().expect("an answer")
}

#[test]
fn all_types_agree_with_the_cpu() {
    let (rows, vocab) = (KINDS.len(), 4099);
    for gpu in gpus() {
        for &dtype in Dtype::ALL {
            for &other in Dtype::ALL {
                let (a, b) = (rows_from(0, rows, vocab, dtype), rows_from(6, rows, vocab, other));
                let first = Logits::new(&a, dtype, rows, vocab).expect("a batch");
                let second = Logits::new(&b, other, rows, vocab).expect("a batch");
                let expected = Cpu.divergence(&first, &second).expect("an answer");
                let got = gpu.divergence(&first, &second).expect("an answer");
                assert_eq!(got, expected, "{dtype} from {other}");
            }
        }
    }
}

/// One buffer holds a sequence of rows, each of which is compared with the next; rows begin anywhere.
#[test]
fn both_batches_may_lie_in_one_buffer() {
    let (rows, vocab, stride) = (9, 1000, 1003);
    let bytes = rows_from(2, rows + 1, stride, Dtype::F16);
    let strided = |bytes| Logits::strided(bytes, Dtype::F16, rows, vocab, stride).expect("a batch");
    let expected = Cpu.divergence(&strided(&bytes), &strided(&bytes[2 * stride..])).expect("an answer");
    for gpu in gpus() {
        let source = upload(&gpu, &bytes);
        let first = GpuLogits { row_stride: stride, ..GpuLogits::packed(&source, Dtype::F16, rows, vocab) };
        let second = GpuLogits { byte_offset: 2 * stride as u64, ..first };
        assert_eq!(on_device(&gpu, &first, &second), expected);
    }
}

/// Calls in flight with one first batch and other second ones, of one shape: every answer is of its own.
#[test]
fn calls_in_flight_are_told_apart() {
    let (rows, vocab) = (3, 300);
    let a = rows_from(0, rows, vocab, Dtype::F32);
    let first = Logits::new(&a, Dtype::F32, rows, vocab).expect("a batch");
    for gpu in gpus() {
        let source = upload(&gpu, &a);
        let packed = GpuLogits::packed(&source, Dtype::F32, rows, vocab);
        for round in 0..3 {
            let mut in_flight = Vec::new();
            for kind in 0..5 {
                let b = rows_from(kind + round, rows, vocab, Dtype::F32);
                let other = upload(&gpu, &b);
                let mut open = encoder(&gpu);
                let second = GpuLogits { buffer: &other, ..packed };
                let pending = gpu.sampler().divergence(&mut open, &packed, &second).expect("recorded");
                gpu.queue().submit([open.finish()]);
                in_flight.push((b, pending));
            }
            for (b, pending) in in_flight.into_iter().rev() {
                let second = Logits::new(&b, Dtype::F32, rows, vocab).expect("a batch");
                let expected = Cpu.divergence(&first, &second).expect("an answer");
                assert_eq!(pending.wait().expect("an answer"), expected);
            }
        }
    }
}

/// A device that allows small bindings cuts the batches into chunks: as few rows as the wider one allows.
#[test]
fn chunking_changes_nothing() {
    let (rows, vocab, stride) = (20, 3000, 5000);
    let (a, b) = (rows_from(0, rows, vocab, Dtype::F16), rows_from(1, rows, stride, Dtype::F32));
    let first = Logits::new(&a, Dtype::F16, rows, vocab).expect("a batch");
    let second = Logits::strided(&b, Dtype::F32, rows, vocab, stride).expect("a batch");
    let expected = Cpu.divergence(&first, &second).expect("an answer");
    let mut devices = 0;
    for adapter in adapters(false).into_iter().filter(|adapter| adapter.unfit.is_none()) {
        let limits = Limits { max_storage_buffer_binding_size: 50_000, ..adapter.limits() };
        let gpu = Gpu::open_unchecked(adapter, limits).expect("opens with small bindings");
        let sources = [&a, &b].map(|bytes| upload(&gpu, bytes));
        let first = GpuLogits::packed(&sources[0], Dtype::F16, rows, vocab);
        let second =
            GpuLogits { row_stride: stride, ..GpuLogits::packed(&sources[1], Dtype::F32, rows, vocab) };
        let mut open = encoder(&gpu);
        let pending = gpu.sampler().divergence(&mut open, &first, &second).expect("recorded");
        assert_eq!(pending.plan().cost().dispatches, 3 * 10, "two rows of 20 000 bytes: {}", pending.plan());
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("an answer"), expected);
        devices += 1;
    }
    assert!(devices > 0, "no adapter");
}

/// From the host in blocks of 32 MiB: the wider batch says how many rows have room.
#[test]
fn blocks_change_nothing() {
    let (rows, vocab, stride) = (5, 100, 3 << 20);
    let mut sparse = vec![0; ((rows - 1) * stride + vocab) * 4];
    for row in 0..rows {
        let own = rows_from(row, 1, vocab, Dtype::F32);
        sparse[row * stride * 4..][..own.len()].copy_from_slice(&own);
    }
    let dense = rows_from(3, rows, vocab, Dtype::Bf16);
    let wide = Logits::strided(&sparse, Dtype::F32, rows, vocab, stride).expect("a batch");
    let narrow = Logits::new(&dense, Dtype::Bf16, rows, vocab).expect("a batch");
    let gpu = &gpus()[0];
    for (first, second) in [(&wide, &narrow), (&narrow, &wide)] {
        let expected = Cpu.divergence(first, second).expect("an answer");
        assert_eq!(gpu.divergence(first, second).expect("an answer"), expected);
    }
    assert_eq!(gpu.divergence(&wide.slice_rows(0, 0), &narrow.slice_rows(0, 0)).expect("none"), []);
    assert!(matches!(gpu.divergence(&wide, &narrow.slice_rows(0, 4)), Err(Error::Params(_))));
}

#[test]
fn devices_are_checked() {
    for gpu in gpus() {
        for &dtype in Dtype::ALL {
            gpu.sampler().prepare(Kernels::Divergence, dtype).expect("compiles");
            gpu.sampler().self_check(Kernels::Divergence, dtype).expect("the same bits");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused_and_leaves_the_encoder_usable() {
    for gpu in gpus() {
        let good = buffer(&gpu, 64, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        let no_storage = buffer(&gpu, 64, BufferUsages::COPY_DST);
        let packed = GpuLogits::packed(&good, Dtype::F32, 2, 8);
        let mut open = encoder(&gpu);
        let cases = [
            (
                "usage",
                GpuLogits { buffer: &no_storage, ..packed },
                "the second batch lacks the usage STORAGE",
            ),
            ("offset", GpuLogits { byte_offset: 4, ..packed }, "ends at byte 68, the buffer has 64"),
            ("odd offset", GpuLogits { byte_offset: 2, ..packed }, "byte offset 2"),
            ("rows", GpuLogits { rows: 1, ..packed }, "rows 2, the second 1"),
            ("vocab", GpuLogits { vocab: 7, ..packed }, "vocab 8, the second 7"),
            ("overlap", GpuLogits { row_stride: 7, ..packed }, "row stride of 7"),
            ("far away", GpuLogits { byte_offset: u64::MAX - 3, ..packed }, "more than memory"),
        ];
        test_each(cases.iter().map(|case| (case.0, case)), |(_, second, words)| {
            let refused = gpu.sampler().divergence(&mut open, &packed, second);
            let message = refused.expect_err("a refusal").to_string();
            assert!(message.contains(words), "{message}");
        });
        let narrow = GpuLogits { dtype: Dtype::F16, ..packed };
        let pending = gpu.sampler().divergence(&mut open, &packed, &narrow).expect("a good request");
        gpu.queue().submit([open.finish()]);
        assert_eq!(pending.wait().expect("an answer")[1].kl.to_bits(), 0, "zeros of both types");
    }
}

#[test]
fn a_plan_tells_what_a_divergence_costs() {
    let limits = DeviceLimits::default();
    let first = Shape { dtype: Dtype::F32, rows: 64, vocab: 128_256, row_stride: 128_256, byte_offset: 0 };
    let second = Shape { dtype: Dtype::Bf16, ..first };
    let plan = Plan::divergence(&first, &second, &limits).expect("fits");
    let cost = plan.cost();
    assert_eq!((cost.chunks, cost.dispatches), (1, 3));
    assert_eq!(cost.bytes_read, 64 * 128_256 * 6);
    assert_eq!(cost.bytes_reopened, cost.bytes_read);
    assert_eq!((cost.bytes_back, cost.bytes_uploaded), (64 * 80, 256), "what the chunk is told");
    assert_eq!(cost.bytes_scratch, 64 * 32 * 13 * 4);
    for words in [
        "divergence from bf16",
        "3 (tile_divergence, row_divergence, tile_information)",
        "for 2 distributions",
    ] {
        assert!(plan.to_string().contains(words), "{plan}");
    }
    let narrow = Shape { vocab: 128_000, ..second };
    assert!(matches!(Plan::divergence(&first, &narrow, &limits), Err(Error::Params(_))));
}
