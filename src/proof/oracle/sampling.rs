//! What temperature and filters leave of a row, by the definition.

use crate::params::SamplingParams;
use crate::params::{Order, SamplingStep};

/// What the definition says that temperature and filters leave of one row.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Whether a filter acted.
    pub is_filtered: bool,
    /// Its temperature.
    pub temperature: f64,
    /// What a dynamic temperature came from: entropy over the largest possible, 0 to 1.
    pub spread: Option<f64>,
    /// How near a token came to the other side of a filter's boundary: the smallest |quantity − boundary| / boundary
    /// over the probabilities and masses that were compared, or |quantity − boundary| over the surprises (nats).
    /// Infinite if nothing was compared. Comparisons of equal logits with each other do not count, they are exact
    /// anywhere.
    pub margin: f64,
    /// The smallest distance to the boundary (nats at temperature 1) of the logits that [`SamplingStep::TopNSigma`] compared.
    pub sigma_margin: f64,
}

/// The steps of an order: a choice, so it is the engines' own.
#[must_use]
pub fn steps(order: &Order, has_mirostat: bool) -> Vec<SamplingStep> {
    order.steps(has_mirostat).to_vec()
}

/// What these steps leave of a row of processed logits, or `None` if the row is no distribution. `mu` is Mirostat's
/// limit in bits, `xtc_acts` what XTC's coin says.
///
/// A parameter at the value that switches it off takes its step out. At temperature 0 there are no steps.
#[must_use]
pub fn sampling(
    row: &[f32],
    params: &SamplingParams,
    steps: &[SamplingStep],
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
    for &step in steps.iter().filter(|step| params.temperature != 0.0 && step.acts(params)) {
        if step == SamplingStep::Temperature {
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
        is_filtered: first_temperature.is_some(),
        temperature: state.temperature,
        spread: state.spread,
        margin: state.margin,
        sigma_margin: state.sigma_margin,
        kept: state.kept,
    })
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

    fn filter(&mut self, step: SamplingStep, params: &SamplingParams, mu: f64, xtc_acts: bool) {
        let logprobs = logprobs(self.row, &self.kept, self.temperature);
        let probabilities: Vec<f64> = logprobs.iter().map(|lp| lp.exp()).collect();
        match step {
            SamplingStep::Temperature => {}
            SamplingStep::TopK => self.kept.truncate(params.top_k as usize),
            SamplingStep::TopP => {
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
            SamplingStep::MinP => {
                let p = f64::from(params.min_p);
                let ratios: Vec<f64> = logprobs.iter().map(|lp| (lp - logprobs[0]).exp()).collect();
                ratios.iter().filter(|ratio| **ratio != 1.0).for_each(|ratio| self.compared(*ratio, p));
                self.kept.truncate(ratios.iter().filter(|ratio| **ratio >= p).count());
            }
            SamplingStep::EtaCutoff => {
                let epsilon = f64::from(params.eta_cutoff);
                let eta = epsilon.min(epsilon.sqrt() * (-entropy(&logprobs)).exp());
                self.keep_probable(&probabilities, eta);
            }
            SamplingStep::TopA => {
                self.keep_probable(&probabilities, f64::from(params.top_a) * probabilities[0].powi(2))
            }
            SamplingStep::TopH => self.keep_entropy(&logprobs, f64::from(params.top_h)),
            SamplingStep::PLess => {
                let two_agree = sum(probabilities.iter().map(|probability| probability.powi(2)));
                self.keep_probable(&probabilities, two_agree)
            }
            SamplingStep::EpsilonCutoff => {
                self.keep_probable(&probabilities, f64::from(params.epsilon_cutoff))
            }
            SamplingStep::Mirostat => self.keep_probable(&probabilities, (-mu.clamp(0.0, 63.0)).exp2()),
            SamplingStep::TopNSigma => self.keep_sigmas(f64::from(params.top_n_sigma)),
            SamplingStep::Xtc if xtc_acts => {
                let threshold = f64::from(params.xtc_threshold);
                probabilities.iter().for_each(|probability| self.compared(*probability, threshold));
                let above = probabilities.iter().filter(|probability| **probability >= threshold).count();
                let excluded = &self.kept[..above.saturating_sub(1)];
                if !excluded.iter().any(|token| params.xtc_exempt_token_ids.contains(token)) {
                    self.kept.drain(..above.saturating_sub(1));
                }
            }
            SamplingStep::Xtc => {}
            SamplingStep::TypicalP => self.keep_typical(&logprobs, f64::from(params.typical_p)),
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

    /// Tokens while what they bring to the entropy is at most a share of it; the first stays.
    fn keep_entropy(&mut self, logprobs: &[f64], share: f64) {
        let most = share * entropy(logprobs);
        let (mut brought, mut count) = (0.0, 0);
        for (place, lp) in logprobs.iter().enumerate() {
            brought -= lp * lp.exp();
            if place > 0 {
                // Entropies are known to 1e-6 nats, and two of them are compared.
                self.margin = self.margin.min((brought - most).abs() / 4.0);
                if brought > most {
                    break;
                }
            }
            count = place + 1;
        }
        self.kept.truncate(count);
    }

    /// Logits of at least the largest less so many standard deviations (over the number of tokens, not one less). A
    /// logit counts as at most 256 below the largest of the row.
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
