// rng: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw 2011); src/arithmetic/rng.rs is the host
// half.
// Provides: philox, multiply_high64.
// Needs: integers.wgsl, and the kernel's uniform `chunk`, for a loop that stays a loop.

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var key = seed;
    for (var round = chunk.nothing; round < 10u; round++) {
        let a = mul_wide(0xd2511f53u, c.x);
        let b = mul_wide(0xcd9e8d57u, c.z);
        c = vec4<u32>(b.y ^ c.y ^ key.x, b.x, a.y ^ c.w ^ key.y, a.x);
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

// Upper 64 bits of the product: a point in [0, b) from 64 random bits a.
fn multiply_high64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = mul_wide(a.x, b.x);
    let cross_a = mul_wide(a.x, b.y);
    let cross_b = mul_wide(a.y, b.x);
    let middle = add64(add64(vec2<u32>(cross_a.x, 0u), vec2<u32>(cross_b.x, 0u)), vec2<u32>(low.y, 0u));
    return add64(add64(mul_wide(a.y, b.y), vec2<u32>(middle.y, 0u)),
        add64(vec2<u32>(cross_a.y, 0u), vec2<u32>(cross_b.y, 0u)));
}
