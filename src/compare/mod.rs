//! Two models' logits of the same rows: each row compared, and the statistics of all rows. `docs/compare.md` has the
//! formula of each statistic, and the name that llama.cpp gives it. Files, formats and gates are the program's.
//!
//! A is the reference (llama.cpp's "base"), B what is held against it (llama.cpp's Q, a quantised model). A may also be
//! a [`ReferenceRow`] each: the most probable tokens alone, a hundredth of the logits' size.
//!
//! # Example
//! ```
//! use sortilege::compare::{self, Comparison, Divergences};
//! use sortilege::{Cpu, Logits};
//! let (a, b) = ([8.0f32, 6.0, 5.0, -1.0], [8.0f32, 6.5, 5.0, -1.0]);
//! let (a, b) = (Logits::f32(&a, 1, 4)?, Logits::f32(&b, 1, 4)?);
//! let mut comparison = Comparison::new(true, Divergences::Exact);
//! for row in compare::rows(&Cpu, &a, &b, &[Some(1)], 2)? {
//!     comparison.add(&row);
//! }
//! let report = comparison.report();
//! assert_eq!(report.get("same_top"), Some(1.0));
//! assert!(report.get("ppl_b") < report.get("ppl_a"));
//! assert!((report.get("kld_mean").unwrap() - 0.014_366).abs() < 1e-6);
//! # Ok::<(), sortilege::Error>(())
//! ```

mod comparison;
#[cfg(feature = "log")]
mod records;
mod reference;
mod report;
mod row;
mod rows;
mod side;
mod statistics;

pub use comparison::Comparison;
#[cfg(feature = "log")]
pub use records::records;
pub use reference::{ReferenceRow, ReferenceTarget};
pub use report::{
    ChoiceComparison, ComparisonReport, DivergenceComparison, Divergences, PerplexityComparison,
    ProbabilityChange,
};
pub use row::{RowComparison, RowDivergence, TargetComparison};
pub use rows::{rows, rows_with_reference};
pub use statistics::{Estimate, QUANTILES, Spread};
