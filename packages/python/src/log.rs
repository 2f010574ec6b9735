//! Logs of results: written in every format of the library, and audited.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::Borrowed;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sortilege::log::{Audit, Format, Kind, LogReader, Record, Texts, TokenBytes};

use crate::blocks::Signals;
use crate::columns::Columns;
use crate::errors::{LogError, ParamsError, raised_of_log};
use crate::logprobs::Logprobs;
use crate::samples::Samples;

/// Bytes of tokens by their ids.
pub(crate) struct Vocabulary(Vec<Option<Vec<u8>>>);

impl FromPyObject<'_, '_> for Vocabulary {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let refused = |what: String, cause: Option<PyErr>| {
            let error = PyTypeError::new_err(format!(
                "token_bytes: {what}: pass a list with the bytes (or the text) of each token in the order of the ids, None where \
                 there are none"
            ));
            error.set_cause(py, cause);
            error
        };
        // A text is of letters, which are no tokens; the order of keys says nothing of ids.
        let abc = py.import("collections.abc")?;
        for unordered in ["Mapping", "Set"] {
            if object.is_instance(&abc.getattr(unordered)?)? {
                return Err(refused(format!("a {} has no order of ids", object.get_type().name()?), None));
            }
        }
        if object.is_instance_of::<PyString>() {
            return Err(refused("a text is no list".to_owned(), None));
        }
        let all = object.try_iter().map_err(|error| refused("no list".to_owned(), Some(error)))?;
        let bytes = |(token, one): (usize, PyResult<Bound<'_, PyAny>>)| {
            let one = one?;
            if let Ok(text) = one.extract::<String>() {
                return Ok(Some(text.into_bytes()));
            }
            one.extract::<Option<Vec<u8>>>()
                .map_err(|error| refused(format!("that of token {token}"), Some(error)))
        };
        Ok(Self(all.enumerate().map(bytes).collect::<PyResult<_>>()?))
    }
}

impl TokenBytes for Vocabulary {
    fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.0.get(token as usize)?.as_deref()
    }
}

/// A result that is a log, or a part of one.
#[derive(FromPyObject)]
pub(crate) enum Part<'py> {
    #[pyo3(transparent)]
    Logprobs(PyRef<'py, Logprobs>),
    #[pyo3(transparent)]
    Samples(PyRef<'py, Samples>),
}

/// A result, or several of one kind in their order.
pub(crate) struct LogOf<'py>(Vec<Part<'py>>);

impl<'py> FromPyObject<'_, 'py> for LogOf<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let parts = object.extract().map(|part| vec![part]).or_else(|_: PyErr| object.extract());
        parts.map(Self).map_err(|_: PyErr| {
            PyTypeError::new_err("result: pass what `logprobs` or `sample` gave, or a list of either")
        })
    }
}

/// The same, without Python.
enum Rows<'a> {
    Logprobs(&'a Columns<sortilege::Logprobs>, &'a [Option<u32>]),
    Samples(&'a Samples),
}

impl Rows<'_> {
    const fn kind(&self) -> Kind {
        match self {
            Self::Logprobs(..) => Kind::Logprobs,
            Self::Samples(_) => Kind::Sample,
        }
    }

    /// The places of the rows. Requests of `logprobs` follow those of the parts before; steps of `sample` know theirs.
    fn places(&self, requests_before: u64) -> Vec<(u64, u64)> {
        match self {
            Self::Logprobs(columns, _) => {
                columns.places().map(|(request, position)| (requests_before + request, position)).collect()
            }
            Self::Samples(samples) => samples.places.clone(),
        }
    }

    fn record<'r>(&'r self, row: usize, (request, position): (u64, u64), texts: Texts<'r>) -> Record<'r> {
        match self {
            Self::Logprobs(columns, targets) => {
                let target = targets.get(row).copied().flatten();
                Record::logprobs(request, position, target, &columns.rows[row], texts)
            }
            Self::Samples(samples) => Record::sample(request, position, &samples.columns.rows[row], texts),
        }
    }
}

/// Every record of these parts, in order; between two of them Ctrl-C is heard.
fn each(
    parts: &[Rows<'_>],
    texts: Texts<'_>,
    mut take: impl FnMut(&Record<'_>) -> PyResult<()>,
) -> PyResult<()> {
    let (mut signals, mut seen, mut requests) = (Signals::new(), HashSet::new(), 0);
    for part in parts {
        for (row, place) in part.places(requests).into_iter().enumerate() {
            signals.hear()?;
            let (request, position) = place;
            requests = requests.max(request + 1);
            if parts.len() > 1 && !seen.insert(place) {
                return Err(ParamsError::new_err(format!(
                    "two of the results have a row of request {request}, position {position}: pass the steps of one list of \
                     requests, or write a log of each"
                )));
            }
            take(&part.record(row, place, texts))?;
        }
    }
    Ok(())
}

impl LogOf<'_> {
    fn parts(&self) -> Vec<Rows<'_>> {
        self.0.iter().map(Part::rows).collect()
    }
}

impl Part<'_> {
    fn rows(&self) -> Rows<'_> {
        match self {
            Self::Logprobs(result) => Rows::Logprobs(&result.columns, &result.targets),
            Self::Samples(result) => Rows::Samples(result),
        }
    }
}

fn texts(vocabulary: Option<&Vocabulary>) -> Texts<'_> {
    vocabulary.map_or(Texts::NONE, |vocabulary| Texts::new(vocabulary))
}

/// Writes a result as a log: a record of each row, as `sortilege log` and `sortilege sample` of the program write them.
///
/// Parameters
/// ----------
/// path : path
///     Its ending says the format, unless `format` does: .jsonl, .csv, .parquet.
/// result : Logprobs or Samples, or a list of either
///     The last dimension before the vocabulary is the position, all before it the request. Of several Logprobs the requests
///     follow one another; several Samples are steps of the same requests.
/// format : str, optional
///     "jsonl", "csv", "parquet", "openai", "openai-completions", "vllm" or "llama-server".
/// token_bytes : list of bytes, optional
///     The bytes of each token, by its id, None where there are none: then texts are written too.
///
/// >>> import tempfile, pathlib, numpy as np, sortilege
/// >>> path = pathlib.Path(tempfile.mkdtemp(), "log.jsonl")
/// >>> found = sortilege.logprobs(np.float32([[1, 2, 0]]), targets=[1], top=1)
/// >>> sortilege.write_log(path, found, token_bytes=[b"a", b"b", b"c"])
/// >>> path.read_text()[:61]
/// '{"request":0,"position":0,"token":1,"text":"b","bytes":[98],"'
#[pyfunction]
#[pyo3(signature = (path, result, format = None, token_bytes = None))]
pub(crate) fn write_log(
    py: Python<'_>,
    path: PathBuf,
    result: LogOf<'_>,
    format: Option<&str>,
    token_bytes: Option<Vocabulary>,
) -> PyResult<()> {
    let (format, parts) = (format_of(&path, format)?, result.parts());
    let kind = parts.first().map_or(Kind::Logprobs, Rows::kind);
    if parts.iter().any(|part| part.kind() != kind) {
        let error = "logprobs and samples are not of one log: write one of each";
        return Err(raised_of_log(&path, error));
    }
    let log = Log { path: &path, kind, parts: &parts, format, vocabulary: token_bytes.as_ref() };
    py.detach(|| log.write())
}

/// A log that is to be written.
struct Log<'a> {
    path: &'a Path,
    kind: Kind,
    parts: &'a [Rows<'a>],
    format: Format,
    vocabulary: Option<&'a Vocabulary>,
}

impl Log<'_> {
    /// Writes beside the path and renames: what was there stays until the new log is whole. What is no file, such as a pipe, is
    /// written to as it is.
    fn write(&self) -> PyResult<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = followed(self.path);
        let known = fs::metadata(&path).ok();
        let is_file = known.as_ref().is_none_or(fs::Metadata::is_file);
        let Some(name) = path.file_name().filter(|_| is_file) else { return self.write_to(&path) };
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let beside = path.with_file_name(beside);
        // Who may read what was there may read the new one, and nobody else.
        let begin = || match &known {
            Some(known) => {
                File::create(&beside).and_then(|_| fs::set_permissions(&beside, known.permissions()))
            }
            None => Ok(()),
        };
        let rename = || fs::rename(&beside, &path);
        let failed = |error| self.failed(error);
        let written = begin().map_err(failed);
        let written = written.and_then(|()| self.write_to(&beside)).and_then(|()| rename().map_err(failed));
        if written.is_err() {
            // It may never have come about.
            drop(fs::remove_file(&beside));
        }
        written
    }

    fn write_to(&self, path: &Path) -> PyResult<()> {
        let failed = |error| self.failed(error);
        let mut out = BufWriter::new(File::create(path).map_err(failed)?);
        let mut writer = self.format.writer(&mut out, self.kind).map_err(failed)?;
        each(self.parts, texts(self.vocabulary), |record| writer.write(record).map_err(failed))?;
        writer.finish().map_err(failed)?;
        drop(writer);
        out.flush().map_err(failed)
    }

    fn failed(&self, error: std::io::Error) -> PyErr {
        raised_of_log(self.path, error)
    }
}

/// Where links lead, which stay: to something that is not there yet, too.
fn followed(path: &Path) -> PathBuf {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// The format of this name, or of the path's ending.
fn format_of(path: &Path, name: Option<&str>) -> PyResult<Format> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
    let wanted = name.map(str::to_owned).or(ending).unwrap_or_default();
    Format::ALL.iter().copied().find(|format| format.name() == wanted).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        LogError::new_err(format!(
            "there is no format {wanted:?} of logs: pass format= one of {}",
            names.join(", ")
        ))
    })
}

/// What an audit found.
#[pyclass(frozen, get_all, module = "sortilege")]
pub(crate) struct AuditReport {
    /// Whether every record is what it must be, and none is missing or too many.
    follows: bool,
    /// Records of the log that were compared.
    records: u64,
    /// Those that differ, and those that are missing or too many.
    differing: u64,
    /// The first of them, in words; None where the log follows.
    first: Option<String>,
}

#[pymethods]
impl AuditReport {
    fn __repr__(&self) -> String {
        let Self { records, differing, first, .. } = self;
        match first {
            None => format!("<sortilege.AuditReport: {records} records, all as they must be>"),
            Some(first) => {
                format!("<sortilege.AuditReport: {differing} of {records} records differ; {first}>")
            }
        }
    }
}

/// Whether a log says what a result says, bit for bit: each record beside the one that was derived again.
///
/// Derive the result from the same logits with the same parameters, on whichever device; the log may be JSON lines, CSV or
/// Parquet, of the program or of `write_log`. Texts of tokens are compared with `token_bytes`.
///
/// >>> import tempfile, pathlib, numpy as np, sortilege
/// >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
/// >>> logits = np.float32([[1, 2, 0], [0, 0, 3]])
/// >>> sortilege.write_log(path, sortilege.logprobs(logits, targets=[1, 1]))
/// >>> sortilege.audit(path, sortilege.logprobs(logits, targets=[1, 1])).follows
/// True
/// >>> sortilege.audit(path, sortilege.logprobs(logits, targets=[1, 0])).first
/// 'record 1 (request 0, position 1): token is 1 instead of 0'
#[pyfunction]
#[pyo3(signature = (path, result, token_bytes = None))]
pub(crate) fn audit(
    py: Python<'_>,
    path: PathBuf,
    result: LogOf<'_>,
    token_bytes: Option<Vocabulary>,
) -> PyResult<AuditReport> {
    let parts = result.parts();
    let failed = |error| raised_of_log(&path, error);
    let report = py.detach(|| -> PyResult<_> {
        let mut audit = Audit::new(LogReader::open(&path).map_err(failed)?);
        if token_bytes.is_none() {
            audit = audit.without_texts();
        }
        each(&parts, texts(token_bytes.as_ref()), |record| audit.expect(record).map_err(failed))?;
        audit.finish().map_err(failed)
    })?;
    Ok(AuditReport {
        follows: report.follows(),
        records: report.records,
        differing: report.differing,
        first: report.first.map(|finding| finding.to_string()),
    })
}
