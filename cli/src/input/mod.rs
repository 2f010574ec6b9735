//! Files that are read: none passes for another one that it became meanwhile, there is an end to each, and `-` is standard
//! input. What they hold is not known here.

mod digest;
mod file;
mod spool;

pub(crate) use self::digest::{Digest, Hashed, sha256};
pub(crate) use self::file::{Input, Opened, Stamp, changed, is_stdin};
pub(crate) use self::spool::{cannot_spool, describe_io, spool, temporary};
