//! The tokens of a request: prompt, output, and those that a row takes for accepted.

/// Tokens in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History<'a> {
    /// Prompt, then output.
    pub(crate) tokens: &'a [u32],
    /// Tokens of the prompt.
    pub(crate) prompt: usize,
    /// Taken for accepted.
    pub(crate) ahead: &'a [u32],
}

impl<'a> History<'a> {
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + self.ahead.len()
    }

    /// Token in this place, which must be there.
    pub(crate) fn at(&self, place: usize) -> u32 {
        let in_ahead = place.wrapping_sub(self.tokens.len());
        self.tokens.get(place).copied().unwrap_or_else(|| self.ahead[in_ahead])
    }

    /// The history before its last tokens that are taken for accepted, all but so many.
    pub(crate) fn with_ahead(self, count: usize) -> Self {
        Self { ahead: &self.ahead[..count], ..self }
    }

    /// Whether the output ends with these tokens.
    pub(crate) fn output_ends_with(&self, end: &[u32]) -> bool {
        self.len() - self.prompt >= end.len()
            && end.iter().rev().zip((0..self.len()).rev()).all(|(&token, place)| token == self.at(place))
    }

    /// The last token of the output.
    pub(crate) fn last_of_output(&self) -> Option<u32> {
        (self.len() > self.prompt).then(|| self.at(self.len() - 1))
    }
}
