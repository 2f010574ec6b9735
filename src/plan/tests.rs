//! Plans at every size, and what cannot be planned.

use super::layout::MAX_SCRATCH_BYTES;
use super::*;
use crate::logits::Dtype;

fn shape(rows: usize, vocab: usize) -> Shape {
    Shape { dtype: Dtype::F16, rows, vocab, row_stride: vocab, byte_offset: 0 }
}

#[test]
fn chunks_cover_every_row_once_within_every_limit() {
    let mut limits = DeviceLimits::default();
    for binding in [40_000, 100_000, 1 << 20] {
        limits.max_binding_bytes = binding;
        for (rows, vocab, stride, offset) in [
            (1, 1, 1, 0),
            (7, 5000, 5000, 2),
            (300, 1001, 1003, 254),
            (9, 12_345, 20_000, 4098),
            (0, 3, 3, 0),
        ] {
            let shape = Shape { row_stride: stride, byte_offset: offset, ..shape(rows, vocab) };
            let plan = Plan::logprobs(&shape, 20, &limits).expect("fits");
            let mut next = 0;
            for chunk in &plan.chunks {
                assert_eq!(chunk.first_row, next);
                next += chunk.rows;
                assert!(chunk.logits.bytes <= binding && chunk.logits.offset % 256 == 0);
                assert_eq!(
                    chunk.logits.offset + u64::from(chunk.logits.element_base) * 2,
                    offset + (chunk.first_row * stride * 2) as u64
                );
            }
            assert_eq!(next, rows, "rows covered");
        }
    }
}

/// Every dispatch, byte and chunk of a list that one workgroup cannot hold.
#[test]
fn a_long_list_is_planned() {
    let limits = DeviceLimits::default();
    for (dtype, per_chunk, reads, words) in [
        (Dtype::F32, 16, 6, "16 (tile_stats, row_logprobs, 9 digit_count, 5 digit_scatter)"),
        (Dtype::Bf16, 10, 4, "10 (tile_stats, row_logprobs, 5 digit_count, 3 digit_scatter)"),
    ] {
        let shape = Shape { dtype, ..shape(16, 128_256) };
        let plan = Plan::logprobs(&shape, 5000, &limits).expect("fits");
        assert!(plan.to_string().contains(words), "{plan}");
        assert_eq!(plan.cost().dispatches, per_chunk);
        assert_eq!(plan.cost().bytes_reopened, reads * plan.cost().bytes_read);
        assert_eq!(plan.cost().bytes_scratch, 16 * 4 * (2 * 16 * 256 + 16 + 2 * 5000));
        assert_eq!(plan.cost().bytes_back, (16u64 * 4 * (10 + 2 * 5000)).next_multiple_of(256));

        let whole = Shape { rows: 100, ..shape };
        let plan = Plan::logprobs(&whole, 128_256, &limits).expect("fits");
        assert_eq!(plan.cost().dispatches, 3 * per_chunk, "35 rows at a time: {plan}");
        assert!(plan.cost().bytes_scratch <= MAX_SCRATCH_BYTES);
        // An operation's records make room for those of the next chunk.
        let demand = Demand { records_stay: true, ..plan.demand };
        let operation = Plan::of(&whole, demand, &limits).expect("fits");
        assert_eq!(operation.records_bytes, (35u64 * 4 * (10 + 2 * 128_256)).next_multiple_of(256));
    }
    assert_eq!(Plan::logprobs(&shape(16, 128_256), 1024, &limits).expect("fits").cost().dispatches, 2);
}

/// Of a row in a wide stride only its own bytes are bound, in whichever batch it lies.
#[test]
fn rows_far_apart_fit_in_either_batch() {
    let limits = DeviceLimits { max_binding_bytes: 100_000, ..DeviceLimits::default() };
    let packed = Shape { dtype: Dtype::F32, ..shape(5, 300) };
    for (row_stride, most) in [(30_000, 1), (24_000, 2), (300, 5)] {
        let apart = Shape { row_stride, ..packed };
        for (first, second) in [(apart, packed), (packed, apart)] {
            let plan = Plan::divergence(&first, &second, &limits).expect("fits");
            assert_eq!(plan.chunks[0].rows, most, "stride {row_stride}: {plan}");
            assert_eq!(plan.chunks.iter().map(|chunk| chunk.rows).sum::<usize>(), 5);
        }
    }
    let long = Shape { dtype: Dtype::F16, ..shape(5, 40_000) };
    let longer = Shape { dtype: Dtype::F32, ..long };
    for (first, second) in [(long, longer), (longer, long)] {
        assert!(matches!(Plan::divergence(&first, &second, &limits), Err(Error::Limit(_))));
    }
}

/// Element indices have 32 bits even where a device allows larger bindings.
#[test]
fn no_binding_passes_four_gigabytes() {
    let limits =
        DeviceLimits { max_binding_bytes: 64 << 30, max_buffer_bytes: 64 << 30, ..DeviceLimits::default() };
    let last_positions = Shape { rows: 32, row_stride: 2048 * 128_256, ..shape(32, 128_256) };
    let plan = Plan::logprobs(&last_positions, 5, &limits).expect("fits");
    assert!(plan.chunks.len() > 1);
    for chunk in &plan.chunks {
        assert!(chunk.logits.bytes <= u64::from(u32::MAX), "{chunk:?}");
    }
}

#[test]
fn a_row_or_a_batch_too_large_names_value_limit_and_remedy() {
    let tight = DeviceLimits { max_binding_bytes: 1000, ..DeviceLimits::default() };
    let message = Plan::logprobs(&shape(1, 1000), 5, &tight).unwrap_err().to_string();
    assert!(message.contains("vocab 1000") && message.contains("allows 1000"), "{message}");
    let tight = DeviceLimits { max_buffer_bytes: 10_000, ..DeviceLimits::default() };
    let message = Plan::logprobs(&shape(1000, 10), 5, &tight).unwrap_err().to_string();
    assert!(message.contains("1000 rows") && message.contains("lower `rows`"), "{message}");
    let odd = Shape { byte_offset: 1, ..shape(1, 10) };
    assert!(
        Plan::logprobs(&odd, 5, &DeviceLimits::default()).unwrap_err().to_string().contains("byte offset 1")
    );
    let far = Shape { byte_offset: u64::MAX - 3, ..shape(1, 10) };
    assert!(matches!(Plan::logprobs(&far, 5, &DeviceLimits::default()), Err(Error::Logits(_))));
    let many = Shape { dtype: Dtype::F32, rows: 1 << 50, ..shape(1, 1) };
    let demand = Demand::logprobs(5, 0, 0, 10);
    for demand in [demand, Demand { records_stay: true, ..demand }] {
        assert!(matches!(Plan::of(&many, demand, &DeviceLimits::default()), Err(Error::Limit(_))));
    }
    let given = Demand::logprobs(0, 9, usize::MAX, 10);
    assert!(matches!(Plan::of(&shape(1, 10), given, &DeviceLimits::default()), Err(Error::Limit(_))));
    let masked = Demand { requests: 1, lists: 1 << 24, ..Demand::logprobs(0, 0, 0, 10) };
    let message = Plan::of(&shape(1, 10), masked, &DeviceLimits::default()).unwrap_err().to_string();
    assert!(message.contains("requests of 1 rows") && message.contains("put the mask on"), "{message}");
    let vast = Shape { rows: usize::MAX, ..shape(1, 10) };
    assert!(matches!(Plan::logprobs(&vast, 5, &DeviceLimits::default()), Err(Error::Logits(_))));
}

/// A list has no more entries than tokens: one that is asked for beyond them costs nothing more.
#[test]
fn a_list_ends_with_the_vocabulary() {
    for vocab in [1, 1000, 1024, 5000] {
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let all =
            Plan::logprobs(&shape(512, vocab), vocab as u32, &DeviceLimits::default()).expect("it fits");
        let more =
            Plan::logprobs(&shape(512, vocab), LogprobsParams::MAX_TOP_LOGPROBS, &DeviceLimits::default());
        assert_eq!(more.expect("so does this"), all);
    }
}

/// Blocks of draft tokens: two dispatches more in each chunk, each of which is told its stage; chunks end between them, and
/// none is cut.
#[test]
fn a_block_is_planned() {
    use crate::{DraftTokens, Request, SamplingParams, Verification};
    let request = Request::new(SamplingParams { seed: Some(1), ..SamplingParams::default() }).expect("sound");
    let plan = |draft: &[u32], verification| {
        let chain = DraftTokens::new(&request, 0, draft, verification).expect("a chain");
        let rows: Vec<Row<'_>> = chain.rows().chain(chain.rows()).collect();
        let limits = DeviceLimits { max_binding_bytes: 4 * 4096 * 5, ..DeviceLimits::default() };
        Plan::sample(&shape(rows.len(), 4096), &rows, false, &limits)
    };
    let rows = |plan: &Plan| plan.chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>();
    let plain = plan(&[1, 2], Verification::Rejection).expect("rows that stand alone");
    assert_eq!((rows(&plain), plain.cost().dispatches), (vec![4, 2], 4), "four rows of probabilities fit");
    let blocks = plan(&[1, 2], Verification::Block).expect("each of three rows");
    assert_eq!((rows(&blocks), blocks.cost().dispatches), (vec![3, 3], 8));
    let error = plan(&[1, 2, 3, 4], Verification::Block).expect_err("five rows").to_string();
    assert!(error.contains("ends before row 4, within a block"), "{error}");
    let chain = DraftTokens::new(&request, 0, &[1, 2], Verification::Block).expect("a block");
    let rows: Vec<Row<'_>> = chain.rows().collect();
    let whole = Plan::sample(&shape(3, 4096), &rows, false, &DeviceLimits::default()).expect("fits").cost();
    assert_eq!((whole.chunks, whole.dispatches), (1, 4));
    assert_eq!(whole.bytes_uploaded_unchanged, 3 * UNIFORM_BYTES + 3 * ROW_BYTES);
}
