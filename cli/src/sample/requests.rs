//! The requests of a batch: what the command line and the file of parameters ask of each.

use std::ops::Range;
use std::path::Path;

use sortilege::{Request, SamplingParams};

use super::fields::Fields;
use crate::args::SampleArgs;
use crate::batch::Batch;
use crate::failure::{Failure, Result};
use crate::tokens;

/// Rough bytes of a sample in memory, of each of its list entries and of each of its draws.
const SAMPLE_BYTES: [usize; 3] = [512, 64, 192];

/// The requests of a batch.
pub(crate) struct Requests {
    pub(crate) count: usize,
    /// Rows of each.
    pub(crate) positions: usize,
    /// One for all, or one per request.
    asked: Vec<Asked>,
    /// The seed that was found for requests without.
    pub(crate) found_seed: Option<u64>,
}

/// What is asked for.
struct Asked {
    params: SamplingParams,
    prompt: Vec<u32>,
    /// Of the first row.
    position: Option<u64>,
    /// Whether the stream was given for this request alone.
    has_own_stream: bool,
}

impl Requests {
    pub(crate) fn new(args: &SampleArgs, batch: &Batch) -> Result<Self> {
        let is_flat = batch.array.shape.len() == 2 && !args.feedback;
        let positions = if is_flat { 1 } else { batch.positions };
        let count = batch.rows.checked_div(positions).unwrap_or(0);
        let common = args.sampling.fields();
        let prompt = args.prompt.as_deref().map_or(Ok(Vec::new()), tokens::prompt)?;
        let (own, is_list) = match &args.params {
            Some(path) => read(path, count)?,
            None => (vec![Fields::default()], false),
        };
        let has_seed = |fields: &Fields| fields.seed.or(common.seed).is_some();
        // Below 2^53: readers of JSON keep it.
        let found_seed = if own.iter().all(has_seed) {
            None
        } else {
            Some(Request::new(SamplingParams::default())?.seed() >> 11)
        };
        let asked = own
            .iter()
            .enumerate()
            .map(|(number, own)| {
                let mut params = SamplingParams { seed: found_seed, ..SamplingParams::default() };
                common.apply(&mut params);
                own.apply(&mut params);
                let asked = Asked {
                    params,
                    prompt: own.prompt.clone().unwrap_or_else(|| prompt.clone()),
                    position: own.position,
                    has_own_stream: is_list && own.stream.is_some(),
                };
                match (asked.check(batch), &args.params) {
                    (Ok(()), _) => Ok(asked),
                    (Err(problem), None) => Err(problem.into()),
                    (Err(problem), Some(path)) if is_list => {
                        Err(Failure::Usage(format!("{}: object {number}: {problem}", path.display())))
                    }
                    (Err(problem), Some(path)) => {
                        Err(Failure::Usage(format!("{}: {problem}", path.display())))
                    }
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self { count, positions, asked, found_seed })
    }

    fn asked(&self, request: usize) -> &Asked {
        &self.asked[if self.asked.len() == 1 { 0 } else { request }]
    }

    /// The requests with these numbers, before their first row.
    pub(crate) fn start(&self, numbers: Range<usize>) -> Result<Vec<Request>> {
        let start = |number| {
            let asked = self.asked(number);
            let mut params = asked.params.clone();
            if !asked.has_own_stream {
                // Positions may repeat from request to request; wraps after 2^32 of them.
                #[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
                let request = number as u32;
                params.stream = params.stream.wrapping_add(request);
            }
            Ok(Request::with_prompt(params, &asked.prompt)?)
        };
        numbers.map(start).collect()
    }

    /// The number of the token that a row of the batch draws.
    pub(crate) fn position(&self, row: usize) -> u64 {
        let request = row / self.positions;
        let first = self.asked(request).position.unwrap_or(0);
        first.wrapping_add((row % self.positions) as u64)
    }

    /// Rough bytes of memory that a row needs beside its logits.
    pub(crate) fn row_bytes(&self) -> usize {
        self.asked.iter().map(Asked::row_bytes).max().unwrap_or(0)
    }
}

impl Asked {
    /// Nothing, if the library takes it for logits of this batch.
    fn check(&self, batch: &Batch) -> sortilege::Result<()> {
        self.params.validate()?;
        self.params.validate_tokens(batch.vocab)
    }

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

/// What a file of parameters asks for, and whether it is a list with one object for each request.
fn read(path: &Path, count: usize) -> Result<(Vec<Fields>, bool)> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    let bad = |error: serde_json::Error| Failure::file(path, format!("no parameters: {error}"));
    if !text.trim_start().starts_with('[') {
        return Ok((vec![serde_json::from_str(&text).map_err(bad)?], false));
    }
    let list: Vec<Fields> = serde_json::from_str(&text).map_err(bad)?;
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
