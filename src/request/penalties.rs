//! Repetition, presence and frequency penalties: which tokens were seen, kept from token to token.

use super::change::Change;
use super::history::History;
use crate::params::SamplingParams;

/// What the penalties of a request look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// The last tokens of prompt and output, so many of them; `None` as in vLLM.
    window: Option<usize>,
}

/// Counts that binary32 holds exactly.
pub(crate) const MOST_COUNTED: u32 = 1 << 24;

impl Penalties {
    /// Those of a request; `None` if nothing is punished.
    pub(crate) fn new(params: &SamplingParams) -> Option<Self> {
        let penalties = Self {
            repetition: params.repetition_penalty,
            presence: params.presence_penalty,
            frequency: params.frequency_penalty,
            window: params.penalty_last_n.map(|last| last as usize),
        };
        (penalties.repeats() || penalties.counts()).then_some(penalties)
    }

    /// Whether any token counts.
    pub(crate) fn sees_tokens(&self) -> bool {
        self.window != Some(0)
    }

    /// The last tokens of prompt and output, so many of them.
    #[cfg(feature = "gpu")]
    pub(super) fn window(&self) -> Option<usize> {
        self.window
    }

    /// Frequency and presence penalty.
    #[cfg(feature = "gpu")]
    pub(super) fn of_counts(&self) -> [f32; 2] {
        [self.frequency, self.presence]
    }

    pub(super) fn repeats(&self) -> bool {
        self.repetition != 1.0
    }

    fn counts(&self) -> bool {
        self.frequency != 0.0 || self.presence != 0.0
    }

    /// What presence and frequency take from a token: binary32 operations, each rounded, as the device does them.
    pub(crate) fn amount(&self, count: u32) -> f32 {
        match count {
            0 => 0.0,
            _ => self.frequency * count.min(MOST_COUNTED) as f32 + self.presence,
        }
    }

    /// What the last token of a history does to the changes, which know of those before it: `edit` has it change the one
    /// of a token.
    pub(crate) fn see_last(&self, history: &History<'_>, mut edit: impl FnMut(u32, &dyn Fn(&mut Change))) {
        let place = history.len() - 1;
        match self.window {
            None if place < history.prompt => {
                if self.repeats() {
                    edit(history.at(place), &|change| change.repeat(true));
                }
            }
            None => edit(history.at(place), &|change| self.count(change, 1)),
            Some(0) => {}
            Some(window) => {
                edit(history.at(place), &|change| self.count(change, 1));
                if let Some(left) = place.checked_sub(window) {
                    edit(history.at(left), &|change| {
                        self.count(change, -1);
                        change.repeat(self.repeats() && change.count > 0);
                    });
                }
            }
        }
    }

    /// What a whole history does to the changes.
    pub(crate) fn see_all(&self, history: &History<'_>, mut edit: impl FnMut(u32, &dyn Fn(&mut Change))) {
        let first = self.window.map_or(0, |window| history.len().saturating_sub(window));
        for place in first..history.len() {
            let until = History { tokens: &history.tokens[..=place], ..*history };
            // Nothing leaves the window: what lies before it was never seen.
            Self { window: self.window.map(|_| usize::MAX), ..*self }.see_last(&until, &mut edit);
        }
    }

    /// A token is seen once more, or once less.
    fn count(&self, change: &mut Change, by: i32) {
        change.count = change.count.saturating_add_signed(by);
        change.repeat(change.is_repeated() || self.repeats());
        change.penalty = self.amount(change.count);
    }
}
