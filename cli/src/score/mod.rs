//! `sortilege score`: log-probabilities of sequences of tokens, and which of several the model prefers.

mod args;
mod candidates;
mod output;

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use sortilege::{Kernels, Logprobs, LogprobsParams, SamplingParams, ScoredToken, Status};

use self::args::ScoreFormat;
pub(crate) use self::args::{EXAMPLES, ScoreArgs};
use self::candidates::{Ask, Questions};
use self::output::{Answer, Writer};
use crate::engine::Chosen;
use crate::failure::{Failure, Result};
use crate::files::{Inputs, LogitsFile, Meta, deliver, sha256, with_sidecar};
use crate::shared_args::{VocabSource, name_of};
use crate::tally::Tally;
use crate::text::Vocab;

/// Rough bytes of a row's answer in memory, and of each token that it is asked about.
const ANSWER_BYTES: [usize; 2] = [256, 64];

/// What a row says of a token, or why it says nothing.
type Scored = std::result::Result<ScoredToken, Status>;

/// The options, as the sidecar tells them.
#[derive(Serialize)]
struct Options<'a> {
    candidates: String,
    candidates_sha256: Option<String>,
    temperature: f32,
    format: String,
    device: &'a str,
    vocab_size: Option<usize>,
    #[serde(flatten)]
    vocab: VocabSource,
}

pub(crate) fn run(args: &ScoreArgs) -> Result<()> {
    let format = args.run.format(args.format, [ScoreFormat::Table, ScoreFormat::Jsonl]);
    let files = [Some(&args.logits.logits), Some(&args.candidates)].into_iter().chain(args.vocab.files());
    let files = files.flatten().map(|path| path.as_path());
    let mut inputs = Inputs::of(with_sidecar(args.run.output()), files)?;
    // Of equal logits the first of the list is the greedy one.
    let params = LogprobsParams { top_logprobs: 1, temperature: args.temperature, entropy: false };
    params.validate()?;
    let logits = LogitsFile::open(&args.logits)?;
    inputs.add(logits.array.path())?;
    let questions = Questions::read(&args.candidates, &logits)?;
    let asks = questions.asks(&logits);
    if args.run.output().is_some() {
        logits.hash_while_reading();
    }
    let (vocab, vocab_source) = args.vocab.load(logits.vocab)?.unzip();
    let chosen = Chosen::new(&args.run.device)?;
    if asks.windows(2).any(|pair| pair[0].row == pair[1].row) {
        chosen.check(Kernels::TokenRanks, logits.dtype)?;
    }
    deliver(
        args.run.output(),
        &inputs,
        |out| {
            let mut tally = Tally::new(&chosen);
            let scored = score(&logits, &asks, &params, &chosen, &mut tally)?;
            write_all(out, format, &questions, &scored, vocab.as_ref())?;
            tally.print(&logits, &chosen, &Counts(&questions));
            Ok(())
        },
        |output| {
            let options = Options {
                candidates: args.candidates.display().to_string(),
                candidates_sha256: sha256(Some(&args.candidates))?,
                temperature: args.temperature,
                format: name_of(&format),
                device: &args.run.device,
                vocab_size: args.logits.vocab_size,
                vocab: vocab_source.unwrap_or_default(),
            };
            Meta::new(&logits, &chosen, options, output)
        },
    )
}

/// What the rows say of each token of all candidates, block by block.
fn score(
    logits: &LogitsFile,
    asks: &[Ask],
    params: &LogprobsParams,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<Vec<Scored>> {
    let mut scored = vec![Err(Status::NothingFinite); asks.len()];
    let most = asks.chunk_by(|a, b| a.row == b.row).map(<[Ask]>::len).max().unwrap_or(0);
    logits.each_block(ANSWER_BYTES[0] + ANSWER_BYTES[1] * most, |rows, block| {
        let start = asks.partition_point(|ask| ask.row < rows.start);
        let end = asks.partition_point(|ask| ask.row < rows.end);
        let asked = RowTokens::new(&asks[start..end], rows.start, rows.len())?;
        if start == end {
            return Ok(());
        }
        let answers = chosen.engine().logprobs_of(block, params, &asked.targets, &asked.further())?;
        for own in asks[start..end].chunk_by(|a, b| a.row == b.row) {
            let answer = &answers[own[0].row - rows.start];
            tally.count(answer.distribution.status);
            for ask in own {
                scored[ask.place] = of_token(answer, ask.token);
            }
        }
        Ok(())
    })?;
    Ok(scored)
}

/// What an answer says of a token that it was asked about.
fn of_token(answer: &Logprobs, token: u32) -> Scored {
    let said = answer.target.iter().chain(&answer.distribution.token_logprobs);
    let found = said.into_iter().find(|said| said.token == token);
    found.map(|said| answer.distribution.scored(said)).ok_or(answer.distribution.status)
}

/// The tokens that rows are asked about: the first of each is its target, and there may be more.
struct RowTokens {
    targets: Vec<Option<u32>>,
    lists: Vec<Vec<u32>>,
}

impl RowTokens {
    /// What so many rows from `first` on are asked.
    fn new(asks: &[Ask], first: usize, rows: usize) -> Result<Self> {
        let mut asked = Self { targets: vec![None; rows], lists: vec![Vec::new(); rows] };
        for own in asks.chunk_by(|a, b| a.row == b.row) {
            let mut tokens: Vec<u32> = own.iter().map(|ask| ask.token).collect();
            tokens.sort_unstable();
            tokens.dedup();
            let row = own[0].row - first;
            asked.targets[row] = tokens.pop();
            if tokens.len() > SamplingParams::MAX_LOGPROB_TOKEN_IDS {
                return Err(Failure::Usage(format!(
                    "row {} is asked about {} tokens, the limit is {}: ask about some of the candidates at a time",
                    own[0].row,
                    tokens.len() + 1,
                    SamplingParams::MAX_LOGPROB_TOKEN_IDS + 1
                )));
            }
            asked.lists[row] = tokens;
        }
        Ok(asked)
    }

    fn further(&self) -> Vec<&[u32]> {
        self.lists.iter().map(Vec::as_slice).collect()
    }
}

/// Writes the answers to all questions.
fn write_all(
    out: Box<dyn Write + '_>,
    format: ScoreFormat,
    questions: &Questions,
    scored: &[Scored],
    vocab: Option<&Vocab>,
) -> Result<()> {
    let failed = |error: io::Error| Failure::writing(&error);
    let mut writer = Writer::new(out, format, vocab).map_err(failed)?;
    for (number, candidates) in questions.0.iter().enumerate() {
        writer.write(number, &Answer::new(candidates, scored, vocab)).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// How much was scored, as the second line of what is said at the end.
struct Counts<'a>(&'a Questions);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (questions, candidates) = (self.0.0.len(), self.0.candidates().count());
        write!(f, "{questions} questions, {candidates} candidates, {} tokens scored", self.0.n_tokens())
    }
}
