//! Parquet files: a row a record, with lists for alternatives and draws, in row groups that are written as they fill. It
//! holds all that there is, −infinity too. The crate `parquet` has the pages; here are the columns, and how records lie in
//! them.

mod leaves;
mod read;
mod schema;
mod write;

pub(crate) use self::read::ParquetReader;
pub use self::write::ParquetWriter;

/// The first bytes of a file.
pub(super) const MAGIC: &[u8] = b"PAR1";
