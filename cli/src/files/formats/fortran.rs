//! Arrays in Fortran order, the first index fastest, brought into C order block by block.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::failure::Result;
use crate::files::array::Array;
use crate::input::{Input, cannot_spool, temporary};

/// Bytes that are reordered at a time.
const BLOCK_BYTES: usize = 64 << 20;

/// The same array in C order, in a temporary file if the orders differ.
pub(super) fn in_c_order(array: Array) -> Result<Array> {
    reordered(array, BLOCK_BYTES)
}

fn reordered(array: Array, block_bytes: usize) -> Result<Array> {
    let (bytes, mut width) = (array.bytes()?, array.element.bytes());
    let sides: Vec<usize> = array.shape.iter().copied().filter(|&n| n > 1).collect();
    if bytes == 0 || sides.len() < 2 {
        return Ok(array);
    }
    let Array { mut data, mut origin, mut offset, .. } = array;
    let mut columns: usize = sides.iter().product();
    // The file has the last side outermost. Step by step the outermost one goes inwards, to those that went before.
    for &rows in sides[1..].iter().rev() {
        columns /= rows;
        let file = transposed(&data, offset, Tiles { rows, columns, width, block_bytes })?;
        let path = data.path.clone();
        origin.get_or_insert(data);
        data = Input::private(path, file, bytes);
        (offset, width) = (0, width * rows);
    }
    Ok(Array { data, origin, offset, ..array })
}

/// Items `[rows][columns]` of so many bytes, and the bytes that are moved at a time.
#[derive(Clone, Copy)]
struct Tiles {
    rows: usize,
    columns: usize,
    width: usize,
    block_bytes: usize,
}

/// A temporary file with the items from `offset` on as `[columns][rows]`.
fn transposed(data: &Input, offset: u64, tiles: Tiles) -> Result<File> {
    let Tiles { rows, columns, width, block_bytes } = tiles;
    let failed = |error: io::Error| cannot_spool(&data.path, &error);
    let mut file = temporary(&data.path)?;
    // The shorter side whole: there are neither many reads nor many writes.
    let most = |side: usize, other: usize| (block_bytes / (side * width)).clamp(1, other);
    let (tile_rows, tile_columns) =
        if rows <= columns { (rows, most(rows, columns)) } else { (most(columns, rows), columns) };
    let (mut block, mut turned) = (Vec::new(), Vec::new());
    for first_row in (0..rows).step_by(tile_rows) {
        let count = tile_rows.min(rows - first_row);
        for first_column in (0..columns).step_by(tile_columns) {
            let tile = tile_columns.min(columns - first_column);
            block.resize(count * tile * width, 0);
            let place = |row: usize| ((row * columns + first_column) * width) as u64;
            if tile == columns {
                data.read(offset + place(first_row), &mut block)?;
            } else {
                for (row, part) in (first_row..).zip(block.chunks_exact_mut(tile * width)) {
                    data.read(offset + place(row), part)?;
                }
            }
            turn(&block, tile, width, &mut turned);
            let run = if count == rows { turned.len() } else { count * width };
            for (column, run) in (first_column..).zip(turned.chunks_exact(run)) {
                file.seek(SeekFrom::Start(((column * rows + first_row) * width) as u64)).map_err(failed)?;
                file.write_all(run).map_err(failed)?;
            }
        }
    }
    Ok(file)
}

/// Turns a block of rows with so many items each.
fn turn(block: &[u8], columns: usize, width: usize, turned: &mut Vec<u8>) {
    let rows = block.len() / (columns * width);
    turned.resize(block.len(), 0);
    for (column, run) in turned.chunks_exact_mut(rows * width).enumerate() {
        for (row, item) in run.chunks_exact_mut(width).enumerate() {
            let place = (row * columns + column) * width;
            item.copy_from_slice(&block[place..place + width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::element::Element;

    /// Whatever the size of a block, the element at each index stays there.
    #[test]
    fn every_element_keeps_its_index() {
        for shape in
            [&[2, 3][..], &[7, 2], &[1, 5], &[3, 4, 5], &[5, 4, 2], &[2, 3, 2, 3], &[1, 3, 1, 2], &[40, 2]]
        {
            let count: usize = shape.iter().product();
            let mut in_fortran_order = vec![0; 2 * count];
            for number in 0..count {
                let (mut rest, mut place, mut stride) = (number, 0, count);
                for &length in shape.iter().rev() {
                    stride /= length;
                    place += rest % length * stride;
                    rest /= length;
                }
                let element = u16::try_from(number).expect("few").to_le_bytes();
                in_fortran_order[2 * place..2 * place + 2].copy_from_slice(&element);
            }
            for block_bytes in [1, 4, 7, 16, 40, 1 << 20] {
                let mut file = tempfile::tempfile().expect("a file");
                file.write_all(&in_fortran_order).expect("writable");
                let data = Input::private("array".into(), file, 2 * count as u64);
                let (element, shape) = (Element::Uint(2), shape.to_vec());
                let array = Array::plain(data, 0, element, shape);
                let (array, mut bytes) = (reordered(array, block_bytes).expect("memory"), Vec::new());
                array.read(0, count, &mut bytes).expect("it is there");
                let found = element.integers(array.path(), &bytes).expect("integers");
                let wrong = (0..).zip(&found).find(|(number, found)| number != *found);
                assert_eq!(wrong, None, "{:?} by {block_bytes} bytes", array.shape);
            }
        }
    }
}
