use std::collections::BTreeMap;

use crate::request::{Dry, Filter, Order, SamplingParams};

/// What the definition says that temperature and filters leave of one row.
#[derive(Clone, Debug)]
pub struct Truncated {
    /// The kept tokens, in order: logit descending, then token ascending.
    pub kept: Vec<u32>,
    /// Natural logarithms of their probabilities under the distribution that is drawn from, in the same order.
    pub logprobs: Vec<f64>,
    /// The probability that the kept tokens had in the whole row, at the temperature at which the first filter worked;
    /// at 1 if the temperature is dynamic.
    pub kept_mass: f64,
    /// Entropy of the distribution that is drawn from, in nats.
    pub entropy: f64,
    /// Its temperature.
    pub temperature: f64,
    /// What a dynamic temperature came from: entropy over the largest possible, 0 to 1.
    pub spread: Option<f64>,
    /// How near a token came to the other side of a filter's boundary: the smallest |quantity − boundary| / boundary over
    /// the probabilities and masses that were compared, or |quantity − boundary| over the surprises (nats). Infinite
    /// if nothing was compared. Comparisons of equal logits with each other do not count, they are exact anywhere.
    pub margin: f64,
    /// The same of the logits (nats at temperature 1) that [`Filter::TopNSigma`] compared.
    pub sigma_margin: f64,
}

/// The steps of an order.
#[must_use]
pub fn steps(order: &Order, has_mirostat: bool) -> Vec<Filter> {
    match order {
        Order::Vllm => vec![
            Filter::Temperature,
            Filter::TopNSigma,
            Filter::TypicalP,
            Filter::EpsilonCutoff,
            Filter::MinP,
            Filter::TopK,
            Filter::TopP,
            Filter::Xtc,
            Filter::Mirostat,
        ],
        Order::Llama if has_mirostat => vec![Filter::Temperature, Filter::Mirostat],
        Order::Llama => vec![
            Filter::TopNSigma,
            Filter::TopK,
            Filter::TypicalP,
            Filter::TopP,
            Filter::MinP,
            Filter::EpsilonCutoff,
            Filter::Xtc,
            Filter::Temperature,
        ],
        Order::List(list) => list.clone(),
    }
}

/// What these steps leave of a row of processed logits, or `None` if the row is no distribution. `mu` is Mirostat's
/// limit in bits, `xtc_acts` what XTC's coin says.
///
/// A parameter at the value that switches it off takes its step out. At temperature 0 there are no steps.
#[must_use]
pub fn sampling(
    row: &[f32],
    params: &SamplingParams,
    steps: &[Filter],
    mu: f64,
    xtc_acts: bool,
) -> Option<Truncated> {
    let order = super::truth(row, 1.0)?.order;
    let mut state = State {
        row,
        kept: order.clone(),
        temperature: 1.0,
        spread: None,
        margin: f64::INFINITY,
        sigma_margin: f64::INFINITY,
    };
    let mut first_temperature = None;
    for &step in steps.iter().filter(|step| params.temperature != 0.0 && is_on(params, **step)) {
        if step == Filter::Temperature {
            state.set_temperature(params);
        } else {
            let fixed = if state.spread.is_some() { 1.0 } else { state.temperature };
            first_temperature.get_or_insert(fixed);
            state.filter(step, params, mu, xtc_acts);
        }
    }
    let logprobs = logprobs(row, &state.kept, state.temperature);
    let mut is_kept = vec![false; row.len()];
    state.kept.iter().for_each(|&token| is_kept[token as usize] = true);
    let before = self::logprobs(row, &order, first_temperature.unwrap_or(state.temperature));
    let of_kept = order.iter().zip(&before).filter(|(token, _)| is_kept[**token as usize]);
    let kept_mass = sum(of_kept.map(|(_, lp)| lp.exp()));
    Some(Truncated {
        entropy: entropy(&logprobs),
        logprobs,
        kept_mass,
        temperature: state.temperature,
        spread: state.spread,
        margin: state.margin,
        sigma_margin: state.sigma_margin,
        kept: state.kept,
    })
}

fn is_on(params: &SamplingParams, step: Filter) -> bool {
    match step {
        Filter::Temperature => true,
        Filter::TopK => params.top_k > 0,
        Filter::TopP => params.top_p < 1.0,
        Filter::MinP => params.min_p > 0.0,
        Filter::TypicalP => params.typical_p < 1.0,
        Filter::TopNSigma => params.top_n_sigma > 0.0,
        Filter::EpsilonCutoff => params.epsilon_cutoff > 0.0,
        Filter::Xtc => params.xtc_probability > 0.0,
        Filter::Mirostat => params.mirostat.is_some(),
    }
}

/// The smallest first, so that a long tail is not lost against the sum.
fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    let mut terms: Vec<f64> = terms.collect();
    terms.sort_by(f64::total_cmp);
    terms.iter().sum()
}

/// Logprobs of these tokens, the first of which has the largest logit, among themselves.
fn logprobs(row: &[f32], tokens: &[u32], temperature: f64) -> Vec<f64> {
    let logit = |token: u32| f64::from(row[token as usize]);
    let scaled = |&token: &u32| (logit(token) - logit(tokens[0])) / temperature;
    let ln_sum = sum(tokens.iter().map(|token| scaled(token).exp())).ln();
    tokens.iter().map(|token| scaled(token) - ln_sum).collect()
}

/// `−Σ p ln p`, nats.
fn entropy(logprobs: &[f64]) -> f64 {
    sum(logprobs.iter().map(|lp| -lp * lp.exp()))
}

/// What is left of a row on the way through the steps.
struct State<'a> {
    row: &'a [f32],
    /// In order.
    kept: Vec<u32>,
    temperature: f64,
    spread: Option<f64>,
    margin: f64,
    sigma_margin: f64,
}

impl State<'_> {
    fn set_temperature(&mut self, params: &SamplingParams) {
        let temperature = f64::from(params.temperature);
        let range = f64::from(params.dynatemp_range);
        self.temperature = temperature;
        if range > 0.0 {
            let (low, high) = ((temperature - range).max(0.001), temperature + range);
            let most = (self.kept.len() as f64).ln();
            let spread = entropy(&logprobs(self.row, &self.kept, 1.0)) / most;
            self.spread = Some(if most > 0.0 { spread.clamp(0.0, 1.0) } else { 0.0 });
            let raised = if most > 0.0 {
                spread.clamp(0.0, 1.0).powf(f64::from(params.dynatemp_exponent))
            } else {
                0.0
            };
            self.temperature = low + (high - low) * raised;
        }
    }

    fn filter(&mut self, step: Filter, params: &SamplingParams, mu: f64, xtc_acts: bool) {
        let logprobs = logprobs(self.row, &self.kept, self.temperature);
        let probabilities: Vec<f64> = logprobs.iter().map(|lp| lp.exp()).collect();
        match step {
            Filter::Temperature => {}
            Filter::TopK => self.kept.truncate(params.top_k as usize),
            Filter::TopP => {
                // Keep a token while the mass before it is below p.
                let p = f64::from(params.top_p);
                let (mut before, mut count) = (0.0, 0);
                for (place, probability) in probabilities.iter().enumerate() {
                    count += usize::from(before < p);
                    if place > 0 {
                        self.compared(before, p);
                    }
                    before += probability;
                }
                self.kept.truncate(count.max(1));
            }
            Filter::MinP => {
                let p = f64::from(params.min_p);
                let ratios: Vec<f64> = logprobs.iter().map(|lp| (lp - logprobs[0]).exp()).collect();
                ratios.iter().filter(|ratio| **ratio != 1.0).for_each(|ratio| self.compared(*ratio, p));
                self.kept.truncate(ratios.iter().filter(|ratio| **ratio >= p).count());
            }
            Filter::EpsilonCutoff => self.keep_probable(&probabilities, f64::from(params.epsilon_cutoff)),
            Filter::Mirostat => self.keep_probable(&probabilities, (-mu.clamp(0.0, 63.0)).exp2()),
            Filter::TopNSigma => self.keep_sigmas(f64::from(params.top_n_sigma)),
            Filter::Xtc if xtc_acts => {
                let threshold = f64::from(params.xtc_threshold);
                probabilities.iter().for_each(|probability| self.compared(*probability, threshold));
                let above = probabilities.iter().filter(|probability| **probability >= threshold).count();
                self.kept.drain(..above.saturating_sub(1));
            }
            Filter::Xtc => {}
            Filter::TypicalP => self.keep_typical(&logprobs, f64::from(params.typical_p)),
        }
    }

    fn compared(&mut self, quantity: f64, boundary: f64) {
        self.margin = self.margin.min((quantity - boundary).abs() / boundary.max(f64::MIN_POSITIVE));
    }

    /// Tokens of at least this probability, or the first.
    fn keep_probable(&mut self, probabilities: &[f64], least: f64) {
        probabilities.iter().skip(1).for_each(|probability| self.compared(*probability, least));
        self.kept.truncate(probabilities.iter().filter(|probability| **probability >= least).count().max(1));
    }

    /// Logits of at least the largest less so many standard deviations (over the number of tokens, not one less). A logit
    /// counts as at most 256 below the largest of the row.
    fn keep_sigmas(&mut self, sigmas: f64) {
        let max = self.row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let distances: Vec<f64> = self
            .kept
            .iter()
            .map(|&token| (f64::from(max) - f64::from(self.row[token as usize])).min(256.0))
            .collect();
        let count = distances.len() as f64;
        let mean = sum(distances.iter().copied()) / count;
        let deviation = (sum(distances.iter().map(|distance| (distance - mean).powi(2))) / count).sqrt();
        let limit = distances[0] + sigmas * deviation;
        let holds = |distance: &f64| *distance == distances[0] || *distance <= limit;
        for distance in distances.iter().filter(|distance| **distance != distances[0]) {
            self.sigma_margin = self.sigma_margin.min((distance - limit).abs());
        }
        self.kept.truncate(distances.iter().filter(|distance| holds(distance)).count());
    }

    /// By the distance of their surprise from the entropy, nearest first, while the mass before is below the share; all
    /// at one distance stand and fall together.
    fn keep_typical(&mut self, logprobs: &[f64], share: f64) {
        let entropy = entropy(logprobs);
        let deviation = |lp: f64| (-lp - entropy).abs();
        let mut near: Vec<(f64, f64)> = logprobs.iter().map(|&lp| (deviation(lp), lp.exp())).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut before, mut farthest) = (0.0, near[0].0);
        for group in near.chunk_by(|a, b| a.0 == b.0) {
            if group[0].0 > farthest {
                self.compared(before, share);
                if before >= share {
                    self.margin = self.margin.min(group[0].0 - farthest);
                    break;
                }
                farthest = group[0].0;
            }
            before += group.iter().map(|(_, probability)| probability).sum::<f64>();
        }
        let mut deviations = logprobs.iter().map(|&lp| deviation(lp));
        self.kept.retain(|_| deviations.next().is_some_and(|deviation| deviation <= farthest));
    }
}

/// The logits of a row after all changes, before any filter. `allows` says what a grammar allows, `position` is the
/// number of the token to draw.
///
/// In turn: not allowed, or banned: −∞. Otherwise `x + bias`; for a token seen before `x / r` where that is positive,
/// `x · r` where not; minus presence and frequency penalty, minus DRY's.
#[must_use]
pub fn changed_logits(
    row: &[f32],
    params: &SamplingParams,
    prompt: &[u32],
    output: &[u32],
    position: u64,
    allows: &dyn Fn(u32) -> bool,
) -> Vec<f64> {
    let history = [prompt, output].concat();
    let window = |last: u32| &history[history.len().saturating_sub(last as usize)..];
    let repeated = params.penalty_last_n.map_or(&history[..], window);
    let counted = params.penalty_last_n.map_or(output, window);
    let dry = params.dry.as_ref().map_or_else(BTreeMap::new, |dry| dry_penalties(dry, &history));
    let is_banned = |token: u32| {
        let ends_bad_word = |word: &Vec<u32>| {
            word.split_last().is_some_and(|(last, before)| *last == token && output.ends_with(before))
        };
        let is_early_stop = position < params.min_tokens && params.stop_token_ids.contains(&token);
        let is_outside = params.allowed_token_ids.as_ref().is_some_and(|allowed| !allowed.contains(&token));
        is_early_stop || is_outside || !allows(token) || params.bad_words.iter().any(ends_bad_word)
    };
    (0..)
        .zip(row)
        .map(|(token, &logit)| {
            if is_banned(token) {
                return f64::NEG_INFINITY;
            }
            if !logit.is_finite() {
                return f64::from(logit);
            }
            let mut logit = f64::from(logit);
            logit += params
                .logit_bias
                .iter()
                .filter(|(of, _)| *of == token)
                .map(|(_, bias)| f64::from(*bias))
                .sum::<f64>();
            if repeated.contains(&token) {
                let penalty = f64::from(params.repetition_penalty);
                logit = if logit > 0.0 { logit / penalty } else { logit * penalty };
            }
            let count = counted.iter().filter(|seen| **seen == token).count();
            if count > 0 {
                logit -=
                    f64::from(params.presence_penalty) + count as f64 * f64::from(params.frequency_penalty);
            }
            logit - dry.get(&token).copied().unwrap_or(0.0)
        })
        .collect()
}

/// For every place of the history, how many tokens before it equal the last ones, back to the last breaker: the token
/// at that place would repeat so many.
fn dry_penalties(dry: &Dry, history: &[u32]) -> BTreeMap<u32, f64> {
    let history = &history[dry.last_n.map_or(0, |last| history.len().saturating_sub(last as usize))..];
    let reach = history.iter().rev().take_while(|token| !dry.sequence_breakers.contains(token)).count();
    let mut penalties = BTreeMap::new();
    for (place, &token) in history.iter().enumerate() {
        let repeated = history[..place]
            .iter()
            .rev()
            .zip(history.iter().rev())
            .take(reach)
            .take_while(|(earlier, last)| earlier == last)
            .count();
        if repeated >= dry.allowed_length as usize && !dry.sequence_breakers.contains(&token) {
            let further = repeated - dry.allowed_length as usize;
            let penalty = f64::from(dry.multiplier) * f64::from(dry.base).powf(further as f64);
            let longest: &mut f64 = penalties.entry(token).or_insert(0.0);
            *longest = longest.max(penalty.min(f64::from(f32::MAX)));
        }
    }
    penalties
}
