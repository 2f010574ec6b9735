// sums: sums of a workgroup in words with carries, which do not depend on their order.
// Provides: sums, clear_sums, add_to_sum64, add_to_sum96, sum64.
// Needs: nothing. A signed number is two's complement, the lowest word first.

const SUM_WORDS: u32 = 11u; // two of 64 bits, two of 96, and one of flags

var<workgroup> sums: array<atomic<u32>, SUM_WORDS>;

// Before a barrier.
fn clear_sums(lane: u32) {
    if lane < SUM_WORDS {
        atomicStore(&sums[lane], 0u);
    }
}

fn add_to_sum64(place: u32, value: vec2<u32>) {
    let before = atomicAdd(&sums[place], value.x);
    atomicAdd(&sums[place + 1u], value.y + u32(before + value.x < before));
}

fn add_to_sum96(place: u32, value: vec3<u32>) {
    let before = atomicAdd(&sums[place], value.x);
    let carry = u32(before + value.x < before);
    let middle = value.y + carry; // which may carry itself
    let before_middle = atomicAdd(&sums[place + 1u], middle);
    atomicAdd(&sums[place + 2u], value.z + u32(middle < carry) + u32(before_middle + middle < before_middle));
}

// After a barrier.
fn sum64(place: u32) -> vec2<u32> {
    return vec2<u32>(atomicLoad(&sums[place]), atomicLoad(&sums[place + 1u]));
}
