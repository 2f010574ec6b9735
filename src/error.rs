//! Everything that can go wrong.

use std::time::Duration;

/// What can go wrong. A message names the value, the limit and the remedy; what the device itself rejects it says in its own
/// words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request asks for something outside its range.
    #[error("{0}")]
    Params(String),
    /// One row of a batch is at fault: nothing was done for the others either, and without it they can be asked again.
    #[error("{error}")]
    Row {
        /// Its number in the batch.
        row: usize,
        /// What is wrong with it, which names it too.
        error: Box<Error>,
    },
    /// The logits are not where or what the caller says they are.
    #[error("{0}")]
    Logits(String),
    /// Shards of a vocabulary do not fit together, or bytes are none of a shard's statistics.
    #[error("{0}")]
    Shard(String),
    /// The device cannot hold or run this batch.
    #[error("{0}")]
    Limit(String),
    /// No adapter answers to the request.
    #[error("{0}")]
    NoAdapter(String),
    /// The device ran out of memory.
    #[error("the device is out of memory while {doing}: lower `rows` or free buffers ({message})")]
    OutOfMemory {
        /// The step that failed.
        doing: &'static str,
        /// The device's own words.
        message: String,
    },
    /// wgpu rejected a call: the buffer or the device is not fit for it.
    #[error("the device rejected {doing}: {message}")]
    Validation {
        /// The step that failed.
        doing: &'static str,
        /// The device's own words.
        message: String,
    },
    /// The device is gone, or wgpu panicked on it and left nobody knows what half done: let it go and open a new one. wgpu
    /// panics where a lost device is polled, which is caught: with `panic = "abort"` the process ends there.
    #[error("the device was lost while {doing}: open a new device and record again ({message})")]
    DeviceLost {
        /// The step that failed.
        doing: &'static str,
        /// The device's own words.
        message: String,
    },
    /// The device computes other bits than the CPU engine.
    #[error(
        "{0} computes other bits than the CPU engine: its driver miscompiles the kernels, update it or use the \
         CPU (or the sampler got another device's queue)"
    )]
    Mismatch(String),
    /// The commands were not submitted, so there is nothing to wait for.
    #[error(
        "the encoder was dropped, or not submitted within `SamplerOptions::deadline`: call `queue.submit` before waiting"
    )]
    NotSubmitted,
    /// The driver did not compile the kernels in time.
    #[error(
        "compiling: the driver was not done with the kernels within {deadline:?}, software drivers take minutes; raise \
         `SamplerOptions::compile_deadline`"
    )]
    Compiling {
        /// The deadline.
        deadline: Duration,
    },
    /// The device did not finish in time.
    #[error(
        "the device gave no answer within {deadline:?}: it hangs or is overloaded; raise the deadline or lower `rows`"
    )]
    Timeout {
        /// The deadline.
        deadline: Duration,
    },
}

impl Error {
    /// The row of the batch that is at fault, where it is one: a server can end its request and go on with the others.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Cpu, Engine, Logits, Request, SampleInputs, SamplingParams};
    /// let good = Request::new(SamplingParams::default())?;
    /// let bad = Request::new(SamplingParams { logit_bias: vec![(5000, 1.0)], ..SamplingParams::default() })?;
    /// let logits = [0.0f32; 8];
    /// let logits = Logits::f32(&logits, 2, 4)?;
    /// let error = Cpu.sample(&logits, &[good.row(0), bad.row(0)], &SampleInputs::default()).unwrap_err();
    /// assert_eq!(error.row(), Some(1));
    /// # Ok::<(), sortilege::Error>(())
    /// ```
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self {
            Self::Row { row, .. } => Some(*row),
            _ => None,
        }
    }

    /// What is wrong, whichever row it is of: never [`Error::Row`].
    #[must_use]
    pub fn kind(&self) -> &Self {
        match self {
            Self::Row { error, .. } => error.kind(),
            other => other,
        }
    }

    /// The same, of a row.
    pub(crate) fn of_row(self, row: usize) -> Self {
        Self::Row { row, error: Box::new(self) }
    }
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A number of a message in few digits: people read it.
pub(crate) fn shown(number: impl std::fmt::Debug) -> String {
    let text = format!("{number:?}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
