//! Outputs are looked at before they are timed: bits against bits, and the CPU engine against the definition.

use std::fmt::Debug;

use half::{bf16, f16};
use sortilege::oracle::{self, Truth};
use sortilege::validate::{ERROR_FLOOR, ERROR_LIMIT};
use sortilege::{Dtype, Logits, Record, Sample, Status, TopLogprob, cpu};

use super::data::Source;
use super::task::{Output, Task};
use crate::failure::{Failure, Result};

/// Logits of which every row is looked at.
const SMALL: usize = 1 << 22;

/// The rows of a batch to look at.
pub(crate) fn rows(source: &Source) -> Vec<usize> {
    if source.rows * source.vocab <= SMALL { (0..source.rows).collect() } else { ends(source) }
}

/// The first row, the middle one, the last one.
fn ends(source: &Source) -> Vec<usize> {
    let mut rows = vec![0, source.rows / 2, source.rows - 1];
    rows.dedup();
    rows
}

/// An error unless a device said of these rows what the CPU engine says, bit for bit. `got` has the outputs of `rows` in
/// order.
pub(crate) fn against_cpu(
    device: &str,
    task: &Task,
    source: &Source,
    rows: &[usize],
    got: &[Output],
) -> Result<()> {
    for (&row, got) in rows.iter().zip(got) {
        let bytes = source.read(row..row + 1)?;
        let logits = Logits::new(&bytes, source.dtype, 1, source.vocab)?;
        let expected = task.on_cpu(&logits, row..row + 1)?;
        if let Some(what) = got.difference(&expected) {
            return Err(mismatch(device, task, source, row, &what));
        }
    }
    Ok(())
}

fn mismatch(device: &str, task: &Task, source: &Source, row: usize, what: &str) -> Failure {
    Failure::Mismatch(format!(
        "{device}, {} of [{}][{}] {}, top {:?}, row {row}: {what}",
        task.asked.op.name(),
        source.rows,
        source.vocab,
        source.dtype,
        task.asked.top
    ))
}

impl Output {
    /// The first thing in which two outputs differ.
    pub(crate) fn difference(&self, expected: &Self) -> Option<String> {
        match (self, expected) {
            (Self::Records(got), Self::Records(expected)) => of_rows(got, expected),
            (Self::Samples(got), Self::Samples(expected)) => of_rows(got, expected),
            (Self::Logprobs(got), Self::Logprobs(expected)) => of_rows(&bits(got), &bits(expected)),
            (Self::Entries(got, tokens), Self::Entries(expected, expected_tokens)) => {
                of_rows(&bits(got), &bits(expected)).or_else(|| of_rows(tokens, expected_tokens))
            }
            _ => Some("the output of another operation".to_owned()),
        }
    }
}

/// Any NaN equals any other.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

fn of_rows<T: PartialEq + Debug>(got: &[T], expected: &[T]) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{} results instead of {}", got.len(), expected.len()));
    }
    let place = got.iter().zip(expected).position(|(got, expected)| got != expected)?;
    let (got, expected) = (format!("{:?}", got[place]), format!("{:?}", expected[place]));
    // The words around the first difference: lists are long.
    let same = got.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let around = |words: &str| words.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    Some(format!("result {place} is …{} instead of …{}", around(&got), around(&expected)))
}

/// Rows with what the definition says of them, made once for all tasks.
pub(crate) struct Truths(Vec<Known>);

/// A row with what the definition says of it.
struct Known {
    row: usize,
    values: Vec<f32>,
    /// None of what is no distribution.
    truth: Option<Both>,
}

/// A distribution at temperature 1 and at the one that is asked for, which is 1 if that is 0: a greedy request says of its
/// draw what it is at 1.
struct Both {
    raw: Truth,
    processed: Truth,
}

impl Truths {
    pub(crate) fn new(source: &Source, temperature: f32) -> Result<Self> {
        let known = |row| {
            let values = widen(source.dtype, &source.read(row..row + 1)?);
            let truth = Both::new(&values, if temperature == 0.0 { 1.0 } else { temperature });
            Ok(Known { row, values, truth })
        };
        Ok(Self(ends(source).into_iter().map(known).collect::<Result<_>>()?))
    }

    /// An error unless the CPU engine agrees with the definition.
    pub(crate) fn check(&self, task: &Task, source: &Source) -> Result<()> {
        for known in &self.0 {
            let row = known.row;
            let bytes = source.read(row..row + 1)?;
            let logits = Logits::new(&bytes, source.dtype, 1, source.vocab)?;
            let got = task.on_cpu(&logits, row..row + 1)?;
            if let Some(what) = known.against(&got, task) {
                return Err(mismatch("cpu against the definition", task, source, row, &what));
            }
        }
        Ok(())
    }
}

impl Both {
    fn new(values: &[f32], temperature: f32) -> Option<Self> {
        let raw = oracle::truth(values, 1.0)?;
        let processed = if temperature == 1.0 { raw.clone() } else { oracle::truth(values, temperature)? };
        Some(Self { raw, processed })
    }
}

impl Known {
    /// What the definition has against the output of this row.
    fn against(&self, got: &Output, task: &Task) -> Option<String> {
        let raw = self.truth.as_ref().map(|both| &both.raw);
        match got {
            Output::Records(records) => self.of_record(&records[0], task),
            Output::Samples(samples) => of_sample(&samples[0], task, self.truth.as_ref()),
            Output::Logprobs(logprobs) => of_logprobs(logprobs, raw),
            Output::Entries(logits, tokens) => of_entries(logits, tokens, task, &self.values, raw),
        }
    }

    fn of_record(&self, record: &Record, task: &Task) -> Option<String> {
        let Some(Both { processed: truth, .. }) = &self.truth else {
            return (record.status == Status::Ok)
                .then(|| "a status ok of what is no distribution".to_owned());
        };
        let said = record.target;
        let asked = task.targets[self.row].map(|token| (token, Truth::rank_counts(&self.values, token)));
        let answered = said.map(|said| (said.token, (said.n_greater, said.n_equal)));
        // Of a large sum f64 itself has 16 digits.
        let limit = ERROR_LIMIT * (1.0 + truth.logsumexp.abs() * 1e-9);
        let summary = [
            ("log-sum-exp", record.logsumexp, truth.logsumexp, limit),
            ("entropy", record.entropy, truth.entropy, ERROR_LIMIT),
        ];
        (record.status != Status::Ok)
            .then(|| format!("status {}", record.status.name()))
            .or_else(|| {
                (asked != answered).then(|| format!("target and rank {answered:?} instead of {asked:?}"))
            })
            .or_else(|| {
                said.and_then(|said| off("the target", said.logprob, truth.logprobs[said.token as usize]))
            })
            .or_else(|| {
                let (name, got, truth, _) =
                    summary.into_iter().find(|(_, got, truth, limit)| !is_near(*got, *truth, *limit))?;
                Some(format!("{name} {got} instead of {truth}"))
            })
            .or_else(|| of_top(&record.top, task.asked.k(), truth))
    }
}

fn widen(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let halves = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
        Dtype::F16 => halves().map(|bytes| f16::from_ne_bytes(*bytes).to_f32()).collect(),
        Dtype::Bf16 => halves().map(|bytes| bf16::from_ne_bytes(*bytes).to_f32()).collect(),
    }
}

/// NaN is near nothing.
fn is_near(got: f64, truth: f64, limit: f64) -> bool {
    (got - truth).abs() <= limit
}

/// Whether a logprob is wrong; those of tokens that hardly ever occur are promised nothing.
fn is_off(got: f64, truth: f64, rounding: f64) -> bool {
    if truth == f64::NEG_INFINITY {
        return got != truth;
    }
    truth > ERROR_FLOOR.ln() && !is_near(got, truth, ERROR_LIMIT + rounding)
}

fn off(what: &str, got: f64, truth: f64) -> Option<String> {
    is_off(got, truth, 0.0).then(|| format!("{what} is {got} instead of {truth}"))
}

fn of_top(top: &[TopLogprob], k: u32, truth: &Truth) -> Option<String> {
    let tokens: Vec<u32> = top.iter().map(|entry| entry.token).collect();
    of_rows(&tokens, &truth.order[..truth.order.len().min(k as usize)])
        .or_else(|| top.iter().find_map(|e| off("a logprob", e.logprob, truth.logprobs[e.token as usize])))
}

/// The draw itself is a matter of the generator, which the definition does not know; its probability is not.
fn of_sample(sample: &Sample, task: &Task, truth: Option<&Both>) -> Option<String> {
    let Some(Both { raw, processed }) = truth else {
        return (sample.status == Status::Ok).then(|| "a status ok of what is no distribution".to_owned());
    };
    let (drawn, asked) = (sample.draws.len(), task.asked.draws_made() as usize);
    let first = processed.order.first().copied();
    (sample.status != Status::Ok)
        .then(|| format!("status {}", sample.status.name()))
        .or_else(|| (drawn != asked).then(|| format!("{drawn} draws instead of {asked}")))
        .or_else(|| {
            let possible = processed.order.len();
            (sample.kept as usize != possible).then(|| format!("{} tokens kept, not {possible}", sample.kept))
        })
        .or_else(|| {
            sample.draws.iter().find_map(|draw| {
                let truth = processed.logprobs.get(draw.token as usize).copied().unwrap_or(f64::NEG_INFINITY);
                (truth == f64::NEG_INFINITY)
                    .then(|| format!("token {} was drawn, which is impossible", draw.token))
                    .or_else(|| {
                        (task.asked.is_greedy() && Some(draw.token) != first)
                            .then(|| format!("the greedy token {} instead of {first:?}", draw.token))
                    })
                    .or_else(|| off("a draw", draw.logprob, truth))
            })
        })
        .or_else(|| match (&sample.raw, task.asked.k()) {
            (Some(said), k) => of_top(&said.top, k, raw),
            (None, 0) => None,
            (None, _) => Some("no raw distribution".to_owned()),
        })
}

fn of_logprobs(got: &[f32], truth: Option<&Truth>) -> Option<String> {
    let Some(truth) = truth else {
        return (!got.iter().all(|x| x.is_nan())).then(|| "logprobs of what is no distribution".to_owned());
    };
    if got.len() != truth.logprobs.len() {
        return Some(format!("{} logprobs instead of {}", got.len(), truth.logprobs.len()));
    }
    let half_ulp = |truth: f64| truth.abs() * f64::from(f32::EPSILON) / 2.0;
    let mut pairs = got.iter().zip(&truth.logprobs).enumerate();
    let place = pairs.find(|(_, (got, truth))| is_off(f64::from(**got), **truth, half_ulp(**truth)));
    place.map(|(token, (got, truth))| format!("the logprob of token {token} is {got} instead of {truth}"))
}

fn of_entries(
    logits: &[f32],
    tokens: &[u32],
    task: &Task,
    values: &[f32],
    truth: Option<&Truth>,
) -> Option<String> {
    let k = task.asked.k() as usize;
    let order = truth.map_or(&[][..], |truth| &truth.order[..truth.order.len().min(k)]);
    let mut expected = order.to_vec();
    expected.resize(k, cpu::PAST_THE_LAST);
    // -0 comes back as 0
    let logit = |token: &u32| values.get(*token as usize).map_or(f32::NEG_INFINITY, |logit| logit + 0.0);
    let expected_logits: Vec<f32> = expected.iter().map(logit).collect();
    of_rows(tokens, &expected).or_else(|| of_rows(&bits(logits), &bits(&expected_logits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::options::{BenchArgs, DataArg, Op};
    use crate::bench::task::Asked;

    /// A batch, one task of each operation, and the output of the CPU engine for its second row.
    fn outputs(temperature: &str) -> (Source, Vec<(Task, Output)>) {
        // Records have no temperature 0.
        let ops = if temperature == "0" { "sample,log-softmax,top-k" } else { "all" };
        let args = BenchArgs::of(&["--op", ops, "--top", "7", "--draws", "2", "--temperature", temperature]);
        let source = Source::synthetic(DataArg::Peaked, Dtype::Bf16, 3, 5000);
        let bytes = source.read(1..2).expect("memory");
        let logits = Logits::new(&bytes, Dtype::Bf16, 1, 5000).expect("a row");
        let run = |asked: Asked| {
            let task = Task::new(asked, &source).expect("sound");
            let output = task.on_cpu(&logits, 1..2).expect("a result");
            (task, output)
        };
        let outputs = Asked::all(&args).into_iter().map(run).collect();
        (source, outputs)
    }

    /// Changes the least that can be changed.
    fn flip(output: &mut Output) {
        let flip = |x: &mut f32| *x = f32::from_bits(x.to_bits() ^ 1);
        match output {
            Output::Records(records) => {
                let logprob = &mut records[0].top[6].logprob;
                *logprob = f64::from_bits(logprob.to_bits() ^ 1);
            }
            Output::Samples(samples) => samples[0].draws[1].token ^= 1,
            Output::Logprobs(logprobs) => flip(&mut logprobs[4999]),
            Output::Entries(logits, _) => flip(&mut logits[6]),
        }
    }

    #[test]
    fn one_flipped_bit_of_a_device_is_a_mismatch() {
        let (source, outputs) = outputs("1");
        assert_eq!(outputs.len(), 4);
        for (task, mut output) in outputs {
            against_cpu("sound", &task, &source, &[1], std::slice::from_ref(&output)).expect("the same bits");
            flip(&mut output);
            let failure = against_cpu("broken", &task, &source, &[1], &[output]).expect_err("a flipped bit");
            let Failure::Mismatch(message) = failure else { panic!("{failure}") };
            assert!(
                message.contains("row 1: result 0 is …")
                    || message.contains("row 1: result 6 is …")
                    || message.contains("row 1: result 4999 is …"),
                "{message}"
            );
            assert!(message.contains(task.asked.op.name()), "{message}");
        }
    }

    #[test]
    fn the_definition_has_its_word_at_any_temperature() {
        for temperature in ["0", "0.001", "0.01", "0.7", "1000"] {
            let (source, outputs) = outputs(temperature);
            let truths = Truths::new(&source, temperature.parse().expect("a number")).expect("rows");
            let other = Truths::new(&source, 2.0).expect("rows");
            for (task, output) in &outputs {
                truths.check(task, &source).unwrap_or_else(|failure| panic!("{temperature}: {failure}"));
                let is_other = other.0[1].against(output, task).is_some();
                assert_eq!(
                    is_other,
                    task.asked.temperature.is_some(),
                    "{temperature} is not 2: {:?}",
                    task.asked
                );
            }
        }
    }

    #[test]
    fn a_greedy_draw_is_the_largest_logit() {
        let (source, outputs) = outputs("0");
        let truths = Truths::new(&source, 0.0).expect("rows");
        let (task, output) =
            outputs.into_iter().find(|(task, _)| task.asked.op == Op::Sample).expect("there");
        let Output::Samples(mut samples) = output else { panic!("{output:?}") };
        let Some(Both { processed, .. }) = &truths.0[1].truth else { panic!("no distribution") };
        let draw = &mut samples[0].draws[0];
        draw.token = processed.order[1];
        draw.logprob = processed.logprobs[draw.token as usize];
        let said =
            truths.0[1].against(&Output::Samples(samples), &task).expect("the second is not the first");
        assert!(said.starts_with("the greedy token"), "{said}");
    }

    #[test]
    fn the_definition_has_its_word_against_every_field() {
        let (source, outputs) = outputs("1");
        let truths = Truths::new(&source, 1.0).expect("rows");
        let says = |task: &Task, output: &Output| truths.0[1].against(output, task);
        for (task, output) in &outputs {
            truths.check(task, &source).expect("the CPU engine agrees");
            assert_eq!(says(task, output), None);
        }
        let changed = |op: Op, change: &dyn Fn(&mut Output)| {
            let (_, outputs) = self::outputs("1");
            let (task, mut output) =
                outputs.into_iter().find(|(task, _)| task.asked.op == op).expect("there");
            change(&mut output);
            assert!(says(&task, &output).is_some(), "{op:?}: {output:?}");
        };
        fn record(change: impl Fn(&mut Record)) -> impl Fn(&mut Output) {
            move |output| {
                if let Output::Records(records) = output {
                    change(&mut records[0])
                }
            }
        }
        fn sample(change: impl Fn(&mut Sample)) -> impl Fn(&mut Output) {
            move |output| {
                if let Output::Samples(samples) = output {
                    change(&mut samples[0])
                }
            }
        }
        changed(Op::Log, &record(|record| record.status = Status::Nan));
        changed(Op::Log, &record(|record| record.logsumexp += 2e-6));
        changed(Op::Log, &record(|record| record.entropy += 2e-6));
        changed(Op::Log, &record(|record| record.top[3].logprob += 2e-6));
        changed(Op::Log, &record(|record| record.top.swap(2, 3)));
        changed(Op::Log, &record(|record| record.top.truncate(6)));
        changed(Op::Log, &record(|record| record.target.as_mut().expect("a target").n_greater += 1));
        changed(Op::Sample, &sample(|sample| sample.status = Status::Nan));
        changed(Op::Sample, &sample(|sample| sample.draws.truncate(1)));
        changed(Op::Sample, &sample(|sample| sample.draws[0].token = 5000));
        changed(Op::Sample, &sample(|sample| sample.draws[0].logprob += 2e-6));
        changed(Op::Sample, &sample(|sample| sample.kept -= 1));
        changed(Op::Sample, &sample(|sample| sample.raw = None));
        changed(Op::LogSoftmax, &|output| {
            let Output::Logprobs(logprobs) = output else { return };
            let best = logprobs.iter_mut().max_by(|a, b| a.total_cmp(b)).expect("a token");
            *best += 2e-6;
        });
        changed(Op::TopK, &|output| {
            if let Output::Entries(_, tokens) = output {
                tokens.swap(0, 1)
            }
        });
        changed(Op::TopK, &|output| {
            if let Output::Entries(logits, _) = output {
                logits[2] += 0.1
            }
        });
        // What is no distribution must not be called one.
        let values = truths.0[1].values.clone();
        let unknown = Known { row: 1, values, truth: None };
        for (task, output) in &outputs {
            assert!(unknown.against(output, task).is_some());
        }
    }
}
