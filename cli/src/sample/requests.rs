//! The requests of a file of logits: what the command line and the file of parameters ask of each. It draws nothing.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use sortilege::{Request, Row, SamplingParams};

use super::args::SampleArgs;
use super::breakers::TextsOfTokens;
use super::idle::{Asked, IdleTally};
use super::params::PartialParams;
use super::params_file::{ReadParams, read_params};
use super::prompts::Prompts;
use crate::failure::{Failure, Result, note};
use crate::files::LogitsFile;
use crate::shown::shown_path;

/// Rough bytes of a sample in memory, of each of its list entries and of each of its draws.
const SAMPLE_BYTES: [usize; 3] = [512, 64, 192];

/// The requests of a file of logits, all with as many rows.
pub(crate) struct Requests {
    /// How many there are.
    pub(crate) count: usize,
    /// Rows of each.
    pub(crate) positions: usize,
    /// What the command line asks of all.
    pub(super) common: PartialParams,
    /// One for all, or one per request.
    specs: Vec<RequestSpec>,
    /// Of requests without one of their own.
    pub(super) prompts: Prompts,
    /// The seed that was found for requests without.
    pub(crate) found_seed: Option<u64>,
}

/// What is asked of a request.
struct RequestSpec {
    params: SamplingParams,
    /// In place of the prompt of all.
    prompt: Option<Vec<u32>>,
    /// The position of its first row.
    position: u64,
    /// Whether the stream was given for this request alone.
    has_own_stream: bool,
}

impl Requests {
    /// What the options ask, if the library takes it for these logits; what of it cannot act is told.
    pub(crate) fn new(args: &SampleArgs, logits: &LogitsFile) -> Result<Self> {
        let is_flat = logits.array.shape.len() == 2 && !args.feedback;
        let positions = if is_flat { 1 } else { logits.positions };
        let count = logits.rows.checked_div(positions).unwrap_or(0);
        let prompts = match &args.prompt {
            Some(source) => Prompts::read(source, count)?,
            None => Prompts::none(),
        };
        let mut texts = TextsOfTokens::new(&args.vocab);
        let mut common = args.sampling.given();
        common.resolve_breakers(&mut texts, logits.vocab)?;
        let mut requests =
            Self { count, positions, common: common.clone(), specs: Vec::new(), prompts, found_seed: None };
        // What is wrong without a file, and still is with it, is no fault of the file's.
        let common_problem = RequestSpec::new(&common, false).check(logits).err();
        let mut is_common = false;
        let (mut idle, mut taken) = (IdleTally::default(), BTreeSet::new());
        let mut take = |number: Option<usize>, read: &ReadParams| {
            let mut asked = read.params.over(&common);
            asked.resolve_breakers(&mut texts, logits.vocab)?;
            let given = asked.with_defaults(&read.defaults, &mut taken);
            let spec = RequestSpec::new(&given, number.is_some() && read.params.stream.is_some());
            let last = number.unwrap_or(count.saturating_sub(1));
            spec.check(logits).and_then(|()| spec.check_numbers(positions, last)).inspect_err(|problem| {
                is_common = common_problem.as_ref().is_some_and(|own| own.to_string() == problem.to_string());
            })?;
            requests.specs.push(spec);
            for request in requests.of_last_spec(number) {
                idle.count(&requests.asked(request, &asked, args, logits));
            }
            Ok(())
        };
        match &args.params {
            Some(path) => {
                let read = read_params(path, count, logits.vocab, take);
                read.map_err(|problem| common_problem.filter(|_| is_common).unwrap_or(problem))?;
                if !taken.is_empty() {
                    let taken: Vec<&str> = taken.into_iter().collect();
                    note!("note: {}: as in transformers: {}", shown_path(path), taken.join(", "));
                }
            }
            None => take(None, &ReadParams::default())?,
        }
        if args.feedback && count > 0 {
            // Rows that are one request for it have other positions, and so other draws.
            idle.tell_feedback(positions - 1, logits.array.shape.len() == 2);
        }
        idle.tell();
        requests.find_seed()?;
        requests.tell_equal_streams();
        Ok(requests)
    }

    /// The stream of a request: its own, or one of its number, since positions may repeat from request to request.
    fn stream(&self, request: usize) -> u32 {
        let spec = self.spec(request);
        let number = if spec.has_own_stream { 0 } else { u32::try_from(request).unwrap_or(u32::MAX) };
        spec.params.stream.saturating_add(number)
    }

    /// Tells that two requests draw by the same numbers, where a stream that one was given is that of another's number.
    fn tell_equal_streams(&self) {
        if !self.specs.iter().any(|spec| spec.has_own_stream) {
            return;
        }
        let mut seen = HashMap::new();
        for request in (0..self.count).filter(|&request| self.spec(request).params.temperature != 0.0) {
            let (seed, stream) = (self.spec(request).params.seed, self.stream(request));
            if let Some(other) = seen.insert((seed, stream), request) {
                note!(
                    "note: requests {other} and {request} have the same seed and stream {stream}, and draw by the same random \
                     numbers at the same positions: give each a stream, or none"
                );
                return;
            }
        }
    }

    /// Numbers of requests that differ in what they ask, of those that the last spec is for.
    fn of_last_spec(&self, number: Option<usize>) -> Range<usize> {
        match number {
            Some(number) => number..number + 1,
            None if self.prompts.are_for_each() => 0..self.count,
            None => 0..self.count.min(1),
        }
    }

    /// A request with what its rows can see.
    fn asked<'a>(
        &'a self,
        request: usize,
        given: &'a PartialParams,
        args: &SampleArgs,
        logits: &LogitsFile,
    ) -> Asked<'a> {
        let spec = self.spec(request);
        Asked {
            given,
            params: &spec.params,
            prompt: self.prompt(request),
            vocab: logits.vocab,
            first: spec.position,
            rows: self.positions,
            seen: if args.feedback { self.positions - 1 } else { 0 },
        }
    }

    /// Finds a seed for requests without.
    fn find_seed(&mut self) -> Result<()> {
        let mut without = self.specs.iter_mut().filter(|spec| spec.params.seed.is_none()).peekable();
        if without.peek().is_some() {
            // Below 2^53: readers of JSON keep it.
            let seed = Request::new(SamplingParams::default())?.seed() >> 11;
            without.for_each(|spec| spec.params.seed = Some(seed));
            self.found_seed = Some(seed);
        }
        Ok(())
    }

    /// The tokens before the first position of a request.
    fn prompt(&self, request: usize) -> &[u32] {
        self.spec(request).prompt.as_deref().unwrap_or_else(|| self.prompts.of(request))
    }

    fn spec(&self, request: usize) -> &RequestSpec {
        &self.specs[if self.specs.len() == 1 { 0 } else { request }]
    }

    /// Whether a seed makes a difference to any of them.
    pub(crate) fn draw(&self) -> bool {
        self.specs.iter().any(|spec| spec.params.temperature != 0.0)
    }

    /// The longest raw and processed lists that a request asks for.
    pub(crate) fn asks_for_logprobs(&self) -> [Option<u32>; 2] {
        let params = || self.specs.iter().map(|spec| &spec.params);
        [
            params().filter_map(|params| params.raw_logprobs).max(),
            params().filter_map(|params| params.processed_logprobs).max(),
        ]
    }

    /// Whether a request asks for tokens by their ids.
    pub(crate) fn asks_for_token_ids(&self) -> bool {
        self.specs.iter().any(|spec| !spec.params.logprob_token_ids.is_empty())
    }

    /// The requests with these numbers, before their first row.
    pub(crate) fn start(&self, numbers: Range<usize>) -> Result<Vec<Request>> {
        let start = |number| {
            let spec = self.spec(number);
            let mut params = spec.params.clone();
            params.stream = self.stream(number);
            Ok(Request::with_prompt(params, self.prompt(number))?)
        };
        numbers.map(start).collect()
    }

    /// The number, in its request, of the token that a row draws.
    pub(crate) fn position(&self, row: usize) -> u64 {
        let request = row / self.positions;
        let first = self.spec(request).position;
        first + (row % self.positions) as u64
    }

    /// Rough bytes of memory that a row needs beside its logits.
    pub(crate) fn row_bytes(&self, vocab: usize) -> usize {
        let own = self.specs.iter().map(|spec| spec.row_bytes(vocab)).max().unwrap_or(0);
        own + 4 * self.prompts.longest()
    }
}

impl RequestSpec {
    fn new(given: &PartialParams, has_own_stream: bool) -> Self {
        Self {
            params: given.params(),
            prompt: given.prompt.clone(),
            position: given.position.unwrap_or(0),
            has_own_stream,
        }
    }

    /// An error unless the library takes it for these logits.
    fn check(&self, logits: &LogitsFile) -> Result<()> {
        self.params.validate()?;
        if self.params.temperature == 0.0 && self.params.n > 1 {
            return Err(Failure::Usage(format!(
                "n {} at temperature 0: a greedy row has one draw, leave n at 1",
                self.params.n
            )));
        }
        Ok(self.params.validate_tokens(logits.vocab)?)
    }

    /// An error unless there are numbers for all its rows, and streams up to that of the last request.
    fn check_numbers(&self, positions: usize, last: usize) -> Result<()> {
        let (position, most) = (self.position, Row::LAST_POSITION - positions.saturating_sub(1) as u64);
        if position > most {
            return Err(Failure::Usage(format!(
                "position {position} of the first of {positions} rows: positions end at {}, take at most {most}",
                Row::LAST_POSITION
            )));
        }
        let (stream, most) = (u64::from(self.params.stream), u64::from(u32::MAX).saturating_sub(last as u64));
        if !self.has_own_stream && (stream > most || last as u64 > u64::from(u32::MAX)) {
            return Err(Failure::Usage(format!(
                "stream {stream}: request {last} would have stream {}, and streams end at {}: take at most {most}, or give \
                 each request its own in --params",
                stream + last as u64,
                u32::MAX
            )));
        }
        Ok(())
    }

    /// Rough bytes of memory that a row of so many tokens needs beside its logits.
    fn row_bytes(&self, vocab: usize) -> usize {
        let params = &self.params;
        let lists = [params.raw_logprobs, params.processed_logprobs];
        let entries: usize = lists.iter().flatten().map(|&entries| vocab.min(entries as usize)).sum();
        let listed = params.allowed_token_ids.as_ref().map_or(0, Vec::len)
            + params.stop_token_ids.len()
            + params.bad_words.iter().map(|word| word.len() + 6).sum::<usize>();
        let [sample, entry, draw] = SAMPLE_BYTES;
        sample
            + entry * (entries + 2 * params.logprob_token_ids.len())
            + draw * params.n as usize
            + 4 * (self.prompt.as_ref().map_or(0, Vec::len) + listed)
            + 32 * params.logit_bias.len()
    }
}
