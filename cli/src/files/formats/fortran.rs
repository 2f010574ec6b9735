//! Arrays in Fortran order, the first index fastest, brought into C order block by block.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::failure::Result;
use crate::files::array::Array;
use crate::files::input::Input;
use crate::files::spool::{cannot_spool, temporary};

/// Bytes that are reordered at a time.
const BLOCK_BYTES: usize = 64 << 20;

/// The same array in C order, in a temporary file if the orders differ.
pub(super) fn in_c_order(array: Array) -> Result<Array> {
    let bytes = array.bytes()?;
    if bytes == 0 || array.shape.iter().filter(|&&n| n > 1).count() < 2 {
        return Ok(array);
    }
    let mut file = temporary(&array.data.path)?;
    // The last index is slowest: the file is one column after the other, each of all rows.
    let columns = array.shape[array.shape.len() - 1];
    let width = array.element.bytes();
    let rows = rows_in_file(&array.shape[..array.shape.len() - 1]);
    let columns_per_block = (BLOCK_BYTES / (rows.len() * width)).clamp(1, columns);
    let (mut block, mut run) = (Vec::new(), Vec::new());
    for first in (0..columns).step_by(columns_per_block) {
        let count = columns_per_block.min(columns - first);
        block.resize(count * rows.len() * width, 0);
        array.data.read(array.offset + (first * rows.len() * width) as u64, &mut block)?;
        for (row, &row_in_file) in rows.iter().enumerate() {
            run.clear();
            for column in 0..count {
                run.extend_from_slice(&block[(column * rows.len() + row_in_file) * width..][..width]);
            }
            let place = (row * columns + first) * width;
            write_at(&mut file, place as u64, &run)
                .map_err(|error| cannot_spool(&array.data.path, &error))?;
        }
    }
    let data = Input::private(array.data.path.clone(), file, bytes);
    Ok(Array { data, origin: Some(array.origin.unwrap_or(array.data)), offset: 0, ..array })
}

fn write_at(file: &mut File, place: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}

/// For each row in C order, its number in Fortran order.
fn rows_in_file(leading: &[usize]) -> Vec<usize> {
    let mut rows = vec![0];
    let mut stride = 1;
    for &length in leading {
        // Later indices count faster in C order, and slower in the file.
        rows = rows.iter().flat_map(|&row| (0..length).map(move |i| row + i * stride)).collect();
        stride *= length;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_fortran_puts_them() {
        assert_eq!(rows_in_file(&[3]), [0, 1, 2]);
        assert_eq!(rows_in_file(&[2, 3]), [0, 2, 4, 1, 3, 5]);
        assert_eq!(rows_in_file(&[2, 1, 2]), [0, 2, 1, 3]);
    }
}
