//! Requests, and the rows that draw their tokens.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use sortilege::{Row, Sample};
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

/// The rows of a batch: a request and a position each.
#[wasm_bindgen]
#[derive(Default)]
pub struct Rows(Vec<(Rc<RefCell<sortilege::Request>>, u64)>);

#[wasm_bindgen]
impl Rows {
    /// None yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Rows {
        Self::default()
    }

    /// One that draws the token of this position; without one, the token after the accepted ones.
    pub fn push(&mut self, request: &Request, position: Option<f64>) -> Result<()> {
        let next = request.0.borrow().output().len() as u64;
        let position = position.map_or(Ok(next), |position| whole(position, "position"))?;
        self.0.push((request.0.clone(), position));
        Ok(())
    }
}

impl Rows {
    /// The requests, kept from changes meanwhile.
    pub(crate) fn requests(&self) -> Vec<(Ref<'_, sortilege::Request>, u64)> {
        self.0.iter().map(|(request, position)| (request.borrow(), *position)).collect()
    }
}

/// As the library takes them.
pub(crate) fn rows<'a>(requests: &'a [(Ref<'_, sortilege::Request>, u64)]) -> Vec<Row<'a>> {
    requests.iter().map(|(request, position)| request.row(*position)).collect()
}

/// What was drawn, row by row.
#[wasm_bindgen]
pub struct Samples {
    pub(crate) rows: Vec<Sample>,
    pub(crate) records: String,
}

#[wasm_bindgen]
impl Samples {
    /// The records of the log, a line each.
    #[wasm_bindgen(getter)]
    pub fn records(&self) -> String {
        self.records.clone()
    }

    /// Takes the first drawn token of a row into the request's output.
    pub fn accept(&self, row: usize, request: &Request) -> Result<()> {
        let sample =
            self.rows.get(row).ok_or_else(|| refused(format!("row {row} of {}", self.rows.len())))?;
        request.0.try_borrow_mut().map_err(|_| refused(BUSY))?.accept(sample);
        Ok(())
    }
}
