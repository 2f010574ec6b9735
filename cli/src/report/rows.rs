//! Rows as the page shows them, from the records of a log. What a row looks like is the page's part.

use serde::{Serialize, Serializer};
use sortilege::Status;
use sortilege::log::{DrawRecord, GivenToken, Record, SampleRecord, TokenLogprob};

use super::words::{Token, Words};

/// A row; tokens are numbers of words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) position: u64,
    /// Why the row is no distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// The target, or the first that was drawn.
    pub(super) token: Option<usize>,
    /// Its text between its neighbours, where it is another one than by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shown: Option<String>,
    /// Whether it has a part of a character that is spread over tokens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) joined: bool,
    #[serde(flatten)]
    filters: Option<Filters>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    draws: Vec<Draw>,
    /// One for each name of `view_names`; none where the record has none.
    views: Vec<Option<View>>,
}

/// What the filters of a sample did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Filters {
    kept: u32,
    kept_mass: Option<f64>,
    temperature: Option<f64>,
}

/// A drawn token.
#[derive(Debug, Serialize)]
struct Draw {
    token: usize,
    logprob: Logprob,
    rank: u32,
}

/// A distribution, and what it says of the row's token.
#[derive(Debug, Serialize)]
struct View {
    logprob: Option<Logprob>,
    rank: Option<u32>,
    entropy: Option<Logprob>,
    /// Token, logprob and rank of the most probable.
    top: Vec<(usize, Logprob, u32)>,
    /// How many more the log has.
    left: usize,
    /// The tokens that were asked for by their ids: token, logprob, rank and logprob among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    given: Vec<(usize, Logprob, u32, Logprob)>,
}

/// Names of the distributions of a record.
pub(super) fn view_names(record: &Record<'_>) -> &'static [&'static str] {
    match record {
        Record::Sample(record) if record.raw.is_some() => &["processed", "raw"],
        Record::Sample(_) => &["processed"],
        Record::Logprobs(_) => &["distribution"],
    }
}

/// Makes rows, with at most so many alternatives.
pub(super) struct Maker<'w> {
    pub(super) words: &'w mut Words,
    pub(super) top: usize,
}

impl Maker<'_> {
    pub(super) fn row(&mut self, record: &Record<'_>) -> Row {
        let chosen = record.chosen();
        let token = chosen.map(|chosen| self.words.number(Token::of(&chosen)));
        let logprob = chosen.and_then(|chosen| chosen.logprob);
        let mut view = self.view(logprob, record.entropy(), record.top(), record.token_logprobs());
        // Of logs that have no rank, the list may have it, those of its tokens too that are not shown.
        let is_chosen = |entry: &&TokenLogprob<'_>| {
            let entry = Token::new(entry.token, entry.text.as_deref(), entry.bytes.as_deref());
            chosen.is_some_and(|chosen| entry.is_same(&Token::of(&chosen)))
        };
        let listed = || {
            let own = record.top().iter().find(is_chosen)?;
            let is_above = |entry: &&TokenLogprob<'_>| entry.logprob > own.logprob;
            Some(1 + u32::try_from(record.top().iter().filter(is_above).count()).unwrap_or(u32::MAX))
        };
        view.rank = chosen.and_then(|chosen| chosen.rank).or_else(listed);
        let row = Row {
            position: record.position(),
            status: Some(record.status()).filter(|status| *status != Status::Ok).map(Status::name),
            token,
            shown: None,
            joined: false,
            filters: None,
            draws: Vec::new(),
            views: vec![Some(view)],
        };
        match record {
            Record::Logprobs(_) => row,
            Record::Sample(record) => self.sampled(record, row),
        }
    }

    /// The row with what a sample says beyond its first token and the processed distribution.
    fn sampled(&mut self, record: &SampleRecord<'_>, mut row: Row) -> Row {
        let SampleRecord { kept, kept_mass, temperature, draws, raw, .. } = record;
        let first = draws.first();
        row.views.push(raw.as_ref().map(|raw| {
            let view = self.view(
                first.and_then(|drawn| drawn.raw_logprob),
                raw.entropy,
                &raw.top,
                &raw.token_logprobs,
            );
            View { rank: first.and_then(|drawn| drawn.raw_rank), ..view }
        }));
        row.filters = Some(Filters { kept: *kept, kept_mass: *kept_mass, temperature: *temperature });
        row.draws = draws.iter().map(|drawn| self.draw(drawn)).collect();
        row
    }

    fn draw(&mut self, drawn: &DrawRecord<'_>) -> Draw {
        let token = Token::new(drawn.token, drawn.text.as_deref(), drawn.bytes.as_deref());
        Draw { token: self.words.number(token), logprob: Logprob(drawn.logprob), rank: drawn.rank }
    }

    fn given(&mut self, entry: &GivenToken<'_>) -> (usize, Logprob, u32, Logprob) {
        let token = Token::new(entry.token, entry.text.as_deref(), entry.bytes.as_deref());
        (self.words.number(token), Logprob(entry.logprob), entry.rank, Logprob(entry.set_logprob))
    }

    /// A distribution, without a rank.
    fn view(
        &mut self,
        logprob: Option<f64>,
        entropy: Option<f64>,
        list: &[TokenLogprob<'_>],
        given: &[GivenToken<'_>],
    ) -> View {
        let mut top: Vec<(usize, Logprob, u32)> = Vec::with_capacity(list.len().min(self.top));
        for (entry, next) in list.iter().take(self.top).zip(1..) {
            let token = Token::new(entry.token, entry.text.as_deref(), entry.bytes.as_deref());
            // Equal ones share the best rank.
            let rank = match top.last() {
                Some((_, before, rank)) if before.0 == entry.logprob => *rank,
                _ => next,
            };
            top.push((self.words.number(token), Logprob(entry.logprob), rank));
        }
        let left = list.len() - top.len();
        let given = given.iter().map(|entry| self.given(entry)).collect();
        View { logprob: logprob.map(Logprob), rank: None, entropy: entropy.map(Logprob), top, left, given }
    }
}

/// Nats, of which the page has seven digits behind the point; −infinity is a word.
#[derive(Clone, Copy, Debug)]
struct Logprob(f64);

impl Serialize for Logprob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            number => serializer.serialize_f64((number * 1e7).round() / 1e7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_share_a_rank_and_what_is_left_is_counted() {
        let mut words = Words::default();
        let entry = |token, logprob| TokenLogprob { token: Some(token), text: None, bytes: None, logprob };
        let list =
            [entry(3, -1.0), entry(5, -1.0), entry(2, -1.5), entry(9, f64::NEG_INFINITY), entry(1, -9.0)];
        let mut maker = Maker { words: &mut words, top: 4 };
        let view = maker.view(Some(f64::NEG_INFINITY), Some(0.123_456_789), &list, &[]);
        let json = serde_json::to_string(&view).expect("JSON");
        let top = r#"[[0,-1.0,1],[1,-1.0,1],[2,-1.5,3],[3,"-inf",4]]"#;
        assert_eq!(
            json,
            format!(r#"{{"logprob":"-inf","rank":null,"entropy":0.1234568,"top":{top},"left":1}}"#)
        );
    }
}
