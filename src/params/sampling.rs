//! The parameters of sampling.

use super::LogprobsParams;
use super::step::Order;
use crate::arithmetic::format::MOST_LISTED;

/// What a request may ask of its rows. The names are vLLM's, llama.cpp's or Transformers' where they have one; our own are
/// `raw_logprobs` (vLLM's `logprobs`), `processed_logprobs`, `stream` (of random numbers: nothing is streamed) and what
/// exempts tokens. `docs/sampling.md` defines each as mathematics and says where those differ. `Default` draws from the plain
/// distribution at temperature 1. Token ids are below the vocabulary, which is checked when a row is sampled; of equal logits
/// every filter takes the smaller ids first.
///
/// Construct it with `..Default::default()`: new fields, which change nothing at their default, come in minor versions.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits. 0 is greedy: the first of the total order, whatever the filters say. Otherwise 0.001 to
    /// 1000.
    pub temperature: f32,
    /// Half the range of the dynamic temperature, 0 for a fixed one, at most 1000 less the temperature: `T = low + (high − low) · (H / ln n)^exponent`
    /// with `low = max(0.001, temperature − range)`, `high = temperature + range`, the entropy H and the number n of
    /// the tokens that are left.
    pub dynatemp_range: f32,
    /// The exponent of the dynamic temperature, 0 to 255.
    pub dynatemp_exponent: f32,
    /// Keeps the k most probable tokens; 0 keeps all.
    pub top_k: u32,
    /// Keeps a token while the mass before it is below this share, 0 to 1; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens of at least this share of the most probable one's probability, 0 to 1; 0 keeps all.
    pub min_p: f32,
    /// Keeps the tokens whose surprise is nearest to the entropy, as few as reach this share, 0 to 1; 1 keeps all.
    /// Equal tokens stand and fall together.
    pub typical_p: f32,
    /// Keeps logits of at least the largest less this many standard deviations of the logits, 0 to 1000; 0
    /// keeps all.
    pub top_n_sigma: f32,
    /// Keeps tokens of at least this share of the square of the largest probability, 0 to 1; 0 keeps all.
    pub top_a: f32,
    /// Keeps tokens of at least this probability, 0 to below 1; 0 keeps all.
    pub epsilon_cutoff: f32,
    /// Keeps tokens of at least the probability `min(ε, √ε · e^−H)` with this ε and the entropy H, 0 to below 1; 0
    /// keeps all.
    pub eta_cutoff: f32,
    /// Keeps tokens of at least the probability that two draws agree, the sum of the squares of all probabilities
    /// (p-less, Tan, Wu, Howard 2026).
    pub p_less: bool,
    /// Keeps tokens while the entropy that they and those before bring is at most this share of the whole, 0 to 1; 1 keeps
    /// all.
    pub top_h: f32,
    /// Excludes all but the last of the tokens of at least this probability, if there are two; with
    /// [`xtc_probability`](Self::xtc_probability). 0 to 1, over 0.5 it never acts; where the probability is not 0, at
    /// least 2^-43, the least share that a weight has.
    pub xtc_threshold: f32,
    /// How often XTC acts, 0 to 1.
    pub xtc_probability: f32,
    /// Tokens that XTC does not exclude: where one of them would be, it does not act. At most
    /// [`SamplingParams::MAX_XTC_EXEMPT_TOKEN_IDS`].
    pub xtc_exempt_token_ids: Vec<u32>,
    /// Mirostat v2, which steers the surprise of the drawn tokens.
    pub mirostat: Option<Mirostat>,
    /// The order of temperature and filters.
    pub order: Order,
    /// Added to the logits of tokens, finite; what one token has several times is added up.
    pub logit_bias: Vec<(u32, f32)>,
    /// Divides the positive logits of tokens seen before, and multiplies the others; 0.01 to 100, 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens seen before; -100 to 100.
    pub presence_penalty: f32,
    /// Subtracted once for each time that a token was seen; -100 to 100.
    pub frequency_penalty: f32,
    /// Which tokens were seen: `None` as in vLLM, prompt and output for the repetition penalty, the output for the
    /// other two; `Some(n)` as in llama.cpp, the last n of prompt and output for all three.
    pub penalty_last_n: Option<u32>,
    /// Tokens that the three penalties, DRY and `no_repeat_ngram_size` leave alone, however often they were seen.
    pub penalty_exempt_token_ids: Vec<u32>,
    /// Don't repeat yourself: punishes what would continue a sequence that occurred before.
    pub dry: Option<Dry>,
    /// Sequences of tokens, none of them empty, that must not come about: the last token of one is impossible after the
    /// others.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens of a sequence that must not come about twice in prompt and output: the last token of one that is there is
    /// impossible after the others. 0 allows all.
    pub no_repeat_ngram_size: u32,
    /// Looks at the last tokens of prompt and output, so many of them; `None` at all.
    pub no_repeat_ngram_window: Option<u32>,
    /// Tokens before which `stop_token_ids` are impossible.
    pub min_tokens: u64,
    /// Tokens of the output with which a request has finished, `None` for as many as one likes: a row at this position or
    /// later draws nothing.
    pub max_tokens: Option<u64>,
    /// Tokens that end a request: once one is drawn, and is itself part of the output, later rows draw nothing.
    /// [`Sample::finish_reason`](crate::Sample::finish_reason).
    pub stop_token_ids: Vec<u32>,
    /// The only possible tokens, if given.
    pub allowed_token_ids: Option<Vec<u32>>,
    /// Seed of the draws; without one, [`Request::seed`](crate::Request::seed) reports what was found.
    pub seed: Option<u64>,
    /// Tells draws with one seed and one position apart.
    pub stream: u32,
    /// Draws of a row at its position, independent of each other, 1 to [`SamplingParams::MAX_DRAWS`]; a greedy row has one.
    /// [`Request::accept`](crate::Request::accept) takes the first: n completions, which vLLM and OpenAI mean by `n`, are n
    /// requests of one seed with the streams 0 to n − 1.
    pub n: u32,
    /// Asks for the raw distribution, of the logits as they are at temperature 1: the drawn tokens' logprobs and ranks
    /// in it, and this many of its most probable tokens, at most [`SamplingParams::MAX_LOGPROBS`].
    pub raw_logprobs: Option<u32>,
    /// Asks for the processed distribution, the one that is drawn from: this many of its most probable tokens, at most
    /// [`SamplingParams::MAX_LOGPROBS`].
    pub processed_logprobs: Option<u32>,
    /// Asks what the processed distribution, and the raw one where that is asked for, say of these tokens, drawn or not:
    /// [`Distribution::token_logprobs`](crate::Distribution::token_logprobs). At most
    /// [`SamplingParams::MAX_LOGPROB_TOKEN_IDS`], in any order; one may come twice.
    pub logprob_token_ids: Vec<u32>,
    /// Asks for the entropies of the processed distribution, and of the raw one where that is asked for
    /// ([`Distribution::entropy`](crate::Distribution::entropy)); NaN otherwise. Filters that need an entropy have it anyway.
    pub entropy: bool,
}

/// Mirostat v2 (Basu et al. 2021): keeps the tokens whose surprise is at most `mu`, which starts at `2 tau`; after a
/// draw of surprise s, `mu -= eta · (s − tau)`. In bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mirostat {
    /// The surprise to aim at, bits, above 0 to 30.
    pub tau: f32,
    /// How fast to adapt, 0 to 1.
    pub eta: f32,
}

/// DRY: a token that would extend a repetition of `l >= allowed_length` tokens loses `multiplier · base^(l −
/// allowed_length)`. Construct it with `..Default::default()`: new fields come in minor versions.
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
            top_a: 0.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            p_less: false,
            top_h: 1.0,
            xtc_threshold: 0.1,
            xtc_probability: 0.0,
            xtc_exempt_token_ids: Vec::new(),
            mirostat: None,
            order: Order::Vllm,
            logit_bias: Vec::new(),
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_last_n: None,
            penalty_exempt_token_ids: Vec::new(),
            dry: None,
            bad_words: Vec::new(),
            no_repeat_ngram_size: 0,
            no_repeat_ngram_window: None,
            min_tokens: 0,
            max_tokens: None,
            stop_token_ids: Vec::new(),
            allowed_token_ids: None,
            seed: None,
            stream: 0,
            n: 1,
            raw_logprobs: None,
            processed_logprobs: None,
            logprob_token_ids: Vec::new(),
            entropy: false,
        }
    }
}

impl SamplingParams {
    /// Most draws per row.
    pub const MAX_DRAWS: u32 = 16;
    /// Most entries of the raw and of the processed list: every token of the largest vocabulary. More than
    /// [`LogprobsParams::MAX_SHORT_LIST`] are selected and sorted by 14 further dispatches a list
    /// ([`Plan`](crate::Plan) prints them).
    pub const MAX_LOGPROBS: u32 = LogprobsParams::MAX_TOP_LOGPROBS;
    /// Most given tokens of a row, here and in [`Engine::logprobs_of`](crate::Engine::logprobs_of): as many as one
    /// workgroup can hold.
    pub const MAX_LOGPROB_TOKEN_IDS: usize = MOST_LISTED as usize;
    /// Most tokens that XTC spares: they are looked up one after the other.
    pub const MAX_XTC_EXEMPT_TOKEN_IDS: usize = 64;
}
