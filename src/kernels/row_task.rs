//! A row of a sampling step, what is asked of it, and the run that its request leaves of it.

use super::tile_stats::{self, Tiles};
use crate::answer::FinishReason;
use crate::arithmetic::draw_scale::DrawScale;
use crate::arithmetic::exact;
use crate::arithmetic::lane::PassScale;
use crate::arithmetic::rng::Key;
use crate::filter::{self, Cut, Run, Sums, View};
use crate::logits::RowBits;
use crate::request::{Changes, Compiled};

/// A row and what is asked of it.
pub(crate) struct RowTask<'a> {
    pub(crate) row: RowBits<'a>,
    pub(crate) request: &'a Compiled,
    pub(crate) changes: Changes<'a>,
    pub(crate) key: Key,
    /// Draft tokens, and the bits of the draft's probabilities.
    pub(crate) draft: &'a [u32],
    pub(crate) probabilities: &'a [u32],
    /// Of a row of a block, what it has to know of the others.
    pub(crate) block: Option<BlockRow>,
    /// Given tokens, of which something is said.
    pub(crate) token_ids: &'a [u32],
    /// Why the request has finished before the row.
    pub(crate) finish: Option<FinishReason>,
}

/// What a row of a block has to know of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRow {
    /// min(1, the product of the ratios of the draft tokens before it), Q31.
    pub(crate) part: u32,
    /// Whether these stand.
    pub(crate) is_accepted: bool,
    /// Whether those before a row behind it do: then it draws its own draft token.
    pub(crate) is_outdone: bool,
}

impl RowTask<'_> {
    /// The logits that the request changes; none where it changes nothing.
    pub(super) fn changed(&self) -> Vec<u32> {
        if self.changes.is_some() { self.changes.applied(self.row) } else { Vec::new() }
    }

    /// The view that is drawn from, of the changed logits.
    pub(super) fn view<'a>(&'a self, changed: &'a [u32]) -> View<'a> {
        let bits = if self.changes.is_some() { RowBits::of_f32(changed) } else { self.row };
        view_of(bits, self.request.pass, self.request.needs_surprisal())
    }
}

/// A row with what pass 1 says of it at this scale, with its surprisal or without.
pub(crate) fn view_of(bits: RowBits<'_>, scale: PassScale, surprisal: bool) -> View<'_> {
    let Tiles { stats, delegates } = tile_stats::run(bits, exact::KEY_NEG_INFINITY, scale, surprisal);
    View::new(bits, stats, delegates, scale.tile)
}

/// The run that a request leaves of a view, and what is drawn at.
pub(super) fn truncated<'a>(view: &'a View<'a>, task: &RowTask<'a>) -> (Run<'a>, DrawScale) {
    let mut run = Run::new(view, task.request.pass.tile, task.key);
    run.xtc_exempt = task.changes.xtc_exempt;
    let drawn_at = truncate(&mut run, task.request);
    run.scale = drawn_at.scale;
    (run, drawn_at)
}

/// Takes a run through the steps of a request, and says what is drawn at.
fn truncate(run: &mut Run<'_>, request: &Compiled) -> DrawScale {
    let mut drawn_at = request.draw;
    for &cut in &request.cuts {
        if cut == Cut::TEMPERATURE {
            if let Some(dynamic) = request.dynamic {
                let Sums { mass, surprisal, count } = run.sums();
                drawn_at = dynamic.scale(mass, surprisal, count);
            }
            run.scale = drawn_at.scale;
        } else {
            filter::keep(run, cut);
        }
    }
    drawn_at
}
