//! What the records of a log say of the tokens that they are asked about. The records of a request are its rows, in order.

use std::collections::HashSet;
use std::path::Path;

use sortilege::Status;
use sortilege::log::{Kind, Record};

use super::candidates::{Ask, Scored};
use crate::failure::{Failure, Result, note};
use crate::files::{Asked, LogFile};
use crate::shown::shown_path;

/// Answers in the order of the places of the asks, which come row by row.
pub(super) fn score(log: &LogFile, asked: Asked, asks: &[Ask]) -> Result<Vec<Scored>> {
    let path = log.path();
    let mut scored = vec![None; asks.len()];
    // The request of the record before, and how many of its records were read.
    let (mut request, mut row) = (None, 0);
    let (mut requests, mut number) = (HashSet::new(), 0);
    let mut positions = Positions { first: asked.shift.map(u64::from), next: None };
    log.each(|record| {
        number += 1;
        if number == 1 && record.kind() == Kind::Sample {
            note!(
                "note: {}: a log of `sample` is scored by the processed distribution, which its tokens were drawn from",
                shown_path(path)
            );
        }
        row = if request == Some(record.request()) { row + 1 } else { 0 };
        if row == 0 && !requests.insert(record.request()) {
            return Err(scattered(path, number, record.request()));
        }
        request = Some(record.request());
        positions.check(path, number, row, &record)?;
        let place = |ask: &Ask| (ask.request as u64, ask.row);
        let first = asks.partition_point(|ask| place(ask) < (record.request(), row));
        for ask in asks[first..].iter().take_while(|ask| place(ask) == (record.request(), row)) {
            scored[ask.place] = Some(match record.status() {
                Status::Ok => Ok(record.scored(ask.token).ok_or_else(|| unknown(path, ask))?),
                status => Err(status),
            });
        }
        Ok(())
    })?;
    let place = scored.iter().position(Option::is_none);
    match place.and_then(|place| asks.iter().find(|ask| ask.place == place)) {
        Some(Ask { request, row, line, .. }) => Err(Failure::Usage(format!(
            "{} has no row {row} of request {request}, for which line {line} of the candidates asks: rows are the records of \
             a request, counted from 0",
            shown_path(path)
        ))),
        None => Ok(scored.into_iter().flatten().collect()),
    }
}

/// The positions of a request, of which a row that is missing would make all behind it another one.
struct Positions {
    /// That of the first row of each request, where it is known; of samples a request may tell another.
    first: Option<u64>,
    /// That of the next row.
    next: Option<u64>,
}

impl Positions {
    /// What nobody tells is whether records are missing before the first one of a request.
    fn tell_first(&self, path: &Path, record: &Record<'_>) {
        let (request, position) = (record.request(), record.position());
        note!(
            "note: {}: request {request} begins with position {position}, whose record is taken for its row 0",
            shown_path(path)
        );
    }

    /// An error unless the record stands where this row of its request must.
    fn check(&mut self, path: &Path, number: u64, row: usize, record: &Record<'_>) -> Result<()> {
        let position = record.position();
        let expected = match (row, record.kind()) {
            (0, Kind::Sample) => {
                if self.first.replace(position).is_none() && position > 0 {
                    self.tell_first(path, record);
                }
                position
            }
            // Of logs without a sidecar the first request tells it, which after --shift is 1.
            (0, Kind::Logprobs) => {
                if self.first.is_none() && position == 1 {
                    self.tell_first(path, record);
                }
                *self.first.get_or_insert(position.min(1))
            }
            _ => self.next.unwrap_or(position),
        };
        self.next = position.checked_add(1);
        if position == expected {
            return Ok(());
        }
        let request = record.request();
        Err(Failure::Usage(format!(
            "{}: record {number} is of request {request}, position {position}, where position {expected} must stand: records \
             are missing, doubled or out of order, so that nobody knows which rows they are; log the logits again",
            shown_path(path)
        )))
    }
}

/// A request whose records are apart, so that nobody knows which rows they are.
fn scattered(path: &Path, number: u64, request: u64) -> Failure {
    Failure::Usage(format!(
        "{}: record {number} is of request {request}, which ended before: rows are the consecutive records of a request; \
         sort the log by request",
        shown_path(path)
    ))
}

/// A token of which a log says nothing.
fn unknown(path: &Path, ask: &Ask) -> Failure {
    Failure::Usage(format!(
        "{} says nothing of token {} in row {} of request {}, for which line {} of the candidates asks: it is neither the \
         given token nor listed, by its id; score the logits, or log them with --tokens, --token-ids or a longer --top",
        shown_path(path),
        ask.token,
        ask.row,
        ask.request,
        ask.line
    ))
}
