//! Truncates a row's distribution, draws tokens from what is kept, and says what was drawn: `docs/sampling.md`.
//!
//! Every filter keeps a run of the one total order, so what is kept is a range of places in it. The kernel finds the
//! run by thresholds and radix walks in the opened subtiles; the twin here lets each filter of `filter` walk down the
//! sorted row.

use super::draw;
#[cfg(feature = "gpu")]
use super::kernel::{Kernel, Slot, wgsl};
use super::residual::{self, Residual};
use super::row_task::{BlockRow, RowTask, truncated, view_of};
use super::token_ranks::{self, Bounds};
use crate::answer::{DistributionBits, DrawnBits, SampleBits};
use crate::arithmetic::exact;
use crate::arithmetic::format::layout;
use crate::arithmetic::lane::PassScale;
use crate::arithmetic::merge::RowStats;
use crate::arithmetic::rng::Purpose;
use crate::filter::View;
use crate::logits::RowBits;

layout! {
    /// What a dispatch of `row_sample` does.
    stage: u32, "STAGE_" {
        /// All that a row takes.
        ALL = 0,
        /// Weighs the draft tokens of blocks.
        WEIGH = 1,
        /// Tries the rows of blocks.
        TRY = 2,
    }
}

/// One workgroup per row, dispatch (1, rows).
#[cfg(feature = "gpu")]
pub(crate) const KERNEL: Kernel = Kernel {
    name: "row_sample",
    wgsl: wgsl!("row_sample": "format", "words", "logits", "rows", "integers", "exact", "status", "soft_float", "request", "changes",
        "numbers", "rng", "list", "merge", "radix", "few", "quads", "scan", "ranks", "thresholds", "cuts", "draws", "blocks", "views", "row_program"),
    slots: &[
        Slot::Chunk,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Read,
        Slot::Write,
    ],
};

/// The twin on the CPU.
pub(crate) fn run(task: &RowTask<'_>) -> SampleBits {
    let RowTask { row, request, token_ids, finish, .. } = *task;
    let is_accepted = task.block.is_some_and(|block| block.is_accepted);
    if let Some(reason) = finish {
        return SampleBits { is_accepted, ..SampleBits::finished(reason) };
    }
    let changed = task.changed();
    let processed = task.view(&changed);
    let mut sample = match processed.stats.status {
        0 => sample(&processed, task),
        status => SampleBits {
            processed: DistributionBits { status, ..DistributionBits::default() },
            is_accepted,
            ..SampleBits::default()
        },
    };
    if let Some(top) = request.top_raw {
        describe_raw(&mut sample, row, top as usize, request.entropy, token_ids);
    }
    sample
}

/// Adds what the logits as they came, at temperature 1, say of the draws and of given tokens, and their first tokens.
fn describe_raw(sample: &mut SampleBits, row: RowBits<'_>, top: usize, entropy: bool, token_ids: &[u32]) {
    let raw = view_of(row, PassScale::new(1.0), entropy);
    let RowStats { status, max_key, mass, surprisal, .. } = raw.stats;
    let mut view = DistributionBits { status, max_key, mass, surprisal, ..DistributionBits::default() };
    if status == 0 {
        view.top = entries(&raw.top(top));
        view.given = token_ranks::run(row, Bounds::ALL, 0, token_ids);
        for drawn in &mut sample.draws {
            drawn.raw = raw.describe(drawn.token);
        }
    }
    sample.raw = Some(view);
}

/// Tokens and bits, of keys and tokens.
fn entries(tokens: &[(i32, u32)]) -> Vec<(u32, u32)> {
    tokens.iter().map(|&(key, token)| (token, exact::bits_of_key(key))).collect()
}

/// What is drawn from a view that is a distribution.
fn sample(view: &View<'_>, task: &RowTask<'_>) -> SampleBits {
    let RowTask { request, draft, probabilities, block, token_ids, .. } = *task;
    let (mut run, drawn_at) = truncated(view, task);
    let is_verified = !draft.is_empty() || block.is_some();
    let by_tile = run.is_full && request.dynamic.is_none() && (!is_verified || request.is_greedy);
    let all = run.sums_of_row();
    let (kept, kept_mass) = if by_tile {
        (all, all.mass)
    } else {
        // The kept mass stands beside the mass of the row, so it has the row's maximum.
        let row_max = exact::bits_of_key(view.stats.max_key);
        (run.sums_at(run.scale, run.max_bits()), run.sums_at(request.pass.tile, row_max).mass)
    };
    let (tokens, is_accepted) = if request.is_greedy {
        let token = run.at(0).1;
        (vec![token], block.map_or(draft.contains(&token), |block| block.is_accepted))
    } else if let Some(BlockRow { part, is_accepted, is_outdone }) = block {
        let token = if is_outdone {
            draft[0]
        } else {
            let residual = Residual::new(&mut run, probabilities).in_block(part, !draft.is_empty());
            residual.draw(task.key.numbers(Purpose::Residual))
        };
        (vec![token], is_accepted)
    } else if !draft.is_empty() {
        residual::verify(&mut run, draft, probabilities)
    } else {
        let draw = |number| match task.key.numbers(Purpose::Draw(number)) {
            numbers if by_tile => draw::by_tile(view, run.scale, numbers),
            numbers => draw::by_row(&mut run, numbers),
        };
        ((0..request.n_draws).map(draw).collect(), false)
    };
    let top = entries(run.top(request.top_processed as usize));
    let given = if token_ids.is_empty() {
        Vec::new()
    } else {
        let (first, last) = run.ends();
        token_ranks::run(view.bits, Bounds { first, last }, kept.count, token_ids)
    };
    let ends = (!run.is_full).then(|| [run.at(0), run.last()].map(|(key, token)| (token, key)));
    let draw = |token: u32| DrawnBits { token, processed: run.describe(token), raw: [0; 3] };
    SampleBits {
        processed: DistributionBits {
            status: 0,
            max_key: exact::key_of_bits(run.max_bits()),
            mass: kept.mass,
            surprisal: kept.surprisal,
            top,
            given,
        },
        kept: kept.count,
        shift: drawn_at.scale.shift,
        unit: drawn_at.unit,
        kept_mass,
        all_mass: all.mass,
        ends,
        reopened: 0,
        is_accepted,
        draws: tokens.into_iter().map(draw).collect(),
        raw: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::exact::Scale;
    use crate::arithmetic::merge::STATUS_NAN;
    use crate::filter::tests_of_run::{KEY, bits_of};
    use crate::request::Steps;
    use crate::{Request, SamplingParams, SamplingStep};

    fn sample_of(row: &[f32], params: SamplingParams, draft: &[u32], probabilities: &[f32]) -> SampleBits {
        let bits = bits_of(row);
        let request = Request::new(params).expect("sound");
        let rows = [request.row(0)];
        let mut steps = Steps::default();
        let inputs = steps.check(&rows, 1, row.len(), None).expect("sound");
        run(&RowTask {
            row: RowBits::of_f32(&bits),
            request: &request.compiled,
            changes: inputs.changes(0),
            key: KEY,
            draft,
            probabilities: bytemuck::cast_slice(probabilities),
            block: None,
            token_ids: &request.params().logprob_token_ids,
            finish: inputs.finish(0),
        })
    }

    /// Given tokens have the ranks of what is kept, and of the logits as they came.
    #[test]
    fn given_tokens_are_described_in_both_views() {
        let params = SamplingParams {
            top_k: 2,
            logprob_token_ids: vec![2, 0, 2],
            raw_logprobs: Some(0),
            ..SamplingParams::default()
        };
        let sample = sample_of(&[1.0, 4.0, 3.0, 3.0], params, &[], &[]); // keeps 1 and 2
        let [one, three] = [1f32, 3.0].map(f32::to_bits);
        let kept = (2, [three, 1, 1]);
        assert_eq!(sample.processed.given, [kept, (0, [exact::BITS_NEG_INFINITY, 2, 2]), kept]);
        let raw = sample.raw.expect("asked for").given;
        assert_eq!(raw, [(2, [three, 1, 2]), (0, [one, 3, 1]), (2, [three, 1, 2])]);
    }

    fn ids(sample: &SampleBits) -> Vec<u32> {
        sample.processed.top.iter().map(|(token, _)| *token).collect()
    }

    /// Each step acts on what the ones before it left, and the temperature from its place on.
    #[test]
    fn steps_act_in_their_order() {
        use SamplingStep::{MinP, Temperature, TopK};
        let row = [0.0, 1.0, 2.0, 3.0, 4.0];
        for (order, kept) in [
            (vec![MinP, Temperature, TopK], vec![4, 3]),
            (vec![Temperature, MinP, TopK], vec![4, 3, 2]),
            (vec![TopK, Temperature, MinP], vec![4, 3, 2]),
        ] {
            let params = SamplingParams {
                temperature: 2.0,
                top_k: 3,
                min_p: 0.3, // e^-1 and e^-2 at temperatures 1 and 2 are on both sides
                order: crate::Order::List(order.clone()),
                processed_logprobs: Some(9),
                ..SamplingParams::default()
            };
            let sample = sample_of(&row, params, &[], &[]);
            assert_eq!(ids(&sample), kept, "{order:?}");
            assert_eq!(
                (sample.kept as usize, sample.shift),
                (kept.len(), Scale::new(2.0).shift),
                "{order:?}"
            );
        }
    }

    #[test]
    fn a_greedy_row_has_one_draw_and_no_filters() {
        let params = || SamplingParams {
            temperature: 0.0,
            top_k: 1,
            n: 3,
            processed_logprobs: Some(2),
            raw_logprobs: Some(1),
            logit_bias: vec![(0, 5.0)],
            ..SamplingParams::default()
        };
        let sample = sample_of(&[1.0, 2.0, 2.0], params(), &[], &[]);
        let [drawn] = sample.draws[..] else { panic!("{} draws", sample.draws.len()) };
        assert_eq!((drawn.token, drawn.processed), (0, [6f32.to_bits(), 0, 1]));
        assert_eq!(drawn.raw, [1f32.to_bits(), 2, 1], "of the logits as they came");
        assert_eq!((sample.kept, ids(&sample)), (3, vec![0, 1]));
        assert_eq!(sample.raw.expect("asked for").top, [(1, 2f32.to_bits())]);
        for (drafted, stands) in [(0, true), (1, false)] {
            assert_eq!(sample_of(&[1.0, 2.0, 2.0], params(), &[drafted], &[]).is_accepted, stands);
        }
    }

    #[test]
    fn a_rejected_draft_is_replaced() {
        let certain = [0.0, 1.0, 0.0];
        for (row, is_accepted, token) in
            [([0.0, 40.0, 0.0], true, 1), ([0.0, f32::NEG_INFINITY, f32::NEG_INFINITY], false, 0)]
        {
            let sample = sample_of(&row, SamplingParams::default(), &[1], &certain);
            assert_eq!((sample.is_accepted, sample.draws[0].token), (is_accepted, token), "{row:?}");
        }
    }

    #[test]
    fn a_row_that_is_no_distribution_has_no_draws() {
        let params = SamplingParams { raw_logprobs: Some(1), ..SamplingParams::default() };
        let sample = sample_of(&[0.0, f32::NAN], params, &[], &[]);
        assert_eq!((sample.processed.status, sample.draws.len(), sample.kept), (STATUS_NAN, 0, 0));
        assert_eq!(sample.raw.expect("asked for").status, STATUS_NAN);
    }
}
