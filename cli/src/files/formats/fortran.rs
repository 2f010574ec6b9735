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
    reordered(array, BLOCK_BYTES)
}

fn reordered(array: Array, block_bytes: usize) -> Result<Array> {
    let bytes = array.bytes()?;
    if bytes == 0 || array.shape.iter().filter(|&&n| n > 1).count() < 2 {
        return Ok(array);
    }
    let mut file = temporary(&array.data.path)?;
    // The last index is slowest: the file is one column after the other, each of all rows.
    let (columns, width) = (array.shape[array.shape.len() - 1], array.element.bytes());
    let places = places_of_rows(&array.shape[..array.shape.len() - 1]);
    let rows = places.len();
    // The shorter side whole: neither reads nor writes are many small ones.
    let (tile_rows, tile_columns) = if rows <= columns {
        (rows, (block_bytes / (rows * width)).clamp(1, columns))
    } else {
        ((block_bytes / (columns * width)).clamp(1, rows), columns)
    };
    let (mut block, mut run) = (Vec::new(), Vec::new());
    for first_row in (0..rows).step_by(tile_rows) {
        let count = tile_rows.min(rows - first_row);
        for first_column in (0..columns).step_by(tile_columns) {
            let tile = first_column..columns.min(first_column + tile_columns);
            block.resize(tile.len() * count * width, 0);
            for (column, part) in tile.clone().zip(block.chunks_exact_mut(count * width)) {
                array.data.read(array.offset + ((column * rows + first_row) * width) as u64, part)?;
            }
            for (row, place) in places[first_row..first_row + count].iter().enumerate() {
                run.clear();
                let elements = block.chunks_exact(width).skip(row).step_by(count);
                elements.for_each(|element| run.extend_from_slice(element));
                write_at(&mut file, ((place * columns + first_column) * width) as u64, &run)
                    .map_err(|error| cannot_spool(&array.data.path, &error))?;
            }
        }
    }
    let data = Input::private(array.data.path.clone(), file, bytes);
    Ok(Array { data, origin: Some(array.origin.unwrap_or(array.data)), offset: 0, ..array })
}

fn write_at(file: &mut File, place: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}

/// For each row in Fortran order, its number in C order.
fn places_of_rows(leading: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    let mut stride: usize = leading.iter().product();
    for &length in leading {
        // Later indices count slower in the file, and faster in C order.
        stride /= length;
        places = (0..length)
            .flat_map(|i| places.iter().map(move |&place| (i, place)))
            .map(|(i, place)| place + i * stride)
            .collect();
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::element::Element;

    #[test]
    fn rows_are_put_where_c_has_them() {
        assert_eq!(places_of_rows(&[3]), [0, 1, 2]);
        assert_eq!(places_of_rows(&[2, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(places_of_rows(&[2, 1, 2]), [0, 2, 1, 3]);
        assert_eq!(places_of_rows(&[]), [0]);
    }

    /// Whatever the size of a block, the element at each index stays there.
    #[test]
    fn every_element_keeps_its_index() {
        for shape in [&[2, 3][..], &[7, 2], &[1, 5], &[3, 4, 5], &[5, 4, 2], &[2, 3, 2, 3]] {
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
                let array = Array {
                    data,
                    origin: None,
                    offset: 0,
                    tensor: None,
                    element,
                    is_big_endian: false,
                    shape,
                };
                let (array, mut bytes) = (reordered(array, block_bytes).expect("memory"), Vec::new());
                array.read(0, count, &mut bytes).expect("it is there");
                let found = element.integers(array.path(), &bytes).expect("integers");
                let wrong = (0..).zip(&found).find(|(number, found)| number != *found);
                assert_eq!(wrong, None, "{:?} by {block_bytes} bytes", array.shape);
            }
        }
    }
}
