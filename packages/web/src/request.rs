//! Requests, the rows that draw their tokens, and what becomes of drafts.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use serde::Serialize;
use sortilege::{DraftTokens, DraftTree, Row, Sample, Verification};
use wasm_bindgen::prelude::*;

use crate::error::{Result, js, refused};
use crate::logits::whole;
use crate::params::Params;

/// A request in the making.
#[wasm_bindgen]
pub struct Request(Rc<RefCell<sortilege::Request>>);

const BUSY: &str = "the request is being drawn from: await that first";

#[wasm_bindgen]
impl Request {
    /// With parameters as JSON, and the tokens of its prompt.
    #[wasm_bindgen(constructor)]
    pub fn new(params: &str, prompt: &[u32]) -> Result<Request> {
        let request = sortilege::Request::with_prompt(Params::read_seeded(params)?, prompt).map_err(js)?;
        Ok(Self(Rc::new(RefCell::new(request))))
    }

    /// The seed of its draws.
    #[wasm_bindgen(getter)]
    pub fn seed(&self) -> u64 {
        self.0.borrow().seed()
    }

    /// The accepted tokens.
    #[wasm_bindgen(getter)]
    pub fn output(&self) -> Vec<u32> {
        self.0.borrow().output().to_vec()
    }

    /// Why it has finished: `stop`, `length`; none while it goes on.
    #[wasm_bindgen(getter)]
    pub fn finish_reason(&self) -> Option<String> {
        self.0.borrow().finish_reason().map(|reason| reason.to_string())
    }

    /// Takes other parameters; without a seed among them it keeps its own.
    pub fn set_params(&self, params: &str) -> Result<()> {
        let params = Params::read(params)?;
        self.0.try_borrow_mut().map_err(|_| refused(BUSY))?.set_params(params).map_err(js)
    }

    /// Takes a token into the output that was not drawn here.
    pub fn accept_token(&self, token: u32) -> Result<()> {
        self.0.try_borrow_mut().map_err(|_| refused(BUSY))?.accept_token(token);
        Ok(())
    }
}

/// What the rows of a batch are for.
#[wasm_bindgen]
#[derive(Default)]
pub struct Rows(Vec<Wanted>);

/// What is wanted of a request, from a position on.
struct Wanted {
    request: Rc<RefCell<sortilege::Request>>,
    position: u64,
    draft: Option<Draft>,
}

/// Draft tokens: one after the other, or a tree.
enum Draft {
    Chain(Vec<u32>, Verification),
    Tree(Vec<u32>, Vec<Option<usize>>, Verification),
}

/// By the numbers that index.js gives them.
const VERIFICATIONS: [Verification; 3] =
    [Verification::SampleAndMatch, Verification::Rejection, Verification::Block];

#[wasm_bindgen]
impl Rows {
    /// None yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Rows {
        Self::default()
    }

    /// One that draws the token of this position; without one, the token after the accepted ones.
    pub fn push(&mut self, request: &Request, position: Option<f64>) -> Result<()> {
        self.want(request, position, None)
    }

    /// As many as there are draft tokens, and one more. `by` says how they are verified; rejection and blocks want the probabilities of the draft.
    pub fn push_draft(
        &mut self,
        request: &Request,
        position: Option<f64>,
        tokens: Vec<u32>,
        by: usize,
    ) -> Result<()> {
        self.want(request, position, Some(Draft::Chain(tokens, VERIFICATIONS[by])))
    }

    /// The same of a tree: `parents` has the place of the token before each, -1 for the text.
    pub fn push_tree(
        &mut self,
        request: &Request,
        position: Option<f64>,
        tokens: Vec<u32>,
        parents: &[i32],
        by: usize,
    ) -> Result<()> {
        let parents = parents.iter().map(|parent| usize::try_from(*parent).ok()).collect();
        self.want(request, position, Some(Draft::Tree(tokens, parents, VERIFICATIONS[by])))
    }
}

impl Rows {
    fn want(&mut self, request: &Request, position: Option<f64>, draft: Option<Draft>) -> Result<()> {
        let next = request.0.borrow().output().len() as u64;
        let position = position.map_or(Ok(next), |position| whole(position, "position"))?;
        self.0.push(Wanted { request: request.0.clone(), position, draft });
        Ok(())
    }

    /// The requests, kept from changes meanwhile.
    pub(crate) fn requests(&self) -> Vec<Ref<'_, sortilege::Request>> {
        self.0.iter().map(|wanted| wanted.request.borrow()).collect()
    }

    /// What is wanted of them, as the library takes it.
    pub(crate) fn asked<'a>(&'a self, requests: &'a [Ref<'_, sortilege::Request>]) -> Result<Vec<Asked<'a>>> {
        let asked =
            |(Wanted { position, draft, .. }, request): (&'a Wanted, &'a Ref<'_, sortilege::Request>)| {
                Ok(match draft {
                    None => Asked::Token(request.row(*position)),
                    Some(Draft::Chain(tokens, verification)) => {
                        Asked::Chain(DraftTokens::new(request, *position, tokens, *verification)?)
                    }
                    Some(Draft::Tree(tokens, parents, verification)) => {
                        Asked::Tree(DraftTree::new(request, *position, tokens, parents, *verification)?)
                    }
                })
            };
        self.0.iter().zip(requests).map(asked).collect::<sortilege::Result<_>>().map_err(js)
    }
}

/// One of what the rows of a batch are for.
pub(crate) enum Asked<'a> {
    Token(Row<'a>),
    Chain(DraftTokens<'a>),
    Tree(DraftTree<'a>),
}

impl Asked<'_> {
    /// Its rows.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        match self {
            Self::Token(row) => vec![*row],
            Self::Chain(draft) => draft.rows().collect(),
            Self::Tree(tree) => tree.rows().collect(),
        }
    }

    /// What the samples of its rows, of which the first is this one of the batch, mean.
    fn verdict(&self, first: usize, samples: &[Sample]) -> Verdict {
        let verified = match self {
            Self::Token(_) => return Verdict { accepted: Vec::new(), rows: vec![first] },
            Self::Chain(draft) => draft.verify(samples),
            Self::Tree(tree) => tree.verify(samples),
        };
        let (accepted, new) = (verified.accepted, verified.samples.len());
        // The row of a token is the one after it: the first is that of the text.
        let after = accepted.iter().map(|place| first + place + 1);
        Verdict { rows: std::iter::once(first).chain(after).take(new).collect(), accepted }
    }
}

/// What became of draft tokens: the places of those that stand, and the rows that the new tokens are of.
#[derive(Serialize)]
struct Verdict {
    accepted: Vec<usize>,
    rows: Vec<usize>,
}

/// What the samples of a batch mean, as JSON.
pub(crate) fn verdicts(asked: &[Asked<'_>], mut samples: &[Sample]) -> String {
    let mut first = 0;
    let verdicts: Vec<Verdict> = asked
        .iter()
        .map(|asked| {
            let (own, rest) = samples.split_at(asked.rows().len());
            let verdict = asked.verdict(first, own);
            (samples, first) = (rest, first + own.len());
            verdict
        })
        .collect();
    serde_json::to_string(&verdicts).expect("numbers")
}

/// What was drawn, row by row. It lives for as long as the page may accept one of its records.
#[wasm_bindgen]
pub struct Samples {
    rows: Vec<Sample>,
    records: String,
    verdicts: String,
}

impl Samples {
    /// Of rows that are written down: what accepting does not read of them goes.
    pub(crate) fn new(mut rows: Vec<Sample>, records: String, verdicts: String) -> Self {
        for row in &mut rows {
            row.raw = None;
            row.processed.top_logprobs = Vec::new();
            row.processed.token_logprobs = Vec::new();
            row.draws.truncate(1);
            row.draws.shrink_to_fit();
        }
        Self { rows, records, verdicts }
    }
}

#[wasm_bindgen]
impl Samples {
    /// The records of the log, a line each; once.
    pub fn take_records(&mut self) -> String {
        std::mem::take(&mut self.records)
    }

    /// What became of drafts, as JSON; once.
    pub fn take_verdicts(&mut self) -> String {
        std::mem::take(&mut self.verdicts)
    }

    /// Takes the first drawn token of a row into the request's output: the next one of that request, or it is an error.
    pub fn accept(&self, row: usize, request: &Request) -> Result<()> {
        let sample =
            self.rows.get(row).ok_or_else(|| refused(format!("row {row} of {}", self.rows.len())))?;
        request.0.try_borrow_mut().map_err(|_| refused(BUSY))?.accept(sample).map_err(js)
    }
}
