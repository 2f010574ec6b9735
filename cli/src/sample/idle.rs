//! What is asked of a request and cannot act, and why: each is told in a line.

use sortilege::{Order, SamplingParams};

use super::numbers::{LastN, Seed};
use super::params::PartialParams;
use crate::failure::{note, tell_idle};

/// A parameter, and why it cannot act.
type Idle = (&'static str, &'static str);

/// A request, with what its rows can see.
pub(super) struct Asked<'a> {
    pub(super) given: &'a PartialParams,
    pub(super) params: &'a SamplingParams,
    pub(super) prompt: &'a [u32],
    pub(super) vocab: usize,
    /// The position of its first row.
    pub(super) first: u64,
    pub(super) rows: usize,
    /// Drawn tokens that its last row sees.
    pub(super) seen: usize,
}

const NO_HISTORY: &str = "there is no prompt, and a row sees drawn tokens with --feedback alone";
const NO_OUTPUT: &str = "a row sees drawn tokens with --feedback alone";
const NO_OUTPUT_IN_WINDOW: &str =
    "a row sees drawn tokens with --feedback alone, and the prompt with penalty_last_n";
const NO_WINDOW: &str = "penalty_last_n 0 looks at no token";
const GREEDY: &str = "temperature 0 is greedy: it takes the most probable token";

impl Asked<'_> {
    /// All that cannot act.
    fn idle(&self) -> Vec<Idle> {
        let rules = self.penalties().into_iter().chain(self.restrictions()).chain(self.filters());
        rules.filter(|(is_idle, ..)| *is_idle).map(|(_, name, why)| (name, why)).collect()
    }

    fn sees_nothing(&self) -> bool {
        self.prompt.is_empty() && self.seen == 0
    }

    fn has_dry(&self) -> bool {
        self.params.dry.as_ref().is_some_and(|dry| dry.multiplier > 0.0)
    }

    /// Tokens that the last row sees of the last so many.
    fn in_sight(&self, last: Option<u32>) -> usize {
        let history = self.prompt.len() + self.seen;
        last.map_or(history, |last| history.min(last as usize))
    }

    fn penalties(&self) -> Vec<(bool, &'static str, &'static str)> {
        let Self { params, given, .. } = self;
        let window = params.penalty_last_n;
        let repeats = params.repetition_penalty != 1.0;
        let counts =
            [("presence_penalty", params.presence_penalty), ("frequency_penalty", params.frequency_penalty)];
        let has_counts = counts.iter().any(|(_, penalty)| *penalty != 0.0);
        let mut rules = vec![
            (repeats && window == Some(0), "repetition_penalty", NO_WINDOW),
            (repeats && window != Some(0) && self.sees_nothing(), "repetition_penalty", NO_HISTORY),
            (
                matches!(given.penalty_last_n, Some(LastN(_))) && !repeats && !has_counts,
                "penalty_last_n",
                "there is no repetition_penalty, presence_penalty or frequency_penalty",
            ),
        ];
        for (name, penalty) in counts {
            let acts = penalty != 0.0;
            rules.push((acts && window == Some(0), name, NO_WINDOW));
            rules.push((acts && window.is_some_and(|n| n > 0) && self.sees_nothing(), name, NO_HISTORY));
            rules.push((acts && window.is_none() && self.seen == 0, name, NO_OUTPUT_IN_WINDOW));
        }
        let punishes = repeats || has_counts || params.no_repeat_ngram_size > 0 || self.has_dry();
        rules.push((
            !params.penalty_exempt_token_ids.is_empty() && !punishes,
            "penalty_exempt_token_ids",
            "there is no penalty, dry or no_repeat_ngram_size",
        ));
        let looks_at_prompt = (repeats || has_counts && window.is_some()) && window != Some(0)
            || self.has_dry()
            || params.no_repeat_ngram_size > 0;
        rules.push((
            !self.prompt.is_empty() && !looks_at_prompt,
            "prompt",
            "repetition_penalty, dry and no_repeat_ngram_size look at it, and with penalty_last_n presence_penalty and \
             frequency_penalty",
        ));
        let strangers = self.prompt.iter().any(|&token| token as usize >= self.vocab);
        rules.push((
            strangers && looks_at_prompt,
            "a token of the prompt",
            "it is outside the vocabulary of the logits",
        ));
        rules
    }

    fn restrictions(&self) -> Vec<(bool, &'static str, &'static str)> {
        let Self { params, given, .. } = self;
        let mut rules = Vec::new();
        if let Some(dry) = params.dry.as_ref().filter(|dry| dry.multiplier > 0.0) {
            rules.push((self.sees_nothing(), "dry", NO_HISTORY));
            rules.push((
                !self.sees_nothing() && self.in_sight(dry.last_n) <= dry.allowed_length as usize,
                "dry",
                "it looks at too few tokens for a repetition of allowed_length",
            ));
        }
        let switch = given.dry.as_ref().map(|dry| dry.multiplier);
        rules.push((switch == Some(None), "dry", "its multiplier switches it on"));
        let has_parts = given.dry.as_ref().is_some_and(|dry| dry.has_parts());
        rules.push((
            switch == Some(Some(0.0)) && has_parts,
            "dry",
            "its multiplier switches it on, and is 0",
        ));
        rules.extend(self.ngrams());
        let is_long = |word: &Vec<u32>| word.len() > 1 && word.len() - 1 > self.seen;
        let words = params.bad_words.iter().any(is_long);
        rules.push((
            words && self.seen == 0,
            "bad_words of several tokens",
            "they follow drawn tokens, which a row sees with --feedback alone",
        ));
        rules.push((
            words && self.seen > 0,
            "some of bad_words",
            "they are longer than what a request draws",
        ));
        let stops = !params.stop_token_ids.is_empty();
        rules.push((
            params.min_tokens > 0 && !stops,
            "min_tokens",
            "there are no stop_token_ids to keep away",
        ));
        rules.push((
            params.min_tokens > 0 && stops && self.first >= params.min_tokens,
            "min_tokens",
            "every position is at or over it",
        ));
        let behind_last = self.first.saturating_add(self.rows as u64);
        rules.push((
            params.max_tokens.is_some_and(|most| most > behind_last),
            "max_tokens",
            "no row draws the last of so many",
        ));
        rules
    }

    fn ngrams(&self) -> [(bool, &'static str, &'static str); 3] {
        let Self { params, given, .. } = self;
        let size = params.no_repeat_ngram_size as usize;
        let is_short = self.in_sight(params.no_repeat_ngram_window) < size;
        [
            (size > 0 && self.sees_nothing(), "no_repeat_ngram_size", NO_HISTORY),
            (
                is_short && !self.sees_nothing(),
                "no_repeat_ngram_size",
                "it looks at fewer tokens than a sequence has",
            ),
            (
                given.no_repeat_ngram_window.is_some() && size == 0,
                "no_repeat_ngram_window",
                "no_repeat_ngram_size switches it on, and is 0",
            ),
        ]
    }

    fn filters(&self) -> Vec<(bool, &'static str, &'static str)> {
        let Self { params, given, .. } = self;
        let is_greedy = params.temperature == 0.0;
        let steps = [
            ("dynatemp_range", params.dynatemp_range != 0.0),
            ("top_k", params.top_k != 0),
            ("top_p", params.top_p != 1.0),
            ("min_p", params.min_p != 0.0),
            ("typical_p", params.typical_p != 1.0),
            ("top_n_sigma", params.top_n_sigma != 0.0),
            ("top_a", params.top_a != 0.0),
            ("epsilon_cutoff", params.epsilon_cutoff != 0.0),
            ("eta_cutoff", params.eta_cutoff != 0.0),
            ("p_less", params.p_less),
            ("top_h", params.top_h != 1.0),
            ("xtc_probability", params.xtc_probability != 0.0),
        ];
        let only_mirostat = params.mirostat.is_some() && params.order == Order::Llama;
        let mut rules = Vec::new();
        for (name, acts) in steps {
            rules.push((is_greedy && acts, name, GREEDY));
            let is_replaced = !is_greedy && only_mirostat && acts && name != "dynatemp_range";
            rules.push((is_replaced, name, "the order llama has no other filter beside mirostat"));
        }
        // Two steps at least have an order.
        let set = steps.iter().filter(|(_, acts)| *acts).count()
            + usize::from(params.temperature != 1.0 && params.dynatemp_range == 0.0)
            + usize::from(params.mirostat.is_some());
        rules.push((
            given.order.is_some() && !is_greedy && set < 2,
            "order",
            "there are no two of temperature and filters to put in it",
        ));
        rules.push((
            !params.xtc_exempt_token_ids.is_empty()
                && (is_greedy || params.xtc_probability == 0.0 || only_mirostat),
            "xtc_exempt_token_ids",
            "XTC does not act",
        ));
        let of_draws = [
            ("mirostat", params.mirostat.is_some()),
            ("order", given.order.is_some()),
            ("seed", matches!(given.seed, Some(Seed(Some(_))))),
            ("stream", given.stream.is_some()),
        ];
        rules.extend(of_draws.map(|(name, is_given)| (is_greedy && is_given, name, GREEDY)));
        rules.push((
            !is_greedy && params.xtc_probability != 0.0 && params.xtc_threshold > 0.5,
            "xtc_probability",
            "no two tokens reach an xtc_threshold over 0.5",
        ));
        rules.push((
            given.xtc_threshold.is_some() && params.xtc_probability == 0.0,
            "xtc_threshold",
            "xtc_probability switches XTC on, and is 0",
        ));
        rules.push((
            given.xtc_threshold.is_some() && params.xtc_probability != 0.0 && !is_greedy && only_mirostat,
            "xtc_threshold",
            "the order llama has no other filter beside mirostat",
        ));
        rules.push((
            given.dynatemp_exponent.is_some() && params.dynatemp_range == 0.0,
            "dynatemp_exponent",
            "dynatemp_range switches the dynamic temperature on, and is 0",
        ));
        let has_eta = given.mirostat.as_ref().is_some_and(|mirostat| mirostat.eta.is_some());
        rules.push((
            has_eta && params.mirostat.is_none(),
            "mirostat eta",
            "mirostat tau switches Mirostat on",
        ));
        rules.push((has_eta && params.mirostat.is_some() && self.seen == 0, "mirostat eta", NO_OUTPUT));
        rules
    }

    /// Whether something of it looks at what was drawn before.
    pub(super) fn looks_back(&self) -> bool {
        let params = self.params;
        let penalties = params.repetition_penalty != 1.0
            || params.presence_penalty != 0.0
            || params.frequency_penalty != 0.0;
        penalties && params.penalty_last_n != Some(0)
            || self.has_dry()
            || params.bad_words.iter().any(|word| word.len() > 1)
            || params.no_repeat_ngram_size > 0
            || !params.stop_token_ids.is_empty()
            || params.mirostat.is_some() && params.temperature != 0.0
    }
}

/// What cannot act, of many requests.
#[derive(Default)]
pub(super) struct IdleTally {
    requests: usize,
    /// Each with the number of requests for which that is so.
    idle: Vec<(Idle, usize)>,
    looks_back: bool,
}

impl IdleTally {
    /// Counts what cannot act of a request.
    pub(super) fn count(&mut self, asked: &Asked<'_>) {
        self.requests += 1;
        self.looks_back |= asked.looks_back();
        for idle in asked.idle() {
            match self.idle.iter_mut().find(|(other, _)| *other == idle) {
                Some((_, count)) => *count += 1,
                None => self.idle.push((idle, 1)),
            }
        }
    }

    /// Tells each in a line.
    pub(super) fn tell(self) {
        for ((name, why), count) in self.idle {
            if count == self.requests {
                tell_idle(name, why);
            } else {
                let requests = self.requests;
                note!("note: {name} cannot act in {count} of {requests} requests: {why}");
            }
        }
    }

    /// Tells whether feedback cannot act: on rows of which each sees at most so many drawn tokens, and which it may have
    /// made one request.
    pub(super) fn tell_feedback(&self, seen: usize, makes_one_request: bool) {
        if seen == 0 {
            tell_idle("--feedback", "every request has one row");
        } else if !self.looks_back && !makes_one_request {
            tell_idle("--feedback", "nothing that is asked looks at drawn tokens");
        }
    }
}
