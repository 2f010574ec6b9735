//! When a request has finished: behind one of its stop tokens, or at its length. A row behind the end draws nothing.

use super::{Request, Row};
use crate::answer::FinishReason;
use crate::params::SamplingParams;

impl Request {
    /// Why it has finished, as far as its accepted tokens say: rows from the next position on draw nothing. `None` while it
    /// goes on.
    #[must_use]
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.row(self.next_position()).finish()
    }

    /// Whether a token of the output ends the request.
    pub(super) fn is_stop(&self, token: u32, position: u64) -> bool {
        let SamplingParams { min_tokens, max_tokens, stop_token_ids, .. } = &self.params;
        position >= *min_tokens
            && max_tokens.is_none_or(|most| position < most)
            && stop_token_ids.contains(&token)
    }

    /// The position behind the first stop token of the output.
    pub(super) fn find_end(&self) -> Option<u64> {
        let mut output = (0..).zip(self.output());
        output.find(|&(position, &token)| self.is_stop(token, position)).map(|(position, _)| position + 1)
    }
}

impl<'a> Row<'a> {
    /// Why the request has finished before this row, as far as the host knows.
    pub(crate) fn finish(&self) -> Option<FinishReason> {
        let Self { request, position, ahead, .. } = *self;
        // By the tokens, where rows have other positions than they.
        let first_ahead = request.next_position();
        let is_behind_stop = request.end.is_some_and(|end| end <= position)
            || ahead
                .iter()
                .enumerate()
                .any(|(place, &token)| request.is_stop(token, first_ahead.saturating_add(place as u64)));
        if is_behind_stop {
            return Some(FinishReason::Stop);
        }
        self.is_at_length().then_some(FinishReason::Length)
    }

    /// The same, if no token that is drawn already and not accepted yet can say otherwise.
    #[cfg(feature = "gpu")]
    pub(crate) fn certain_finish(&self) -> Option<FinishReason> {
        let Self { request, position, .. } = *self;
        let knows_stops = request.params.stop_token_ids.is_empty() || position <= request.next_position();
        self.finish().filter(|reason| *reason == FinishReason::Stop || knows_stops)
    }

    /// Whether the request has all of its tokens before this row.
    pub(crate) fn is_at_length(&self) -> bool {
        self.request.params.max_tokens.is_some_and(|most| self.position >= most)
    }

    /// Whether this row draws the last token that the request may have.
    pub(super) fn is_last(&self) -> bool {
        self.request.params.max_tokens.is_some_and(|most| self.position.saturating_add(1) >= most)
    }

    /// Tokens with which the request would finish at this row.
    pub(super) fn stops(&self) -> &'a [u32] {
        let params = &self.request.params;
        if self.position < params.min_tokens { &[] } else { &params.stop_token_ids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(min: u64, max: Option<u64>) -> Request {
        let params = SamplingParams {
            min_tokens: min,
            max_tokens: max,
            stop_token_ids: vec![3, 9],
            ..SamplingParams::default()
        };
        Request::with_prompt(params, &[3, 9]).expect("in range")
    }

    /// Behind the first stop token, at the length, whichever is first; a stop token that is the last one stops.
    #[test]
    fn a_request_finishes_at_a_stop_token_or_at_its_length() {
        use FinishReason::{Length, Stop};
        for (min, max, tokens, finishes, reason) in [
            (0, None, &[1, 2, 4, 9, 9, 1][..], 4, Some(Stop)),
            (0, Some(5), &[1, 2, 4, 5, 6, 3], 5, Some(Length)),
            (0, Some(4), &[1, 2, 4, 9, 6, 3], 4, Some(Stop)),
            (3, None, &[3, 9, 3, 9, 3, 3], 4, Some(Stop)),
            (0, None, &[3, 1, 1, 1, 1, 1], 1, Some(Stop)),
            (0, Some(1), &[7, 3, 1, 1, 1, 1], 1, Some(Length)),
            (0, None, &[1, 2, 4, 5, 6, 7], 99, None),
        ] {
            let mut request = request(min, max);
            for (position, &token) in (1..).zip(tokens) {
                request.accept_token(token);
                let expected = reason.filter(|_| position >= finishes);
                assert_eq!(request.finish_reason(), expected, "{tokens:?} {min} {max:?}, {position} tokens");
            }
            for position in 0..tokens.len() as u64 {
                let expected = reason.filter(|_| position >= finishes);
                assert_eq!(request.row(position).finish(), expected, "drawn again at {position}");
            }
            let whole = request.find_end();
            assert_eq!(request.end, whole, "as the tokens say when they are looked at once more");
        }
    }

    /// Draft tokens before a row count as tokens do.
    #[test]
    fn a_draft_that_stops_ends_what_is_behind_it() {
        let mut request = request(2, Some(6));
        request.accept_token(1);
        let row = |ahead: &'static [u32]| Row { ahead, ..request.row(1 + ahead.len() as u64) };
        assert_eq!(row(&[3]).finish(), None, "too early");
        assert_eq!(row(&[3, 9]).finish(), Some(FinishReason::Stop));
        assert_eq!(row(&[1, 2, 4, 5]).finish(), None);
        assert_eq!(row(&[1, 2, 4, 5, 6]).finish(), Some(FinishReason::Length));
        assert_eq!(row(&[1, 2, 4, 5, 9]).finish(), Some(FinishReason::Stop));
    }

    /// Other parameters, another end.
    #[test]
    fn an_end_follows_the_parameters() {
        let mut request = request(0, None);
        [1, 3, 5].into_iter().for_each(|token| request.accept_token(token));
        let mut set = |change: fn(&mut SamplingParams)| {
            let mut params = request.params().clone();
            change(&mut params);
            request.set_params(params).expect("in range");
            request.finish_reason()
        };
        assert_eq!(set(|p| p.stop_token_ids = vec![4]), None);
        assert_eq!(set(|p| p.max_tokens = Some(3)), Some(FinishReason::Length));
        assert_eq!(set(|p| p.max_tokens = Some(4)), None);
        assert_eq!(set(|p| p.stop_token_ids = vec![1, 5]), Some(FinishReason::Stop));
        assert_eq!(set(|p| p.min_tokens = 3), None);
    }
}
