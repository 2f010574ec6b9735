//! A request in the making, and the rows that draw its tokens (long: half of it is documentation).

use std::collections::HashSet;

use super::bad_words::BadWords;
use super::change::Change;
use super::changes::has_same_changes;
use super::compiled::Compiled;
use super::history::History;
#[cfg(feature = "gpu")]
use super::identity::Identity;
use super::ngrams::NGrams;
use super::penalties::Penalties;
use super::repeats::Repeats;
use super::seed::random_seed;
use super::table::ChangeTable;
use crate::answer::{Sample, Status};
use crate::arithmetic::exact::pow2;
use crate::arithmetic::format::MAX_VOCAB;
use crate::error::{Error, Result};
use crate::filter::Cut;
use crate::params::{Dry, SamplingParams};

/// Seeds and streams that a request had before, of which samples are still taken.
const MOST_FORMER_KEYS: usize = 64;

/// A request in the making: its parameters, its seed, and the tokens that penalties, DRY and bad words look at. Keep it
/// from step to step; it holds nothing of a device, so adding and removing requests moves no other's results.
///
/// What the tokens change is kept from token to token: an accepted token costs as much in the last step of a long text as
/// in the first. (DRY costs as much as the last `allowed_length` tokens, at most four, occurred within the last `last_n`;
/// no-repeat-ngram as much as the tokens that it bans in this step.)
///
/// # Example
/// ```
/// use sortilege::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};
/// let params = SamplingParams { temperature: 0.8, top_p: 0.95, seed: Some(7), ..SamplingParams::default() };
/// let mut request = Request::new(params)?;
/// let logits = [2.0f32, 1.0, 0.1, -3.0];
/// for position in 0..4 {
///     let samples = Cpu.sample(&Logits::f32(&logits, 1, 4)?, &[request.row(position)], &SampleInputs::default())?;
///     request.accept(&samples[0])?;
/// }
/// assert_eq!(request.output().len(), 4);
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) params: SamplingParams,
    pub(super) seed: u64,
    /// Prompt, then output.
    tokens: Vec<u32>,
    prompt: usize,
    /// The position behind its first stop token.
    pub(super) end: Option<u64>,
    /// The first and the last position that the next sample may have: behind the last draw, and behind rows without one.
    next_samples: Option<[u64; 2]>,
    /// Seeds and streams of samples that may still be in flight, the oldest first.
    former_keys: Vec<(u64, u32)>,
    /// Mirostat's state, in Q24 bits.
    pub(super) mu: i64,
    /// Tells its history from any other's.
    #[cfg(feature = "gpu")]
    identity: Identity,
    pub(crate) compiled: Compiled,
    /// Changes of logits that last.
    pub(super) kept: ChangeTable,
    pub(super) penalties: Option<Penalties>,
    /// Tokens that penalties leave alone.
    exempt: HashSet<u32>,
    pub(super) repeats: Option<Repeats>,
    pub(super) ngrams: Option<NGrams>,
    pub(super) bad_words: BadWords,
    /// The allowed tokens as bits, in words of 32.
    pub(super) allowed: Option<Vec<u32>>,
    /// Of all tokens that the parameters name.
    pub(super) largest_token: Option<u32>,
}

impl Request {
    /// A request without a prompt.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`].
    pub fn new(params: SamplingParams) -> Result<Self> {
        Self::resume(params, &[], &[])
    }

    /// A request with the tokens of its prompt, which the repetition penalty and DRY look at.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`]; without a seed, if there is no source of randomness.
    pub fn with_prompt(params: SamplingParams, prompt: &[u32]) -> Result<Self> {
        Self::resume(params, prompt, &[])
    }

    /// A request that goes on where it was left off: with the tokens of its prompt and those of its output so far, which
    /// presence and frequency penalty and bad words look at alone. The next token has the number of the output's tokens.
    /// Mirostat begins anew: its limit depends on what each token was drawn from.
    ///
    /// # Errors
    /// As for [`Self::with_prompt`].
    ///
    /// # Example
    /// ```
    /// use sortilege::{Request, SamplingParams};
    /// let params = SamplingParams { presence_penalty: 0.5, seed: Some(7), ..SamplingParams::default() };
    /// let request = Request::resume(params, &[1, 2, 3], &[8, 9])?;
    /// assert_eq!(request.output(), [8, 9]);
    /// let next = request.row(2);
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    pub fn resume(params: SamplingParams, prompt: &[u32], output: &[u32]) -> Result<Self> {
        params.validate()?;
        let seed = params.seed.map_or_else(random_seed, Ok)?;
        let mu = first_mu(&params);
        let largest_token = largest_token(&params);
        let mut request = Self {
            compiled: Compiled::new(&params, seed, mu),
            params,
            seed,
            tokens: [prompt, output].concat(),
            prompt: prompt.len(),
            end: None,
            next_samples: None,
            former_keys: Vec::new(),
            mu,
            #[cfg(feature = "gpu")]
            identity: Identity::new(0, false),
            kept: ChangeTable::default(),
            penalties: None,
            exempt: HashSet::new(),
            repeats: None,
            ngrams: None,
            bad_words: BadWords::default(),
            allowed: None,
            largest_token,
        };
        request.look_back();
        request.end = request.find_end();
        request.tell();
        Ok(request)
    }

    /// Finds what the parameters make of the tokens so far.
    fn look_back(&mut self) {
        let history = History { tokens: &self.tokens, prompt: self.prompt, ahead: &[] };
        self.penalties = Penalties::new(&self.params);
        self.exempt = self.params.penalty_exempt_token_ids.iter().copied().collect();
        let acts = |dry: &&Dry| dry.multiplier > 0.0 && dry.last_n != Some(0);
        self.repeats = self.params.dry.as_ref().filter(acts).map(|dry| Repeats::new(dry, &history));
        self.ngrams = NGrams::new(&self.params, &history);
        self.bad_words = BadWords::new(&self.params.bad_words);
        self.allowed = self.params.allowed_token_ids.as_deref().map(bits_of);
        self.kept = ChangeTable::default();
        for &(token, bias) in &self.params.logit_bias {
            self.kept.edit(token, |change| change.bias += bias);
        }
        for word in &self.params.bad_words {
            if let [token] = word[..] {
                self.kept.edit(token, Change::ban);
            }
        }
        if let Some(penalties) = &self.penalties {
            penalties.see_all(&history, |token, edit| {
                if !self.exempt.contains(&token) {
                    self.kept.edit(token, edit);
                }
            });
        }
        if self.bans_seen() {
            for token in self.tokens.iter().filter(|token| !self.exempt.contains(token)) {
                self.kept.edit(*token, Change::ban);
            }
        }
    }

    pub(super) fn history(&self) -> History<'_> {
        History { tokens: &self.tokens, prompt: self.prompt, ahead: &[] }
    }

    /// Whether penalties leave a token alone.
    pub(super) fn is_exempt(&self, token: u32) -> bool {
        self.exempt.contains(&token)
    }

    /// Tokens that XTC spares, where it may act.
    pub(super) fn xtc_exempt(&self) -> &[u32] {
        let acts = self.compiled.cuts.iter().any(Cut::is_xtc);
        if acts { &self.params.xtc_exempt_token_ids } else { &[] }
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Changes the parameters from the next row on; the seed stays unless the new ones name another. Where bias, penalties,
    /// DRY, bad words, stop tokens or allowed tokens change, the tokens so far are looked at once more. Equal parameters change
    /// nothing.
    ///
    /// # Errors
    /// As for [`SamplingParams::validate`]; the old ones stay then.
    pub fn set_params(&mut self, params: SamplingParams) -> Result<()> {
        params.validate()?;
        if params == self.params {
            return Ok(());
        }
        self.turn();
        let seed = params.seed.unwrap_or(self.seed);
        if (seed, params.stream) != (self.seed, self.params.stream) {
            self.former_keys.push((self.seed, self.params.stream));
            // A key that comes back keeps those behind its first place.
            self.former_keys.drain(..self.former_keys.len().saturating_sub(MOST_FORMER_KEYS));
        }
        self.seed = seed;
        if params.mirostat != self.params.mirostat {
            self.mu = first_mu(&params);
        }
        let looks_back = !has_same_changes(&params, &self.params);
        self.largest_token = largest_token(&params);
        self.params = params;
        self.compiled = Compiled::new(&self.params, self.seed, self.mu);
        if looks_back {
            self.look_back();
        }
        self.end = self.find_end();
        self.tell();
        Ok(())
    }

    /// The seed of every draw: the one that was asked for, or the one that was found for a request without.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The accepted tokens.
    #[must_use]
    pub fn output(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }

    /// Mirostat's limit for the surprise of a token, in bits; it starts at twice `tau`.
    #[must_use]
    pub fn mu(&self) -> f64 {
        self.mu as f64 * pow2(-24)
    }

    /// Takes the first drawn token into the output, where penalties, DRY and bad words see it, and moves Mirostat's
    /// limit (not that of a greedy request). A row without a token adds none, nor does one that ran ahead and is
    /// behind the [end](Self::finish_reason), as it turned out, or as parameters say that came after.
    ///
    /// # Errors
    /// [`Error::Params`] if the sample is none of this request's, by its seed and stream, or not the next one, by its position; nothing is
    /// changed then. Samples without a draw are accepted too, so that none is left out by mistake.
    pub fn accept(&mut self, sample: &Sample) -> Result<()> {
        let Sample { position, seed, stream, .. } = *sample;
        let former = self.former_keys.iter().position(|key| *key == (seed, stream));
        if former.is_none() && (seed, stream) != (self.seed, self.params.stream) {
            let [theirs, ours] = [(seed, stream), (self.seed, self.params.stream)];
            let (name, theirs, ours) = match theirs.0 == ours.0 {
                true => ("stream", theirs.1.into(), ours.1.into()),
                false => ("seed", theirs.0, ours.0),
            };
            return Err(Error::Params(format!(
                "the sample was drawn with {name} {theirs}, this request draws with {ours}: accept what was drawn for it"
            )));
        }
        let is_behind = self.end.is_some_and(|end| end <= position) || self.row(position).is_at_length();
        if is_behind || sample.status == Status::LostHistory {
            return Ok(());
        }
        // Rows may have other positions than tokens; of what is behind them none was drawn.
        let [first, last] = self.next_samples.unwrap_or([position.max(self.next_position()); 2]);
        if position < first || position > last {
            return Err(Error::Params(format!(
                "the sample is of position {position}, and the next one of its request of {}: accept each sample once, in the \
                 order of their positions, those without a draw too",
                last
            )));
        }
        // What was drawn before it has come.
        self.former_keys.drain(..former.unwrap_or(self.former_keys.len()));
        // A device goes on from what it drew itself, position after position.
        if sample.draws.is_empty() || position != self.next_position() || !self.is_gone_on_from(sample.entry)
        {
            self.turn();
        }
        let behind = position + 1;
        let Some(drawn) = sample.draws.first() else {
            // It may be drawn again, or rows in flight have gone on behind it.
            self.next_samples = Some([first, behind.max(last)]);
            return Ok(());
        };
        self.next_samples = Some([behind; 2]);
        let is_stop = self.is_stop(drawn.token, position);
        self.push(drawn.token);
        if is_stop {
            // By the tokens, where rows have other positions than they.
            self.end = Some(self.next_position());
        }
        if let Some(mirostat) = self.params.mirostat.filter(|_| self.params.temperature > 0.0) {
            self.mu = mirostat.next_mu(self.mu, drawn.surprise);
            self.compiled = Compiled::new(&self.params, self.seed, self.mu);
        }
        self.tell();
        Ok(())
    }

    /// Takes a token into the output that was not drawn here.
    pub fn accept_token(&mut self, token: u32) {
        self.former_keys.clear();
        self.turn();
        let position = self.next_position();
        if self.is_stop(token, position) {
            self.end.get_or_insert(position + 1);
        }
        self.next_samples = self.next_samples.map(|[first, _]| [first.saturating_add(1); 2]);
        self.push(token);
        self.tell();
    }

    /// Tells the devices that remember the request how far it is.
    fn tell(&self) {
        #[cfg(feature = "gpu")]
        self.identity.tell(self.tokens.len(), self.row(self.next_position()).finish().is_some());
    }

    /// Its history is no longer what a device makes of the draws.
    fn turn(&mut self) {
        #[cfg(feature = "gpu")]
        {
            self.identity.turn();
        }
    }

    /// Whether a device goes on from what was drawn with this entry.
    #[cfg(feature = "gpu")]
    fn is_gone_on_from(&self, entry: u64) -> bool {
        self.identity.goes_on_from(entry)
    }

    #[cfg(not(feature = "gpu"))]
    fn is_gone_on_from(&self, _entry: u64) -> bool {
        false
    }

    fn push(&mut self, token: u32) {
        self.tokens.push(token);
        let history = History { tokens: &self.tokens, prompt: self.prompt, ahead: &[] };
        if let Some(penalties) = &self.penalties {
            penalties.see_last(&history, |token, edit| {
                if !self.exempt.contains(&token) {
                    self.kept.edit(token, edit);
                }
            });
        }
        if let Some(repeats) = &mut self.repeats {
            repeats.see_last(&history);
        }
        if let Some(ngrams) = &mut self.ngrams {
            ngrams.see_last(&history);
        }
        if self.bans_seen() && !self.exempt.contains(&token) {
            self.kept.edit(token, Change::ban);
        }
    }

    /// Whether a token that was accepted may never come again.
    fn bans_seen(&self) -> bool {
        self.ngrams.as_ref().is_some_and(NGrams::bans_seen)
    }
}

impl Request {
    /// The first position that nothing is known for yet, but for tokens taken for accepted.
    pub(crate) fn next_position(&self) -> u64 {
        self.output().len() as u64
    }

    /// Tells its history from any other's.
    #[cfg(feature = "gpu")]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Tokens of prompt and output.
    #[cfg(feature = "gpu")]
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// What looks at the tokens before a row, if something does.
    pub(crate) fn looks_back(&self) -> Option<&'static str> {
        let looks = [
            ("penalties", self.penalties.is_some_and(|penalties| penalties.sees_tokens())),
            ("DRY", self.repeats.is_some()),
            ("bad words of several tokens", self.bad_words.look_back()),
            ("a no-repeat n-gram", self.ngrams.is_some()),
            ("Mirostat", self.moves_limit()),
        ];
        looks.into_iter().find_map(|(name, does)| does.then_some(name))
    }

    /// Whether Mirostat's limit depends on what is drawn.
    pub(super) fn moves_limit(&self) -> bool {
        self.params.temperature > 0.0 && self.params.mirostat.is_some_and(|mirostat| mirostat.eta > 0.0)
    }
}

/// The largest token that parameters name.
fn largest_token(params: &SamplingParams) -> Option<u32> {
    params.token_lists().into_iter().flat_map(|(_, tokens)| tokens).max()
}

/// Mirostat's state before the first draw.
fn first_mu(params: &SamplingParams) -> i64 {
    params.mirostat.map_or(0, |mirostat| mirostat.first_mu())
}

/// A set of tokens as bits, in words of 32. Rows do not take a token past the largest vocabulary.
fn bits_of(tokens: &[u32]) -> Vec<u32> {
    let tokens = || tokens.iter().filter(|&&token| (token as usize) < MAX_VOCAB);
    let mut words = vec![0; tokens().max().map_or(0, |&last| last as usize / 32 + 1)];
    for &token in tokens() {
        words[token as usize / 32] |= 1 << (token % 32);
    }
    words
}
