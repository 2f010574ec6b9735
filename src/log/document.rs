//! JSON documents of other programs as records: responses as they were served, and the objects with logprobs alone,
//! those that the writers here make among them. Each choice is a request; a document at a time is in memory, and of what
//! was streamed the responses that go on. The events of a stream, as they came over the wire, are documents too (WHATWG HTML,
//! 9.2, server-sent events).

use std::collections::HashMap;
use std::io::{BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::completions::ReadCompletions;
use super::error::{LogError, LogResult};
use super::foreign::Positions;
use super::openai::ReadToken;
use super::record::{LogprobsRecord, Record};
use super::stream::{Chunk, NO_LOGPROBS, Requests, Streams};
use super::vllm;

/// Bytes of the longest document that is read.
const MAX_DOCUMENT: u64 = 1 << 30;

/// Members that have records in them.
const MEMBERS: &str = "choices, outputs, content, tokens with token_logprobs, logprobs, prompt_logprobs, completion_probabilities";

/// Reads documents one after the other, with white space between them.
pub(super) struct DocumentReader<R> {
    input: R,
    /// Documents that were read.
    documents: u64,
    /// Requests that were read.
    requests: u64,
    streams: Streams,
    /// Records of the last document that are still to be given.
    ahead: std::vec::IntoIter<LogprobsRecord<'static>>,
}

/// The members of an object.
type Object<'d> = HashMap<String, &'d RawValue>;

/// What is wrong with a document.
type Problem = String;

impl<R: BufRead> DocumentReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, documents: 0, requests: 0, streams: Streams::default(), ahead: Vec::new().into_iter() }
    }

    /// The next record, if there is one.
    pub(super) fn read(&mut self) -> LogResult<Option<Record<'static>>> {
        loop {
            if let Some(record) = self.ahead.next() {
                return Ok(Some(Record::Logprobs(record)));
            }
            let document = self.next()?;
            let requests = match &document {
                Some(document) => requests(document, &mut self.streams),
                None => self.streams.rest(),
            };
            let requests = requests.map_err(|problem| self.wrong(problem))?;
            if document.is_none() && requests.is_empty() {
                return Ok(None);
            }
            self.ahead = self.numbered(requests).into_iter();
        }
    }

    /// An error of a record of the last document.
    pub(super) fn problem(&self, record: &Record<'_>, problem: &str) -> LogError {
        let (request, position) = (record.request(), record.position());
        self.wrong(format!("request {request}, position {position}: {problem}"))
    }

    /// An error of the last document.
    fn wrong(&self, problem: Problem) -> LogError {
        LogError::Document { document: self.documents, problem }
    }

    /// The next document, if there is one: as it stands, or as the data of an event.
    fn next(&mut self) -> LogResult<Option<Box<RawValue>>> {
        while let Some(first) = self.first()? {
            if matches!(first, b'{' | b'[') {
                self.documents += 1;
                return self.document().map(Some);
            }
            let mut line = Vec::new();
            (&mut self.input).take(MAX_DOCUMENT).read_until(b'\n', &mut line)?;
            if let Some(data) = event_data(&line) {
                self.documents += 1;
                return serde_json::from_slice(data).map(Some).map_err(|error| self.wrong(error.to_string()));
            }
            if !is_event_field(&line) {
                self.documents += 1;
                return Err(self.wrong("it is neither JSON nor an event of a stream".to_owned()));
            }
        }
        Ok(None)
    }

    /// The first byte after the white space, if there is one.
    fn first(&mut self) -> LogResult<Option<u8>> {
        loop {
            let bytes = self.input.fill_buf()?;
            let white = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let first = bytes.get(white).copied();
            let is_end = bytes.is_empty();
            self.input.consume(white);
            if first.is_some() || is_end {
                return Ok(first);
            }
        }
    }

    fn document(&mut self) -> LogResult<Box<RawValue>> {
        let mut bytes = (&mut self.input).take(MAX_DOCUMENT);
        // No byte after the end of an object is taken.
        let document = Box::<RawValue>::deserialize(&mut serde_json::Deserializer::from_reader(&mut bytes));
        document.map_err(|error| {
            let problem = match bytes.limit() {
                0 => format!("more than {MAX_DOCUMENT} bytes: give fewer responses in one document"),
                _ if error.is_eof() => "it ends within: it was cut, or its run was interrupted".to_owned(),
                _ => error.to_string(),
            };
            LogError::Document { document: self.documents, problem }
        })
    }

    /// The records of these requests, with their places.
    fn numbered(&mut self, requests: Vec<Positions>) -> Vec<LogprobsRecord<'static>> {
        let mut records = Vec::new();
        for (request, positions) in (self.requests..).zip(requests) {
            self.requests = request + 1;
            for (position, record) in (0..).zip(positions) {
                records.extend(record.map(|record| LogprobsRecord { request, position, ..record }));
            }
        }
        records
    }
}

/// Whether a line is of an event, or is a comment between events.
pub(super) fn is_event_field(line: &[u8]) -> bool {
    ["data:", "event:", "id:", "retry:", ":"].iter().any(|field| line.starts_with(field.as_bytes()))
}

/// The data of an event, in its line; nothing where it says that the stream ends.
fn event_data(line: &[u8]) -> Option<&[u8]> {
    let data = line.strip_prefix(b"data:")?.trim_ascii();
    (data != b"[DONE]").then_some(data)
}

/// The requests of a document: one, the choices of a response, or those of a list of responses; of streams those that
/// have ended.
fn requests(document: &RawValue, streams: &mut Streams) -> Requests {
    if !document.get().starts_with('[') {
        return requests_of_object(document, streams);
    }
    let documents: Vec<&RawValue> = parsed(document)?;
    let mut requests = Vec::new();
    for document in documents {
        requests.extend(requests_of_object(document, streams)?);
    }
    Ok(requests)
}

fn requests_of_object(document: &RawValue, streams: &mut Streams) -> Requests {
    let object: Object<'_> = parsed(document)?;
    if object.contains_key("output_sha256") {
        return Err("this is a sidecar, which says how a log was made: give the log".to_owned());
    }
    let id = text(&object, "id").unwrap_or_default();
    if let Some(chunks) = chunks(document, &object, &id, streams)? {
        let requests = streams.ended(Some(&id));
        chunks.into_iter().for_each(|chunk| streams.add(&id, chunk));
        return requests;
    }
    let mut found = streams.ended(None)?;
    let Some(choices) = choices(&object)? else {
        found.push(positions(document)?.ok_or_else(|| format!("none of {MEMBERS} in it"))?);
        return Ok(found);
    };
    let (mut prompt, before) = (prompt(&object)?, found.len());
    for (_, choice) in choices {
        // A prompt belongs to all choices, and is read once.
        let positions = [prompt.take(), positions(choice)?];
        if positions.iter().any(Option::is_some) {
            found.push(positions.into_iter().flatten().flatten().collect());
        }
    }
    if found.len() == before { Err(NO_LOGPROBS.to_owned()) } else { Ok(found) }
}

/// The choices of a response with their numbers, in the order of these.
fn choices<'d>(object: &Object<'d>) -> Result<Option<Vec<(u64, &'d RawValue)>>, Problem> {
    let Some(choices) = ["choices", "outputs"].iter().find_map(|name| list(object, name)) else {
        return Ok(None);
    };
    let mut numbered = Vec::new();
    for (place, choice) in (0..).zip(parsed::<Vec<&RawValue>>(choices)?) {
        numbered.push((index(&parsed(choice)?).unwrap_or(place), choice));
    }
    numbered.sort_by_key(|(index, _)| *index);
    Ok(Some(numbered))
}

/// The chunks of an object that is a part of a streamed response with this id; nothing of one that is whole.
fn chunks(
    document: &RawValue,
    object: &Object<'_>,
    id: &str,
    streams: &Streams,
) -> Result<Option<Vec<Chunk>>, Problem> {
    // llama-server's own say whether they are the last, which has no token.
    if let Some(stop) = object.get("stop").filter(|stop| matches!(stop.get(), "true" | "false")) {
        let (index, is_last) = (index(object).unwrap_or(0), stop.get() == "true");
        let is_chunk =
            !is_last || (streams.goes_on(id, index) && !object.contains_key("completion_probabilities"));
        let chunk = || Ok(vec![Chunk { index, positions: positions(document)?, is_last }]);
        return is_chunk.then(chunk).transpose();
    }
    let kind = text(object, "object").unwrap_or_default();
    if !matches!(kind.as_str(), "chat.completion.chunk" | "text_completion") {
        return Ok(None);
    }
    let mut chunks = Vec::new();
    for (index, choice) in choices(object)?.unwrap_or_default() {
        let members: Object<'_> = parsed(choice)?;
        let reason = members.get("finish_reason").map(|reason| reason.get());
        let is_last = reason.is_some_and(|reason| reason != "null");
        // Older completions have one name for responses and for their parts, which have no reason to end.
        if kind == "text_completion" && reason != Some("null") && !streams.goes_on(id, index) {
            return Ok(None);
        }
        chunks.push(Chunk { index, positions: positions(choice)?, is_last });
    }
    Ok(Some(chunks))
}

/// The number of a choice.
fn index(object: &Object<'_>) -> Option<u64> {
    object.get("index")?.get().parse().ok()
}

/// A member that is a text.
fn text(object: &Object<'_>, name: &str) -> Option<String> {
    serde_json::from_str(object.get(name)?.get()).ok()
}

/// The positions that a choice tells of, or an object alone: those of its prompt first. Nothing if it tells of none.
fn positions(choice: &RawValue) -> Result<Option<Positions>, Problem> {
    let object: Object<'_> = parsed(choice)?;
    let mut found = [prompt(&object)?, lists(choice, &object)?, None, None];
    match object.get("logprobs") {
        Some(logprobs) if logprobs.get().starts_with('{') => found[2] = lists(logprobs, &parsed(logprobs)?)?,
        _ => {}
    }
    if let Some(logprobs) = list(&object, "logprobs") {
        found[3] = Some(vllm_records(&object, logprobs, "token_ids")?);
    }
    let is_there = found.iter().any(Option::is_some);
    Ok(is_there.then(|| found.into_iter().flatten().flatten().collect()))
}

/// The positions in the lists of an object: entries of a chat or of llama-server, or lists side by side.
fn lists(object: &RawValue, members: &Object<'_>) -> Result<Option<Positions>, Problem> {
    if members.contains_key("token_logprobs") {
        return parsed::<ReadCompletions>(object)?.records().map(Some);
    }
    let names = ["completion_probabilities", "content", "refusal"];
    let lists = names.iter().filter_map(|name| list(members, name));
    let mut found: Option<Positions> = None;
    for entries in lists {
        let entries: Vec<ReadToken> = parsed(entries)?;
        found.get_or_insert_default().extend(entries.into_iter().map(ReadToken::record));
    }
    Ok(found)
}

/// The positions of a prompt, where an object tells of them.
fn prompt(object: &Object<'_>) -> Result<Option<Positions>, Problem> {
    let logprobs = list(object, "prompt_logprobs");
    logprobs.map(|logprobs| vllm_records(object, logprobs, "prompt_token_ids")).transpose()
}

fn vllm_records(object: &Object<'_>, logprobs: &RawValue, tokens: &str) -> Result<Positions, Problem> {
    let tokens: Option<Vec<u32>> = list(object, tokens).map(parsed).transpose()?;
    vllm::records(parsed(logprobs)?, tokens.as_deref())
}

/// A member that is a list.
fn list<'d>(object: &Object<'d>, name: &str) -> Option<&'d RawValue> {
    object.get(name).copied().filter(|value| value.get().starts_with('['))
}

fn parsed<'d, T: Deserialize<'d>>(value: &'d RawValue) -> Result<T, Problem> {
    serde_json::from_str(value.get()).map_err(|error| error.to_string())
}
