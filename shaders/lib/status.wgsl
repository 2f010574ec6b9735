// status: whether a row is a distribution, from its largest key.
// Provides: status_of.
// Needs: words, exact (.wgsl).

fn status_of(max_key: i32) -> u32 {
    if max_key > KEY_INFINITY {
        return STATUS_NAN;
    }
    if max_key == KEY_INFINITY {
        return STATUS_INFINITY;
    }
    return select(0u, STATUS_EMPTY, max_key <= KEY_NEG_INFINITY);
}
