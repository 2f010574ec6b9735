//! Prints a hash of what the CPU engine answers in the quick grid of validation, operation by operation. Every machine
//! prints the same; `scripts/test-browser` compares those of a browser.
#![expect(clippy::print_stdout, reason = "an example")]

use sortilege::validate::{Extent, digests};

fn main() -> sortilege::Result<()> {
    for (name, digest) in digests(Extent::Quick)? {
        println!("{name} {digest:016x}");
    }
    Ok(())
}
