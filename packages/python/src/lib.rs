//! `sortilege` for Python: arrays in, tables out. Every number is the library's; here are types, memory, threads and
//! exceptions of Python alone.
//!
//! | file | holds |
//! |---|---|
//! | `input`, `dlpack` | logits of arrays and tensors, read where they lie; the only unsafe code |
//! | `tokens`, `params` | token ids and parameters |
//! | `device`, `threads`, `process` | engines by name; the threads of the CPU engine; what a forked process has of its own |
//! | `blocks` | long work in blocks, between which Ctrl-C is heard |
//! | `logprobs`, `sample`, `samples`, `request`, `operations` | the functions, and the classes of their results |
//! | `shard` | parts of a vocabulary on several devices |
//! | `compare`, `score`, `log` | two models beside each other; scores of sequences; logs written and audited |
//! | `columns`, `table`, `arrow` | results as NumPy arrays and as tables |
//! | `errors` | exceptions |

mod arrow;
mod blocks;
mod columns;
mod compare;
mod device;
mod dlpack;
mod errors;
mod input;
mod log;
mod logprobs;
mod operations;
mod params;
mod process;
mod request;
mod sample;
mod samples;
mod score;
mod shard;
mod table;
mod threads;
mod tokens;

use pyo3::prelude::*;

/// The compiled half of `sortilege`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::compare::{Comparison, compare, compare_logs};
    #[pymodule_export]
    use crate::device::devices;
    #[pymodule_export]
    use crate::log::{AuditReport, audit, write_log};
    #[pymodule_export]
    use crate::logprobs::{Logprobs, logprobs};
    #[pymodule_export]
    use crate::operations::{divergence, log_softmax, top_k};
    #[pymodule_export]
    use crate::params::validate_params;
    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::sample::sample;
    #[pymodule_export]
    use crate::samples::Samples;
    #[pymodule_export]
    use crate::score::{Score, score};
    #[pymodule_export]
    use crate::shard::{ShardStats, cut_vocab, shard_keys, shard_stats};
    #[pymodule_export]
    use crate::threads::{get_num_threads, set_num_threads};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::threads::loaded_by();
        Ok(())
    }
}
