//! Outputs are looked at before they are timed: a device must say what the CPU engine says, bit for bit, and the CPU
//! engine what follows from the logits. Nothing is measured here, and nothing is computed but by the library.

use sortilege::audit::{KnownRow, Verdict, difference};
use sortilege::{Logits, NO_TOKEN, Sample};

use super::data::Source;
use super::task::{Output, Task};
use crate::failure::Result;

/// Logits of which every row is looked at.
const SMALL: usize = 1 << 22;

/// The rows of a batch to look at.
pub(super) fn rows_to_check(source: &Source) -> Vec<usize> {
    if source.rows * source.vocab <= SMALL { (0..source.rows).collect() } else { first_middle_last(source) }
}

/// The first row, the middle one and the last one, each once.
fn first_middle_last(source: &Source) -> Vec<usize> {
    let mut rows = vec![0, source.rows / 2, source.rows - 1];
    rows.dedup();
    rows
}

/// An error unless a device said of these rows what the CPU engine says, bit for bit. `got` has the outputs of `rows`
/// in order.
pub(super) fn against_cpu(
    device: &str,
    task: &Task,
    source: &Source,
    rows: &[usize],
    got: &[Output],
) -> Result<()> {
    for (&row, got) in rows.iter().zip(got) {
        if let Some(what) = got.difference(&on_cpu(task, source, row)?) {
            return Err(task.mismatch(device, source, row, &what));
        }
    }
    Ok(())
}

/// What the CPU engine says of a row.
fn on_cpu(task: &Task, source: &Source, row: usize) -> Result<Output> {
    let bytes = source.read(row..row + 1)?;
    Ok(task.on_cpu(&Logits::new(&bytes, source.dtype, 1, source.vocab)?, row..row + 1)?)
}

impl Output {
    /// The first thing in which two outputs differ.
    fn difference(&self, expected: &Self) -> Option<String> {
        match (self, expected) {
            (Self::Records(got), Self::Records(expected)) => difference(got, expected),
            (Self::Samples(got), Self::Samples(expected)) => difference(got, expected),
            (Self::Tokens(got), Self::Samples(expected)) => {
                let token = |sample: &Sample| sample.token().unwrap_or(NO_TOKEN);
                difference(got, &expected.iter().map(token).collect())
            }
            (Self::Logprobs(got), Self::Logprobs(expected)) => difference(got, expected),
            (Self::Entries(got, tokens), Self::Entries(expected, expected_tokens)) => {
                difference(got, expected).or_else(|| difference(tokens, expected_tokens))
            }
            _ => Some("the output of another operation".to_owned()),
        }
    }
}

/// Rows by their numbers, with what the definition says of them, made once for all tasks.
pub(super) struct KnownRows(Vec<(usize, KnownRow)>);

impl KnownRows {
    /// The first row, the middle one and the last one.
    pub(super) fn new(source: &Source) -> Result<Self> {
        let known = |row| {
            let bytes = source.read(row..row + 1)?;
            Ok((row, KnownRow::new(&Logits::new(&bytes, source.dtype, 1, source.vocab)?, 0)))
        };
        Ok(Self(first_middle_last(source).into_iter().map(known).collect::<Result<_>>()?))
    }

    /// An error unless what the CPU engine says of them follows from their logits.
    pub(super) fn check(&self, task: &Task, source: &Source) -> Result<()> {
        for (row, known) in &self.0 {
            let verdict = verdict(known, *row, task, &on_cpu(task, source, *row)?);
            if !verdict.is_ok() {
                return Err(task.mismatch("cpu against the definition", source, *row, &verdict.to_string()));
            }
        }
        Ok(())
    }
}

/// Whether an output of one row follows from its logits.
fn verdict(known: &KnownRow, row: usize, task: &Task, output: &Output) -> Verdict {
    match output {
        Output::Records(records) => known.logprobs(&records[0], &task.params(), task.targets[row]),
        Output::Samples(samples) => known.sample(&samples[0], &task.rows(row..row + 1)[0], None),
        Output::Tokens(_) => unreachable!("the CPU engine says more of a draw"),
        Output::Logprobs(logprobs) => known.log_softmax(logprobs),
        Output::Entries(logits, tokens) => known.top_k(logits, tokens, task.workload.k()),
    }
}

#[cfg(test)]
mod tests {
    use sortilege::Dtype;

    use super::*;
    use crate::bench::args::{BenchArgs, DataArg};
    use crate::bench::op::Op;
    use crate::bench::task::Workload;
    use crate::failure::Failure;

    /// A batch, one task of each operation, and the output of the CPU engine for its second row.
    fn outputs(temperature: &str) -> (Source, Vec<(Task, Output)>) {
        // Records have no temperature 0.
        let ops = if temperature == "0" { "sample,sample-tokens,log-softmax,top-k" } else { "all" };
        let args = BenchArgs::of(&["--op", ops, "--top", "7", "--draws", "2", "--temperature", temperature]);
        let source = Source::synthetic(DataArg::Peaked, Dtype::Bf16, 3, 5000);
        let run = |workload: Workload| {
            let task = Task::new(workload, &source).expect("sound");
            let output = on_cpu(&task, &source, 1).expect("a result");
            (task, output)
        };
        let outputs = Workload::all(&args).into_iter().map(run).collect();
        (source, outputs)
    }

    /// Changes the least that can be changed.
    fn flip(output: &mut Output) {
        let flip = |x: &mut f32| *x = f32::from_bits(x.to_bits() ^ 1);
        match output {
            Output::Records(records) => {
                let logprob = &mut records[0].distribution.top_logprobs[6].logprob;
                *logprob = f64::from_bits(logprob.to_bits() ^ 1);
            }
            Output::Samples(samples) => samples[0].draws.last_mut().expect("a draw").token ^= 1,
            Output::Tokens(tokens) => tokens[0] ^= 1,
            Output::Logprobs(logprobs) => flip(&mut logprobs[4999]),
            Output::Entries(logits, _) => flip(&mut logits[6]),
        }
    }

    #[test]
    fn one_flipped_bit_of_a_device_is_a_mismatch() {
        let (source, outputs) = outputs("1");
        assert_eq!(outputs.len(), 5);
        for (task, mut output) in outputs {
            against_cpu("sound", &task, &source, &[1], std::slice::from_ref(&output)).expect("the same bits");
            flip(&mut output);
            let failure = against_cpu("broken", &task, &source, &[1], &[output]).expect_err("a flipped bit");
            let Failure::Mismatch(message) = failure else { panic!("{failure}") };
            assert!(message.contains("row 1: ") && message.contains(" instead of "), "{message}");
            assert!(message.contains(task.workload.op.name()), "{message}");
        }
    }

    /// A device has nothing but the tokens of what the CPU engine says more of.
    #[test]
    fn another_token_is_a_mismatch() {
        let (source, outputs) = outputs("1");
        let (task, output) =
            outputs.iter().find(|(task, _)| task.workload.op == Op::SampleTokens).expect("all");
        let Output::Samples(samples) = output else { panic!("{output:?}") };
        let mut tokens = Output::Tokens(vec![samples[0].draws[0].token]);
        against_cpu("sound", task, &source, &[1], std::slice::from_ref(&tokens)).expect("the same token");
        flip(&mut tokens);
        against_cpu("broken", task, &source, &[1], &[tokens]).expect_err("another token");
    }

    /// Every operation is audited with its own temperature, length and target.
    #[test]
    fn the_definition_has_its_word_at_any_temperature() {
        for temperature in ["0", "0.001", "0.01", "0.7", "1000"] {
            let (source, outputs) = outputs(temperature);
            let rows = KnownRows::new(&source).expect("rows");
            let (_, others) = self::outputs("2");
            for (task, output) in &outputs {
                rows.check(task, &source).unwrap_or_else(|failure| panic!("{temperature}: {failure}"));
                let same_op = |(other, _): &&(Task, Output)| other.workload.op == task.workload.op;
                let (_, other) = others.iter().find(same_op).expect("all operations");
                let (row, known) = &rows.0[1];
                assert!(verdict(known, *row, task, output).is_ok());
                let is_other = !verdict(known, *row, task, other).is_ok();
                assert_eq!(
                    is_other,
                    task.workload.temperature.is_some(),
                    "{temperature} is not 2: {:?}",
                    task.workload
                );
                assert!(
                    !verdict(&rows.0[0].1, *row, task, output).is_ok(),
                    "another row: {:?}",
                    task.workload
                );
            }
        }
    }
}
