//! A comparison as one JSON object, whose requests are written as they come. No infinity or NaN reaches JSON: both are
//! null.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};
use sortilege::TopLogprob;
use sortilege::compare::{ComparisonReport, Divergences, RowDivergence};
use sortilege::log::{Texts, TokenLogprob, write_json};

use super::frame::{Frame, context};
use super::pass::Outcome;
use super::sides::Told;
use super::worst::WorstRow;

/// Writes what comes before the requests.
pub(super) fn write_head(
    out: &mut dyn Write,
    sides: &[Told<'_>; 2],
    divergences: Divergences,
) -> io::Result<()> {
    write!(out, "{{\"a\":")?;
    write_json(out, &sides[0])?;
    write!(out, ",\"b\":")?;
    write_json(out, &sides[1])?;
    write!(out, ",\"divergence\":\"{}\",\"requests\":[", name(divergences))
}

/// Writes the report of a request.
pub(super) fn write_request(
    out: &mut dyn Write,
    request: u64,
    is_first: bool,
    report: &ComparisonReport,
) -> io::Result<()> {
    out.write_all(separator(is_first))?;
    write_json(out, &Numbers(Some(request), report))
}

/// Writes what comes after the requests.
pub(super) fn write_rest(out: &mut dyn Write, outcome: &Outcome, frame: &Frame<'_>) -> io::Result<()> {
    write!(out, "\n],\n\"total\":")?;
    write_json(out, &Numbers(None, &outcome.total))?;
    write!(out, ",\n\"worst\":[")?;
    for (number, row) in outcome.worst.iter().enumerate() {
        out.write_all(separator(number == 0))?;
        write_json(out, &JsonRow::new(row, outcome, frame))?;
    }
    write!(out, "\n],\n\"fail_if\":")?;
    let verdicts = frame.verdicts.iter();
    let verdicts: Vec<JsonVerdict> = verdicts
        .map(|(condition, verdict)| JsonVerdict { condition: condition.to_string(), verdict: verdict.name() })
        .collect();
    write_json(out, &verdicts)?;
    writeln!(out, "}}")
}

/// Each entry of a list stands on a line of its own.
const fn separator(is_first: bool) -> &'static [u8] {
    if is_first { b"\n" } else { b",\n" }
}

/// What the divergences are of.
const fn name(divergences: Divergences) -> &'static str {
    match divergences {
        Divergences::Exact => "exact",
        Divergences::Coarse => "coarse",
        _ => "absent",
    }
}

/// The named numbers of a report, behind the number of a request.
struct Numbers<'a>(Option<u64>, &'a ComparisonReport);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(request) = self.0 {
            map.serialize_entry("request", &request)?;
        }
        for (name, number) in self.1.named() {
            // Counts are whole, and look it.
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            match number.fract() == 0.0 && number.abs() < 9e15 {
                true => map.serialize_entry(&name, &(number as i64))?,
                false => map.serialize_entry(&name, &number)?,
            }
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct JsonVerdict {
    condition: String,
    verdict: &'static str,
}

/// The divergences of a row, by the names that they have in the total.
struct JsonDivergence(Divergences, RowDivergence);

impl Serialize for JsonDivergence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(kind, RowDivergence { kld, reverse_kld, jsd, .. }) = self;
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in [("kld", kld), ("reverse_kld", reverse_kld), ("jsd", jsd)] {
            map.serialize_entry(&format!("{}{name}", kind.prefix()), number)?;
        }
        map.end()
    }
}

/// One of the worst rows.
#[derive(serde::Serialize)]
struct JsonRow<'a> {
    request: u64,
    position: u64,
    token: Option<u32>,
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    /// The targets before it in its request.
    context: Option<String>,
    #[serde(flatten)]
    divergence: JsonDivergence,
    logprob_a: Option<f64>,
    logprob_b: Option<f64>,
    rank_a: Option<u32>,
    rank_b: Option<u32>,
    entropy_a: f64,
    entropy_b: f64,
    gap_a: f64,
    gap_b: f64,
    near_tie: Option<bool>,
    top_a: Vec<TokenLogprob<'a>>,
    top_b: Vec<TokenLogprob<'a>>,
}

impl<'a> JsonRow<'a> {
    fn new(row: &WorstRow, outcome: &Outcome, frame: &Frame<'a>) -> Self {
        let (texts, comparison) = (frame.texts, &row.comparison);
        let token = outcome.targets[row.place.row];
        let [logprob_a, logprob_b] = [0, 1].map(|side| comparison.target.map(|target| target.logprob[side]));
        let [rank_a, rank_b] = [0, 1].map(|side| comparison.target.and_then(|target| target.rank[side]));
        let [top_a, top_b] = comparison.top_logprobs.each_ref().map(|top| list(top, texts));
        let [gap_a, gap_b] = comparison.gaps();
        let [entropy_a, entropy_b] = comparison.entropy;
        Self {
            request: row.place.request,
            position: row.place.position,
            token,
            text: token.and_then(|token| texts.text(token)),
            bytes: token.and_then(|token| texts.bytes(token)),
            context: context(row.place, outcome, frame),
            divergence: JsonDivergence(outcome.divergences(), comparison.divergence),
            logprob_a,
            logprob_b,
            rank_a,
            rank_b,
            entropy_a,
            entropy_b,
            gap_a,
            gap_b,
            near_tie: comparison.is_near_tie(),
            top_a,
            top_b,
        }
    }
}

/// The entries of a list with their texts.
fn list<'a>(top: &[TopLogprob], texts: Texts<'a>) -> Vec<TokenLogprob<'a>> {
    let entry = |entry: &TopLogprob| TokenLogprob {
        token: Some(entry.token),
        text: texts.text(entry.token),
        bytes: texts.bytes(entry.token).map(Cow::Borrowed),
        logprob: entry.logprob,
    };
    top.iter().map(entry).collect()
}
