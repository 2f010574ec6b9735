//! Tables of what the CPU engine keeps of a row, at the boundaries, where the integers have no error.

use crate::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};

/// Name, row, what is asked for, the kept tokens in order, and the mass that they had in the row.
pub(super) type Boundary<'a> = (&'a str, &'a [f32], fn(&mut SamplingParams), &'a [u32], f64);

pub(super) const FLAT: &[f32] = &[2.0; 4];
pub(super) const IMPOSSIBLE: f32 = f32::NEG_INFINITY;

/// Nothing, if all of a table holds.
///
/// # Panics
/// With every line that does not.
pub(super) fn check(table: &[Boundary<'_>]) {
    let failures: Vec<String> = table.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failure((name, row, set, kept, mass): &Boundary<'_>) -> Option<String> {
    let mut params =
        SamplingParams { seed: Some(5), processed_logprobs: Some(9), ..SamplingParams::default() };
    set(&mut params);
    let request = Request::new(params).expect(name);
    let logits = Logits::f32(row, 1, row.len()).expect("a row");
    let sample = &Cpu.sample(&logits, &[request.row(0)], &SampleInputs::default()).expect(name)[0];
    let got: Vec<u32> = sample.processed.top_logprobs.iter().map(|entry| entry.token).collect();
    let drawn = sample.draws[0].token;
    let ends = sample.kept_ends.map(|ends| ends.map(|end| end.token));
    let possible = row.iter().filter(|logit| **logit > IMPOSSIBLE).count();
    // Without a filter there is nothing to say.
    let has_ends = match ends {
        Some([first, last]) => kept.first() == Some(&first) && kept.last() == Some(&last),
        None => kept.len() == possible,
    };
    let holds = got == *kept
        && sample.kept as usize == kept.len()
        && (sample.kept_mass - mass).abs() < 1e-6
        && kept.contains(&drawn)
        && has_ends;
    (!holds).then(|| {
        format!("{name}: drew {drawn} of {got:?} with mass {}, for {kept:?} with {mass}", sample.kept_mass)
    })
}

#[test]
fn a_wrong_line_is_reported() {
    let two: Boundary<'_> = ("two", FLAT, |p| p.top_k = 2, &[0, 1], 0.5);
    assert_eq!(failure(&two), None);
    let wrong: [Boundary<'_>; 4] = [
        ("too many", FLAT, |p| p.top_k = 3, two.3, two.4),
        ("too few", FLAT, |p| p.top_k = 1, two.3, two.4),
        ("another order", FLAT, two.2, &[1, 0], two.4),
        ("another mass", FLAT, two.2, two.3, 0.500_002),
    ];
    for line in &wrong {
        assert!(failure(line).is_some_and(|words| words.starts_with(line.0)), "{}", line.0);
    }
}
