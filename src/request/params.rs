use crate::arithmetic::format::MOST_LISTED;
use crate::error::{Error, Result};
use crate::request::LogprobsParams;

/// What a request may ask of its rows. The names are those of vLLM and llama.cpp; `docs/sampling.md` defines each as
/// mathematics and says where those two differ. `Default` draws from the plain distribution at temperature 1.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits. 0 is greedy: the first of the total order, whatever the filters say. Otherwise 0.001 to 1000.
    pub temperature: f32,
    /// Half the range of the dynamic temperature, 0 for a fixed one: `T = low + (high − low) · (H / ln n)^exponent` with
    /// `low = max(0.001, temperature − range)`, `high = temperature + range`, the entropy H and the number n of the
    /// tokens that are left.
    pub dynatemp_range: f32,
    /// The exponent of the dynamic temperature, 0 to 1000.
    pub dynatemp_exponent: f32,
    /// Keeps the k most probable tokens; 0 keeps all.
    pub top_k: u32,
    /// Keeps a token while the mass before it is below this share, 0 to 1; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens of at least this share of the most probable one's probability, 0 to 1.
    pub min_p: f32,
    /// Keeps the tokens whose surprise is nearest to the entropy, as few as reach this share, 0 to 1; 1 keeps all. Equal
    /// tokens stand and fall together.
    pub typical_p: f32,
    /// Keeps logits of at least the largest less this many standard deviations of the logits; 0 keeps all.
    pub top_n_sigma: f32,
    /// Keeps tokens of at least this probability, 0 to below 1.
    pub epsilon_cutoff: f32,
    /// Excludes all but the last of the tokens of at least this probability, if there are two; with
    /// [`xtc_probability`](Self::xtc_probability). 0 to 1, over 0.5 it never acts.
    pub xtc_threshold: f32,
    /// How often XTC acts, 0 to 1.
    pub xtc_probability: f32,
    /// Mirostat v2, which steers the surprise of the drawn tokens.
    pub mirostat: Option<Mirostat>,
    /// The order of temperature and filters.
    pub order: Order,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Divides the positive logits of tokens seen before, and multiplies the others; 0.01 to 100, 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens seen before; -100 to 100.
    pub presence_penalty: f32,
    /// Subtracted once for each time that a token was seen; -100 to 100.
    pub frequency_penalty: f32,
    /// Which tokens were seen: `None` as in vLLM, prompt and output for the repetition penalty, the output for the other
    /// two; `Some(n)` as in llama.cpp, the last n of prompt and output for all three.
    pub penalty_last_n: Option<u32>,
    /// Don't repeat yourself: punishes what would continue a sequence that occurred before.
    pub dry: Option<Dry>,
    /// Sequences of tokens that must not come about: the last token of one is impossible after the others.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens before which `stop_token_ids` are impossible.
    pub min_tokens: u64,
    /// What ends a request; only `min_tokens` looks at them.
    pub stop_token_ids: Vec<u32>,
    /// The only possible tokens, if given.
    pub allowed_token_ids: Option<Vec<u32>>,
    /// Seed of the draws; without one, [`Request::seed`](crate::Request::seed) reports what was found.
    pub seed: Option<u64>,
    /// Tells draws with one seed and one position apart.
    pub stream: u32,
    /// Draws per row, independent of each other, 1 to [`SamplingParams::MAX_DRAWS`].
    pub n: u32,
    /// Asks for the raw distribution, of the logits as they are at temperature 1: the drawn tokens' logprobs and ranks in
    /// it, and this many of its most probable tokens, at most [`SamplingParams::MAX_LOGPROBS`].
    pub raw_logprobs: Option<u32>,
    /// Asks for the processed distribution, the one that is drawn from: this many of its most probable tokens, at most
    /// [`SamplingParams::MAX_LOGPROBS`].
    pub processed_logprobs: Option<u32>,
}

/// Mirostat v2 (Basu et al. 2021): keeps the tokens whose surprise is at most `mu`, which starts at `2 tau`; after a draw of
/// surprise s, `mu -= eta · (s − tau)`. In bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mirostat {
    /// The surprise to aim at, bits, above 0 to 30.
    pub tau: f32,
    /// How fast to adapt, 0 to 1.
    pub eta: f32,
}

/// DRY: a token that would extend a repetition of `l >= allowed_length` tokens loses `multiplier · base^(l −
/// allowed_length)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dry {
    /// The penalty of the shortest repetition that counts, 0 to 100.
    pub multiplier: f32,
    /// Its growth with each further token, 1 to 10.
    pub base: f32,
    /// The shortest repetition that counts, in tokens, at least 1.
    pub allowed_length: u32,
    /// Looks at the last tokens of prompt and output, so many of them; `None` at all.
    pub last_n: Option<u32>,
    /// Tokens over which no repetition reaches.
    pub sequence_breakers: Vec<u32>,
}

impl Default for Dry {
    /// llama.cpp's numbers, with a multiplier that acts.
    fn default() -> Self {
        Self { multiplier: 0.8, base: 1.75, allowed_length: 2, last_n: None, sequence_breakers: Vec::new() }
    }
}

/// A step between logits and draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// From here on probabilities are those at the temperature.
    Temperature,
    /// [`SamplingParams::top_k`]
    TopK,
    /// [`SamplingParams::top_p`]
    TopP,
    /// [`SamplingParams::min_p`]
    MinP,
    /// [`SamplingParams::typical_p`]
    TypicalP,
    /// [`SamplingParams::top_n_sigma`]
    TopNSigma,
    /// [`SamplingParams::epsilon_cutoff`]
    EpsilonCutoff,
    /// [`SamplingParams::xtc_threshold`]
    Xtc,
    /// [`SamplingParams::mirostat`]
    Mirostat,
}

impl Filter {
    /// Every step.
    pub const ALL: [Self; 9] = [
        Self::Temperature,
        Self::TopK,
        Self::TopP,
        Self::MinP,
        Self::TypicalP,
        Self::TopNSigma,
        Self::EpsilonCutoff,
        Self::Xtc,
        Self::Mirostat,
    ];

    /// The name of its parameter: `top_k`, `typical_p`, `xtc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopK => "top_k",
            Self::TopP => "top_p",
            Self::MinP => "min_p",
            Self::TypicalP => "typical_p",
            Self::TopNSigma => "top_n_sigma",
            Self::EpsilonCutoff => "epsilon_cutoff",
            Self::Xtc => "xtc",
            Self::Mirostat => "mirostat",
        }
    }
}

/// The order of temperature and filters. Each filter works on the distribution that the ones before it left, summed to
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// vLLM's: temperature, min-p, top-k, top-p. What vLLM lacks stands where it is closest: top-n-sigma, typical-p and
    /// the epsilon cutoff before min-p, XTC and Mirostat at the end.
    #[default]
    Vllm,
    /// llama.cpp's: top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature; the epsilon cutoff after min-p. With
    /// Mirostat nothing but temperature and Mirostat, as there.
    Llama,
    /// An order of one's own, with every step that is to act.
    List(Vec<Filter>),
}

impl Order {
    /// The steps, in order.
    pub(crate) fn steps(&self, has_mirostat: bool) -> Vec<Filter> {
        use Filter::{EpsilonCutoff, MinP, Mirostat, Temperature, TopK, TopNSigma, TopP, TypicalP, Xtc};
        match self {
            Self::Vllm => {
                vec![Temperature, TopNSigma, TypicalP, EpsilonCutoff, MinP, TopK, TopP, Xtc, Mirostat]
            }
            Self::Llama if has_mirostat => vec![Temperature, Mirostat],
            Self::Llama => vec![TopNSigma, TopK, TypicalP, TopP, MinP, EpsilonCutoff, Xtc, Temperature],
            Self::List(list) => list.clone(),
        }
    }
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            epsilon_cutoff: 0.0,
            xtc_threshold: 0.1,
            xtc_probability: 0.0,
            mirostat: None,
            order: Order::Vllm,
            logit_bias: Vec::new(),
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_last_n: None,
            dry: None,
            bad_words: Vec::new(),
            min_tokens: 0,
            stop_token_ids: Vec::new(),
            allowed_token_ids: None,
            seed: None,
            stream: 0,
            n: 1,
            raw_logprobs: None,
            processed_logprobs: None,
        }
    }
}

impl SamplingParams {
    /// Most draws per row.
    pub const MAX_DRAWS: u32 = 16;
    /// Most entries of the raw and of the processed list: as many as one workgroup can hold.
    pub const MAX_LOGPROBS: u32 = MOST_LISTED;

    /// Nothing, if every field is in its range. Token ids are compared with the vocabulary when a row is sampled.
    ///
    /// # Errors
    /// [`Error::Params`] names the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let temperatures = LogprobsParams::MIN_TEMPERATURE..=LogprobsParams::MAX_TEMPERATURE;
        if self.temperature != 0.0 && !temperatures.contains(&self.temperature) {
            return Err(Error::Params(format!(
                "temperature {} is neither 0 nor in {} to {}: take 0 for greedy",
                self.temperature,
                temperatures.start(),
                temperatures.end()
            )));
        }
        let (tau, eta) = self.mirostat.map_or((1.0, 0.0), |mirostat| (mirostat.tau, mirostat.eta));
        let dry = self.dry.clone().unwrap_or_default();
        let most_range = temperatures.end() - self.temperature;
        let ranges = [
            ("dynatemp_range", self.dynatemp_range, 0.0, most_range, "temperature + range stays within 1000"),
            ("dynatemp_exponent", self.dynatemp_exponent, 0.0, 1000.0, "1 is the plain entropy"),
            ("top_p", self.top_p, 0.0, 1.0, "1 keeps all"),
            ("min_p", self.min_p, 0.0, 1.0, "0 keeps all"),
            ("typical_p", self.typical_p, 0.0, 1.0, "1 keeps all"),
            ("top_n_sigma", self.top_n_sigma, 0.0, 1000.0, "0 keeps all"),
            ("epsilon_cutoff", self.epsilon_cutoff, 0.0, 1.0f32.next_down(), "0 keeps all"),
            ("xtc_threshold", self.xtc_threshold, 0.0, 1.0, "over 0.5 it never acts"),
            ("xtc_probability", self.xtc_probability, 0.0, 1.0, "0 never acts"),
            ("mirostat tau", tau, f32::MIN_POSITIVE, 30.0, "it is in bits"),
            ("mirostat eta", eta, 0.0, 1.0, "0.1 is usual"),
            ("repetition_penalty", self.repetition_penalty, 0.01, 100.0, "1 changes nothing"),
            ("presence_penalty", self.presence_penalty, -100.0, 100.0, "0 changes nothing"),
            ("frequency_penalty", self.frequency_penalty, -100.0, 100.0, "0 changes nothing"),
            ("dry multiplier", dry.multiplier, 0.0, 100.0, "0 changes nothing"),
            ("dry base", dry.base, 1.0, 10.0, "1 grows not at all"),
        ];
        for (name, value, least, most, remedy) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Error::Params(format!("{name} {value} is outside {least} to {most}: {remedy}")));
            }
        }
        let counts = [
            ("n", Some(self.n), 1, Self::MAX_DRAWS, "put further draws in rows with another `stream`"),
            ("raw_logprobs", self.raw_logprobs, 0, Self::MAX_LOGPROBS, "ask for fewer entries"),
            ("processed_logprobs", self.processed_logprobs, 0, Self::MAX_LOGPROBS, "ask for fewer entries"),
        ];
        for (name, value, least, most, remedy) in counts {
            if let Some(value) = value
                && !(least..=most).contains(&value)
            {
                return Err(Error::Params(format!("{name} {value} is outside {least} to {most}: {remedy}")));
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
        if self.dry.as_ref().is_some_and(|dry| dry.allowed_length == 0) {
            return Err(Error::Params(
                "dry allowed_length 0 is below 1: the shortest repetition is one token".to_owned(),
            ));
        }
        if self.bad_words.iter().any(Vec::is_empty) {
            return Err(Error::Params("a bad word has no tokens: leave it out".to_owned()));
        }
        if let Order::List(list) = &self.order
            && let Some((i, filter)) = list.iter().enumerate().find(|(i, filter)| list[..*i].contains(filter))
        {
            return Err(Error::Params(format!(
                "{} stands twice in the order, the second time in place {i}: each acts once",
                filter.name()
            )));
        }
        if let Order::List(list) = &self.order
            && self.temperature > 0.0
            && let Some(missing) =
                Filter::ALL.into_iter().find(|step| self.acts(*step) && !list.contains(step))
        {
            return Err(Error::Params(format!(
                "{} is set, but not in the order: add it to the list, or leave it at its default",
                missing.name()
            )));
        }
        Ok(())
    }

    /// Whether a filter does anything with these parameters.
    pub(crate) fn acts(&self, filter: Filter) -> bool {
        match filter {
            Filter::Temperature => self.temperature != 1.0 || self.dynatemp_range > 0.0,
            Filter::TopK => self.top_k > 0,
            Filter::TopP => self.top_p < 1.0,
            Filter::MinP => self.min_p > 0.0,
            Filter::TypicalP => self.typical_p < 1.0,
            Filter::TopNSigma => self.top_n_sigma > 0.0,
            Filter::EpsilonCutoff => self.epsilon_cutoff > 0.0,
            Filter::Xtc => self.xtc_probability > 0.0,
            Filter::Mirostat => self.mirostat.is_some(),
        }
    }

    /// Nothing, if every token id that a field names lies in the vocabulary. Sampling a row checks it too.
    ///
    /// # Errors
    /// [`Error::Params`] names the field and the token.
    pub fn validate_tokens(&self, vocab: usize) -> Result<()> {
        let empty = Vec::new();
        let lists: [(&str, Box<dyn Iterator<Item = u32> + '_>); 5] = [
            ("logit_bias", Box::new(self.logit_bias.iter().map(|(token, _)| *token))),
            ("bad_words", Box::new(self.bad_words.iter().flatten().copied())),
            ("stop_token_ids", Box::new(self.stop_token_ids.iter().copied())),
            (
                "allowed_token_ids",
                Box::new(self.allowed_token_ids.as_ref().unwrap_or(&empty).iter().copied()),
            ),
            (
                "dry's sequence_breakers",
                Box::new(self.dry.iter().flat_map(|dry| dry.sequence_breakers.iter().copied())),
            ),
        ];
        for (name, mut tokens) in lists {
            if let Some(token) = tokens.find(|&token| token as usize >= vocab) {
                return Err(Error::Params(format!(
                    "token {token} of {name} is outside the vocabulary of {vocab}: remove it"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_out_of_range_is_named() {
        type Change = fn(&mut SamplingParams);
        let cases: [(&str, Change); 31] = [
            ("temperature -1", |p| p.temperature = -1.0),
            ("temperature NaN", |p| p.temperature = f32::NAN),
            ("temperature 0.0001", |p| p.temperature = 0.0001),
            ("temperature inf", |p| p.temperature = f32::INFINITY),
            ("dynatemp_range 1000", |p| p.dynatemp_range = 1000.0),
            ("dynatemp_exponent -1", |p| p.dynatemp_exponent = -1.0),
            ("top_p 1.5", |p| p.top_p = 1.5),
            ("top_p NaN", |p| p.top_p = f32::NAN),
            ("min_p -0.1", |p| p.min_p = -0.1),
            ("typical_p 2", |p| p.typical_p = 2.0),
            ("top_n_sigma -1", |p| p.top_n_sigma = -1.0),
            ("epsilon_cutoff 1", |p| p.epsilon_cutoff = 1.0),
            ("xtc_threshold 1.1", |p| p.xtc_threshold = 1.1),
            ("xtc_probability -1", |p| p.xtc_probability = -1.0),
            ("mirostat tau 0", |p| p.mirostat = Some(Mirostat { tau: 0.0, eta: 0.1 })),
            ("mirostat eta 2", |p| p.mirostat = Some(Mirostat { tau: 5.0, eta: 2.0 })),
            ("repetition_penalty 0", |p| p.repetition_penalty = 0.0),
            ("presence_penalty 101", |p| p.presence_penalty = 101.0),
            ("frequency_penalty -101", |p| p.frequency_penalty = -101.0),
            ("dry multiplier -1", |p| p.dry = Some(Dry { multiplier: -1.0, ..Dry::default() })),
            ("dry base 0.5", |p| p.dry = Some(Dry { base: 0.5, ..Dry::default() })),
            ("dry allowed_length 0", |p| p.dry = Some(Dry { allowed_length: 0, ..Dry::default() })),
            ("logit_bias sum to 6.0000000109955115e38", |p| p.logit_bias = vec![(3, 3e38), (3, 3e38)]),
            ("top_p is set", |p| (p.top_p, p.order) = (0.9, Order::List(vec![Filter::TopK]))),
            ("temperature is set", |p| (p.temperature, p.order) = (0.9, Order::List(Vec::new()))),
            ("n 0", |p| p.n = 0),
            ("n 17", |p| p.n = 17),
            ("raw_logprobs 1025", |p| p.raw_logprobs = Some(1025)),
            ("processed_logprobs 1025", |p| p.processed_logprobs = Some(1025)),
            ("logit_bias inf of token 3", |p| p.logit_bias = vec![(3, f32::INFINITY)]),
            ("top_k stands twice", |p| p.order = Order::List(vec![Filter::TopK, Filter::TopK])),
        ];
        SamplingParams::default().validate().expect("the default is sound");
        for (words, change) in cases {
            let mut params = SamplingParams::default();
            change(&mut params);
            let message = params.validate().expect_err(words).to_string();
            assert!(message.contains(words) && message.contains(':'), "{words}: {message}");
        }
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_named() {
        type Change = fn(&mut SamplingParams);
        let cases: [(&str, Change); 5] = [
            ("logit_bias", |p| p.logit_bias = vec![(3, 1.0), (10, 1.0)]),
            ("bad_words", |p| p.bad_words = vec![vec![1], vec![2, 10]]),
            ("stop_token_ids", |p| p.stop_token_ids = vec![10]),
            ("allowed_token_ids", |p| p.allowed_token_ids = Some(vec![0, 10])),
            ("sequence_breakers", |p| {
                p.dry = Some(Dry { sequence_breakers: vec![10], ..Dry::default() });
            }),
        ];
        for (words, change) in cases {
            let mut params = SamplingParams::default();
            change(&mut params);
            params.validate_tokens(11).expect("in range");
            let message = params.validate_tokens(10).expect_err(words).to_string();
            assert!(message.contains("token 10") && message.contains(words), "{message}");
        }
    }
}
