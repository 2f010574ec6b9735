//! What a request may ask: every field in its range, every token in the vocabulary.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use super::targets::validate_token_count;
use crate::error::{Error, Result, shown};
use crate::filter;
use crate::params::{Dry, LogprobsParams, Order, SamplingParams, SamplingStep};

impl SamplingParams {
    /// Nothing, if every field is in its range. Token ids are compared with the vocabulary when a row is sampled.
    ///
    /// # Errors
    /// [`Error::Params`] names the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        self.validate_temperature()?;
        for parameter in filter::ALL.iter().flat_map(|spec| spec.parameters) {
            if let Some(value) = (parameter.value)(self) {
                in_range(parameter.name, value, parameter.range.clone(), parameter.remedy)?;
            }
        }
        if self.xtc_probability > 0.0 && self.xtc_threshold < XTC_LEAST {
            return Err(Error::Params(format!(
                "xtc_threshold {} is below 2^-43 ({XTC_LEAST:e}), the least share that a weight has: raise it",
                shown(self.xtc_threshold)
            )));
        }
        if self.xtc_exempt_token_ids.len() > Self::MAX_XTC_EXEMPT_TOKEN_IDS {
            return Err(Error::Params(format!(
                "{} xtc_exempt_token_ids are over the limit of {}: give fewer",
                self.xtc_exempt_token_ids.len(),
                Self::MAX_XTC_EXEMPT_TOKEN_IDS
            )));
        }
        self.validate_changes()?;
        self.validate_counts()?;
        self.validate_order()
    }

    fn validate_temperature(&self) -> Result<()> {
        let temperatures = LogprobsParams::MIN_TEMPERATURE..=LogprobsParams::MAX_TEMPERATURE;
        if self.temperature != 0.0 && !temperatures.contains(&self.temperature) {
            return Err(Error::Params(format!(
                "temperature {} is neither 0, which is greedy, nor in {} to {}: take one of these",
                shown(self.temperature),
                temperatures.start(),
                temperatures.end()
            )));
        }
        let range = 0.0..=temperatures.end() - self.temperature;
        in_range("dynatemp_range", self.dynatemp_range, range, "temperature + range stays within 1000")?;
        in_range("dynatemp_exponent", self.dynatemp_exponent, 0.0..=255.0, "1 is the plain entropy")
    }

    /// Bias, penalties, bans.
    fn validate_changes(&self) -> Result<()> {
        in_range("repetition_penalty", self.repetition_penalty, 0.01..=100.0, "1 changes nothing")?;
        in_range("presence_penalty", self.presence_penalty, -100.0..=100.0, "0 changes nothing")?;
        in_range("frequency_penalty", self.frequency_penalty, -100.0..=100.0, "0 changes nothing")?;
        if let Some(Dry { multiplier, base, allowed_length, .. }) = self.dry {
            in_range("dry multiplier", multiplier, 0.0..=100.0, "0 changes nothing")?;
            in_range("dry base", base, 1.0..=10.0, "1 grows not at all")?;
            if allowed_length == 0 {
                return Err(Error::Params(
                    "dry allowed_length 0 is below 1: the shortest repetition is one token".to_owned(),
                ));
            }
        }
        if let Some((token, bias)) = self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            return Err(Error::Params(format!(
                "logit_bias {bias} of token {token} is not finite: use allowed_token_ids or bad_words to forbid"
            )));
        }
        let sum: f64 = self.logit_bias.iter().map(|(_, bias)| f64::from(bias.abs())).sum();
        if sum > f64::from(f32::MAX) {
            return Err(Error::Params(format!(
                "the sizes of all logit_bias sum to {sum:e}, over {:e}: lower them",
                f32::MAX
            )));
        }
        if self.bad_words.iter().any(Vec::is_empty) {
            return Err(Error::Params("a bad word has no tokens: leave it out".to_owned()));
        }
        Ok(())
    }

    /// Draws, lists, lengths.
    fn validate_counts(&self) -> Result<()> {
        if let Some(most) = self.max_tokens {
            let least = self.min_tokens.max(1);
            if most < least {
                return Err(Error::Params(format!(
                    "max_tokens {most} is below {least}: at least 1, and as many as min_tokens, which is {}; raise it, or leave it out",
                    self.min_tokens
                )));
            }
        }
        in_range(
            "n",
            self.n,
            1..=Self::MAX_DRAWS,
            "a row draws at least one, and further draws are rows with another `stream`",
        )?;
        for (name, count) in
            [("raw_logprobs", self.raw_logprobs), ("processed_logprobs", self.processed_logprobs)]
        {
            in_range(name, count.unwrap_or(0), 0..=Self::MAX_LOGPROBS, "ask for fewer entries")?;
        }
        validate_token_count("logprob_token_ids", self.logprob_token_ids.len())
    }

    /// An order of one's own has each step once, and all that act.
    fn validate_order(&self) -> Result<()> {
        let Order::List(list) = &self.order else { return Ok(()) };
        if let Some((i, step)) = list.iter().enumerate().find(|(i, step)| list[..*i].contains(step)) {
            return Err(Error::Params(format!(
                "{step} stands twice in the order, the second time in place {}: each acts once",
                i + 1
            )));
        }
        let is_missing = |step: &&SamplingStep| step.acts(self) && !list.contains(step);
        if self.temperature > 0.0
            && let Some(missing) = SamplingStep::ALL.iter().find(is_missing)
        {
            return Err(Error::Params(format!(
                "{missing} is set, but not in the order: add it to the list, or leave it at its default"
            )));
        }
        Ok(())
    }

    /// Nothing, if every token id that a field names lies in the vocabulary. Sampling a row checks it too.
    ///
    /// # Errors
    /// [`Error::Params`] names the field and the token.
    pub fn validate_tokens(&self, vocab: usize) -> Result<()> {
        for (name, mut tokens) in self.token_lists() {
            if let Some(token) = tokens.find(|&token| token as usize >= vocab) {
                return Err(Error::Params(format!(
                    "token {token} of {name} is outside the vocabulary of {vocab}: remove it"
                )));
            }
        }
        Ok(())
    }

    /// The fields that name tokens, and their tokens.
    pub(super) fn token_lists(&self) -> [(&'static str, Tokens<'_>); 8] {
        let allowed = self.allowed_token_ids.iter().flatten().copied();
        let breakers = self.dry.iter().flat_map(|dry| dry.sequence_breakers.iter().copied());
        [
            ("logit_bias", Box::new(self.logit_bias.iter().map(|(token, _)| *token))),
            ("bad_words", Box::new(self.bad_words.iter().flatten().copied())),
            ("xtc_exempt_token_ids", Box::new(self.xtc_exempt_token_ids.iter().copied())),
            ("penalty_exempt_token_ids", Box::new(self.penalty_exempt_token_ids.iter().copied())),
            ("stop_token_ids", Box::new(self.stop_token_ids.iter().copied())),
            ("allowed_token_ids", Box::new(allowed)),
            ("dry's sequence_breakers", Box::new(breakers)),
            ("logprob_token_ids", Box::new(self.logprob_token_ids.iter().copied())),
        ]
    }
}

type Tokens<'a> = Box<dyn Iterator<Item = u32> + 'a>;

/// The least threshold of XTC: a token's weight is a multiple of 2^-43 of the first token's, so lower ones all act alike.
const XTC_LEAST: f32 = 1.0 / (1u64 << 43) as f32;

fn in_range<T: PartialOrd + Debug + Copy + Into<f64>>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
    remedy: &str,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    // A neighbour of a round number ends a range without that number.
    let is_above_0 = least.into() == f64::from(f32::MIN_POSITIVE);
    let is_below_1 = most.into() == f64::from(1f32.next_down());
    let least = if is_above_0 { "0 (excluded)".to_owned() } else { shown(least) };
    let most = if is_below_1 { "1 (excluded)".to_owned() } else { shown(most) };
    Err(Error::Params(format!("{name} {} is outside {least} to {most}: {remedy}", shown(value))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mirostat;
    use SamplingStep::TopK;

    #[test]
    fn every_field_out_of_range_is_named() {
        type Change = fn(&mut SamplingParams);
        let cases: &[(&str, Change)] = &[
            ("temperature -1", |p| p.temperature = -1.0),
            ("temperature NaN", |p| p.temperature = f32::NAN),
            ("temperature 0.0001", |p| p.temperature = 0.0001),
            ("temperature inf", |p| p.temperature = f32::INFINITY),
            ("dynatemp_range 1000", |p| p.dynatemp_range = 1000.0),
            ("dynatemp_exponent -1", |p| p.dynatemp_exponent = -1.0),
            ("top_p 1e38 is outside 0 to 1: ", |p| p.top_p = 1e38),
            ("top_p 1.5", |p| p.top_p = 1.5),
            ("top_p NaN", |p| p.top_p = f32::NAN),
            ("min_p -0.1", |p| p.min_p = -0.1),
            ("typical_p 2", |p| p.typical_p = 2.0),
            ("top_n_sigma -1", |p| p.top_n_sigma = -1.0),
            ("top_a 1.5", |p| p.top_a = 1.5),
            ("top_h 1.5", |p| p.top_h = 1.5),
            ("epsilon_cutoff 1 is outside 0 to 1 (excluded): ", |p| p.epsilon_cutoff = 1.0),
            ("eta_cutoff 1", |p| p.eta_cutoff = 1.0),
            ("xtc_threshold 1.1", |p| p.xtc_threshold = 1.1),
            ("xtc_threshold 0 is below 2^-43 (1.1368684e-13)", |p| {
                (p.xtc_threshold, p.xtc_probability) = (0.0, 0.5);
            }),
            ("xtc_threshold 1e-13 is below", |p| (p.xtc_threshold, p.xtc_probability) = (1e-13, 1.0)),
            ("65 xtc_exempt_token_ids are over the limit of 64", |p| p.xtc_exempt_token_ids = vec![3; 65]),
            ("xtc_probability -1", |p| p.xtc_probability = -1.0),
            ("mirostat tau 0 is outside 0 (excluded) to 30: ", |p| {
                p.mirostat = Some(Mirostat { tau: 0.0, eta: 0.1 })
            }),
            ("mirostat eta 2", |p| p.mirostat = Some(Mirostat { tau: 5.0, eta: 2.0 })),
            ("repetition_penalty 0", |p| p.repetition_penalty = 0.0),
            ("presence_penalty 101", |p| p.presence_penalty = 101.0),
            ("frequency_penalty -101", |p| p.frequency_penalty = -101.0),
            ("dry multiplier -1", |p| p.dry = Some(Dry { multiplier: -1.0, ..Dry::default() })),
            ("dry base 0.5", |p| p.dry = Some(Dry { base: 0.5, ..Dry::default() })),
            ("dry allowed_length 0", |p| p.dry = Some(Dry { allowed_length: 0, ..Dry::default() })),
            ("logit_bias sum to 6.0000000109955115e38", |p| p.logit_bias = vec![(3, 3e38), (3, 3e38)]),
            ("top_p is set", |p| (p.top_p, p.order) = (0.9, Order::List(vec![TopK]))),
            ("temperature is set", |p| (p.temperature, p.order) = (0.9, Order::List(Vec::new()))),
            ("max_tokens 0 is below 1", |p| p.max_tokens = Some(0)),
            ("max_tokens 4 is below 5: at least 1, and as many as min_tokens, which is 5", |p| {
                (p.min_tokens, p.max_tokens) = (5, Some(4));
            }),
            ("n 0", |p| p.n = 0),
            ("n 17", |p| p.n = 17),
            ("raw_logprobs 1048577", |p| p.raw_logprobs = Some(1048577)),
            ("processed_logprobs 1048577", |p| p.processed_logprobs = Some(1048577)),
            ("1025 logprob_token_ids are over the limit of 1024", |p| p.logprob_token_ids = vec![3; 1025]),
            ("logit_bias inf of token 3", |p| p.logit_bias = vec![(3, f32::INFINITY)]),
            ("top_k stands twice", |p| p.order = Order::List(vec![TopK, TopK])),
        ];
        SamplingParams::default().validate().expect("the default is sound");
        // A switch has no other value.
        let is_switch = |parameter: &&filter::Parameter| parameter.range.start() == parameter.range.end();
        for parameter in filter::ALL.iter().flat_map(|spec| spec.parameters).filter(|p| !is_switch(p)) {
            assert!(cases.iter().any(|(words, _)| words.starts_with(parameter.name)), "{}", parameter.name);
        }
        for (words, change) in cases {
            let mut params = SamplingParams::default();
            change(&mut params);
            let message = params.validate().expect_err(words).to_string();
            assert!(message.contains(*words) && message.contains(':'), "{words}: {message}");
        }
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_named() {
        type Change = fn(&mut SamplingParams);
        let cases: &[(&str, Change)] = &[
            ("logit_bias", |p| p.logit_bias = vec![(3, 1.0), (10, 1.0)]),
            ("bad_words", |p| p.bad_words = vec![vec![1], vec![2, 10]]),
            ("xtc_exempt_token_ids", |p| p.xtc_exempt_token_ids = vec![0, 10]),
            ("penalty_exempt_token_ids", |p| p.penalty_exempt_token_ids = vec![10]),
            ("stop_token_ids", |p| p.stop_token_ids = vec![10]),
            ("allowed_token_ids", |p| p.allowed_token_ids = Some(vec![0, 10])),
            ("logprob_token_ids", |p| p.logprob_token_ids = vec![0, 10]),
            ("sequence_breakers", |p| {
                p.dry = Some(Dry { sequence_breakers: vec![10], ..Dry::default() });
            }),
        ];
        for (words, change) in cases {
            let mut params = SamplingParams::default();
            change(&mut params);
            params.validate_tokens(11).expect("in range");
            let message = params.validate_tokens(10).expect_err(words).to_string();
            assert!(message.contains("token 10") && message.contains(*words), "{message}");
        }
    }
}
