// floats: binary32 operations on numbers given by their bits, each rounded once, to nearest, ties to even: by the
// device's own, which WGSL does not promise and the canary checks. integer_floats.wgsl has the same by integers.
// Provides: subtract4, multiply4, add4, add1, truncate4, widen_pair.
// Needs: format.wgsl (`chunk.nothing`).
//
// lane.wgsl has an integer operation between every product and the sum that takes it, so that none can be fused. Where a compiler may reorder them besides
// (Metal compiles with fast math), every result is joined with a number that is zero at run time.

override WALLS: bool = false;

fn behind_wall(bits: vec4<u32>) -> vec4<u32> {
    if WALLS {
        return bits | vec4<u32>(chunk.nothing);
    }
    return bits;
}

fn subtract4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return behind_wall(bitcast<vec4<u32>>(bitcast<vec4<f32>>(a) - bitcast<vec4<f32>>(b)));
}

fn multiply4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return behind_wall(bitcast<vec4<u32>>(bitcast<vec4<f32>>(a) * bitcast<vec4<f32>>(b)));
}

fn add4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return behind_wall(bitcast<vec4<u32>>(bitcast<vec4<f32>>(a) + bitcast<vec4<f32>>(b)));
}

fn add1(a: u32, b: u32) -> u32 {
    let sum = bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
    if WALLS {
        return sum | chunk.nothing;
    }
    return sum;
}

// Whole part of numbers from 0 to 2^31.
fn truncate4(a: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(bitcast<vec4<f32>>(a));
}

// Bits of the f32 with the values of two f16, the lower half of the word first.
fn widen_pair(word: u32) -> vec2<u32> {
    return bitcast<vec2<u32>>(unpack2x16float(word));
}
