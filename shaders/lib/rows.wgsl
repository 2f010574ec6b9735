// rows: where a row of logits begins.
// Provides: start_of.
// Needs: format.wgsl, the kernel's binding `row_data`.

// The row's first element in the binding. Rows have one stride; or each has an offset in `row_data`, four a quad, of which
// `element_base` is then the first.
fn start_of(row: u32) -> u32 {
    if chunk.row_stride > 0u {
        return chunk.element_base + row * chunk.row_stride;
    }
    let place = chunk.first_row + row;
    return row_data[chunk.element_base + (place >> 2u)][place & 3u];
}
