// digits: how a list of more than MOST_LISTED entries is made, stage by stage; a dispatch or two each.
//   stages 0 .. levels-1          radix select: the k-th best code, its highest digit first          (count)
//   stage levels                  what is better, then the first that are equal, in tokens' order    (count, scatter)
//   stages levels+1 .. 2 levels   stable radix sort of these by code, the lowest digit first         (count, scatter)
// A stable sort keeps tokens with equal codes in their order. (Knuth, TAOCP 3, 5.2.5.)
// Provides: items and their digits, the row's part of the scratch, column, sum_before.
// Needs: digits_of_row or digits_of_view (.wgsl), which say what the codes are of, and where the list goes; the kernel's
// bindings `records`, `scratch`. src/kernels/digit_count.rs has the sizes.

const LANES: u32 = 256u;
const DIGITS: u32 = 256u;    // as many as lanes: each lane looks after one
const NO_DIGIT: u32 = 256u;  // of an item that does not count
const BLOCK: u32 = 8192u;    // consecutive items of one workgroup
const KTH_WORDS: u32 = 16u;  // of kth_of: two for each of the stages 0 to 4

// Code of what is not there, all ones: behind every other.
fn impossible_code() -> u32 {
    return 0xffffffffu >> (32u - 8u * levels());
}

// Items of a stage: tokens, with impossible ones behind the last where more are wanted than there are; then what is
// kept.
fn items_of(stage: u32) -> u32 {
    return select(list_length(), max(chunk.vocab, list_length()), stage <= levels());
}

// (code, token) of an item. What is kept moves from `records` to `scratch` and back, and ends in `records`.
fn item(stage: u32, row: u32, i: u32) -> vec2<u32> {
    if stage <= levels() {
        if i >= chunk.vocab {
            return vec2<u32>(impossible_code(), i);
        }
        return vec2<u32>(code_of_token(row, i), i);
    }
    if is_in_records(stage - 1u) {
        let entry = entry_of(row, i);
        return vec2<u32>(records[entry + 1u], records[entry]);
    }
    let pair = pair_of(row, i);
    return vec2<u32>(scratch[pair + 1u], scratch[pair]);
}

// Whether a stage leaves what it moves in `records`.
fn is_in_records(stage: u32) -> bool {
    return ((stage ^ levels()) & 1u) == 0u;
}

fn entry_of(row: u32, place: u32) -> u32 {
    return list_of(row) + 2u * place;
}

// Lowest bit of the digit that a selecting stage looks at.
fn select_shift(stage: u32) -> u32 {
    return 8u * (levels() - 1u - stage);
}

// Digit by which an item is counted and moved. `kth` holds the digits of the k-th best code that are known.
fn digit_of(stage: u32, code: u32, kth: u32) -> u32 {
    if stage < levels() {
        let shift = select_shift(stage);
        return select(NO_DIGIT, (code >> shift) & 0xffu, (((code ^ kth) >> shift) >> 8u) == 0u);
    }
    if stage == levels() {
        return select(select(NO_DIGIT, 1u, code == kth), 0u, code < kth);
    }
    return (code >> (8u * (stage - levels() - 1u))) & 0xffu;
}

// A row's scratch: counts [2][blocks][DIGITS], the stages before theirs and its own; the k-th best codes; pairs
// [list_length] (token, code).
fn blocks_of_row() -> u32 {
    return (items_of(0u) + BLOCK - 1u) / BLOCK;
}

fn row_scratch(row: u32) -> u32 {
    return row * (2u * blocks_of_row() * DIGITS + KTH_WORDS + 2u * list_length());
}

fn counts_of(stage: u32, row: u32, block: u32) -> u32 {
    return row_scratch(row) + ((stage & 1u) * blocks_of_row() + block) * DIGITS;
}

// The k-th best code as far as it is known before a stage, and how many of the items that share it so far are wanted.
fn kth_of(stage: u32, row: u32) -> u32 {
    return row_scratch(row) + 2u * blocks_of_row() * DIGITS + 2u * stage;
}

fn pair_of(row: u32, place: u32) -> u32 {
    return row_scratch(row) + 2u * blocks_of_row() * DIGITS + KTH_WORDS + 2u * place;
}

// Items with a digit: in the blocks of the row before this one, and in all.
fn column(stage: u32, row: u32, block: u32, digit: u32) -> vec2<u32> {
    let n_blocks = (items_of(stage) + BLOCK - 1u) / BLOCK;
    var sums = vec2<u32>(0u, 0u);
    for (var i = 0u; i < n_blocks; i++) {
        let count = scratch[counts_of(stage, row, i) + digit];
        sums += vec2<u32>(select(0u, count, i < block), count);
    }
    return sums;
}

var<workgroup> lane_sums: array<u32, 256>;
var<workgroup> group_sums: array<u32, 16>;

// Sum of the values of the lanes before this one. Every lane calls it, once in a kernel.
fn sum_before(value: u32, lane: u32) -> u32 {
    lane_sums[lane] = value;
    workgroupBarrier(); // every lane's value before the sums of sixteen
    if lane < 16u {
        var sum = 0u;
        for (var i = 0u; i < 16u; i++) {
            sum += lane_sums[lane * 16u + i];
        }
        group_sums[lane] = sum;
    }
    workgroupBarrier(); // the sums of sixteen before everybody adds those in front
    var before = 0u;
    for (var i = 0u; i < lane / 16u; i++) {
        before += group_sums[i];
    }
    for (var i = lane & 0xf0u; i < lane; i++) {
        before += lane_sums[i];
    }
    return before;
}
