//! Every comparison sees the least change of an output.

use sortilege::{Dtype, Logits, Logprobs, Sample, Status};

use super::bits::against_cpu;
use super::definition::{KnownRow, RawAndProcessed, Truths};
use crate::bench::args::{BenchArgs, DataArg, Op};
use crate::bench::data::Source;
use crate::bench::task::{Output, Task, Workload};
use crate::failure::Failure;

/// A batch, one task of each operation, and the output of the CPU engine for its second row.
fn outputs(temperature: &str) -> (Source, Vec<(Task, Output)>) {
    // Records have no temperature 0.
    let ops = if temperature == "0" { "sample,log-softmax,top-k" } else { "all" };
    let args = BenchArgs::of(&["--op", ops, "--top", "7", "--draws", "2", "--temperature", temperature]);
    let source = Source::synthetic(DataArg::Peaked, Dtype::Bf16, 3, 5000);
    let bytes = source.read(1..2).expect("memory");
    let logits = Logits::new(&bytes, Dtype::Bf16, 1, 5000).expect("a row");
    let run = |workload: Workload| {
        let task = Task::new(workload, &source).expect("sound");
        let output = task.on_cpu(&logits, 1..2).expect("a result");
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
        assert!(message.contains(task.workload.op.name()), "{message}");
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
            let is_other = other.0[1].objection(output, task).is_some();
            assert_eq!(
                is_other,
                task.workload.temperature.is_some(),
                "{temperature} is not 2: {:?}",
                task.workload
            );
        }
    }
}

#[test]
fn a_greedy_draw_is_the_largest_logit() {
    let (source, outputs) = outputs("0");
    let truths = Truths::new(&source, 0.0).expect("rows");
    let (task, output) = outputs.into_iter().find(|(task, _)| task.workload.op == Op::Sample).expect("there");
    let Output::Samples(mut samples) = output else { panic!("{output:?}") };
    let Some(RawAndProcessed { processed, .. }) = &truths.0[1].truth else { panic!("no distribution") };
    let draw = &mut samples[0].draws[0];
    draw.token = processed.order[1];
    draw.logprob = processed.logprobs[draw.token as usize];
    let objection =
        truths.0[1].objection(&Output::Samples(samples), &task).expect("the second is not the first");
    assert!(objection.starts_with("the greedy token"), "{objection}");
}

/// The change of a record.
fn record(change: impl Fn(&mut Logprobs)) -> impl Fn(&mut Output) {
    move |output| {
        if let Output::Records(records) = output {
            change(&mut records[0])
        }
    }
}

/// The change of a sample.
fn sample(change: impl Fn(&mut Sample)) -> impl Fn(&mut Output) {
    move |output| {
        if let Output::Samples(samples) = output {
            change(&mut samples[0])
        }
    }
}

#[test]
fn the_definition_has_its_word_against_every_field() {
    let (source, outputs) = outputs("1");
    let truths = Truths::new(&source, 1.0).expect("rows");
    let objection = |task: &Task, output: &Output| truths.0[1].objection(output, task);
    for (task, output) in &outputs {
        truths.check(task, &source).expect("the CPU engine agrees");
        assert_eq!(objection(task, output), None);
    }
    let changed = |op: Op, change: &dyn Fn(&mut Output)| {
        let (_, outputs) = self::outputs("1");
        let (task, mut output) = outputs.into_iter().find(|(task, _)| task.workload.op == op).expect("there");
        change(&mut output);
        assert!(objection(&task, &output).is_some(), "{op:?}: {output:?}");
    };
    changed(Op::Log, &record(|record| record.distribution.status = Status::Nan));
    changed(Op::Log, &record(|record| record.distribution.logsumexp += 2e-6));
    changed(Op::Log, &record(|record| record.distribution.entropy += 2e-6));
    changed(Op::Log, &record(|record| record.distribution.top_logprobs[3].logprob += 2e-6));
    changed(Op::Log, &record(|record| record.distribution.top_logprobs.swap(2, 3)));
    changed(Op::Log, &record(|record| record.distribution.top_logprobs.truncate(6)));
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
}

#[test]
fn what_is_no_distribution_must_not_be_called_one() {
    let (source, outputs) = outputs("1");
    let values = Truths::new(&source, 1.0).expect("rows").0[1].values.clone();
    let unknown = KnownRow { row: 1, values, truth: None };
    for (task, output) in &outputs {
        assert!(unknown.objection(output, task).is_some());
    }
}
