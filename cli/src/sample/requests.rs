//! The requests of a file of logits: what the command line and the file of parameters ask of each. It draws nothing.

use std::ops::Range;
use std::path::Path;

use sortilege::{Request, SamplingParams};

use super::args::SampleArgs;
use super::params::PartialParams;
use crate::failure::{Failure, Result};
use crate::files::{LogitsFile, read_prompt};
use crate::text::read_text;

/// Bytes of a file of parameters.
const MAX_PARAMS_BYTES: usize = 1 << 30;

/// Rough bytes of a sample in memory, of each of its list entries and of each of its draws.
const SAMPLE_BYTES: [usize; 3] = [512, 64, 192];

/// The requests of a file of logits, all with as many rows.
pub(crate) struct Requests {
    /// How many there are.
    pub(crate) count: usize,
    /// Rows of each.
    pub(crate) positions: usize,
    /// One for all, or one per request.
    specs: Vec<RequestSpec>,
    /// The seed that was found for requests without.
    pub(crate) found_seed: Option<u64>,
}

/// What is asked of a request.
struct RequestSpec {
    params: SamplingParams,
    prompt: Vec<u32>,
    /// The position of its first row.
    position: Option<u64>,
    /// Whether the stream was given for this request alone.
    has_own_stream: bool,
}

impl Requests {
    /// What the options ask, if the library takes it for these logits.
    pub(crate) fn new(args: &SampleArgs, logits: &LogitsFile) -> Result<Self> {
        let is_flat = logits.array.shape.len() == 2 && !args.feedback;
        let positions = if is_flat { 1 } else { logits.positions };
        let count = logits.rows.checked_div(positions).unwrap_or(0);
        let common = args.sampling.given();
        let prompt = args.prompt.as_deref().map_or(Ok(Vec::new()), read_prompt)?;
        let (own, is_list) = match &args.params {
            Some(path) => read_params(path, count)?,
            None => (vec![PartialParams::default()], false),
        };
        let has_seed = |own: &PartialParams| own.seed.or(common.seed).is_some();
        // Below 2^53: readers of JSON keep it.
        let found_seed = if own.iter().all(has_seed) {
            None
        } else {
            Some(Request::new(SamplingParams::default())?.seed() >> 11)
        };
        let spec = |(number, own): (usize, &PartialParams)| {
            let mut params = SamplingParams { seed: found_seed, entropy: true, ..SamplingParams::default() };
            common.apply_to(&mut params);
            own.apply_to(&mut params);
            let spec = RequestSpec {
                params,
                prompt: own.prompt.clone().unwrap_or_else(|| prompt.clone()),
                position: own.position,
                has_own_stream: is_list && own.stream.is_some(),
            };
            match (spec.check(logits), &args.params) {
                (Ok(()), _) => Ok(spec),
                (Err(problem), None) => Err(problem.into()),
                (Err(problem), Some(path)) if is_list => {
                    Err(Failure::Usage(format!("{}: object {number}: {problem}", path.display())))
                }
                (Err(problem), Some(path)) => Err(Failure::Usage(format!("{}: {problem}", path.display()))),
            }
        };
        let specs = own.iter().enumerate().map(spec).collect::<Result<_>>()?;
        Ok(Self { count, positions, specs, found_seed })
    }

    fn spec(&self, request: usize) -> &RequestSpec {
        &self.specs[if self.specs.len() == 1 { 0 } else { request }]
    }

    /// The requests with these numbers, before their first row.
    pub(crate) fn start(&self, numbers: Range<usize>) -> Result<Vec<Request>> {
        let start = |number| {
            let spec = self.spec(number);
            let mut params = spec.params.clone();
            if !spec.has_own_stream {
                // Positions may repeat from request to request; wraps after 2^32 of them.
                #[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
                let request = number as u32;
                params.stream = params.stream.wrapping_add(request);
            }
            Ok(Request::with_prompt(params, &spec.prompt)?)
        };
        numbers.map(start).collect()
    }

    /// The number, in its request, of the token that a row draws.
    pub(crate) fn position(&self, row: usize) -> u64 {
        let request = row / self.positions;
        let first = self.spec(request).position.unwrap_or(0);
        first.wrapping_add((row % self.positions) as u64)
    }

    /// Rough bytes of memory that a row needs beside its logits.
    pub(crate) fn row_bytes(&self) -> usize {
        self.specs.iter().map(RequestSpec::row_bytes).max().unwrap_or(0)
    }
}

impl RequestSpec {
    /// An error unless the library takes it for these logits.
    fn check(&self, logits: &LogitsFile) -> sortilege::Result<()> {
        self.params.validate()?;
        self.params.validate_tokens(logits.vocab)
    }

    /// Rough bytes of memory that a row needs beside its logits.
    fn row_bytes(&self) -> usize {
        let params = &self.params;
        let entries = params.raw_logprobs.unwrap_or(0) + params.processed_logprobs.unwrap_or(0);
        let listed = params.allowed_token_ids.as_ref().map_or(0, Vec::len)
            + params.stop_token_ids.len()
            + params.bad_words.iter().map(|word| word.len() + 6).sum::<usize>();
        let [sample, entry, draw] = SAMPLE_BYTES;
        sample
            + entry * entries as usize
            + draw * params.n as usize
            + 4 * (self.prompt.len() + listed)
            + 32 * params.logit_bias.len()
    }
}

/// The parameters of a file, and whether it is a list with one object for each request.
fn read_params(path: &Path, count: usize) -> Result<(Vec<PartialParams>, bool)> {
    let text = read_text(path, MAX_PARAMS_BYTES)?;
    let bad = |error: serde_json::Error| Failure::file(path, format!("no parameters: {error}"));
    if !text.trim_start().starts_with('[') {
        return Ok((vec![serde_json::from_str(&text).map_err(bad)?], false));
    }
    let list: Vec<PartialParams> = serde_json::from_str(&text).map_err(bad)?;
    if list.len() != count {
        return Err(Failure::file(
            path,
            format!(
                "has {} objects for {count} requests: give one for each, or one object for all",
                list.len()
            ),
        ));
    }
    Ok((list, true))
}
