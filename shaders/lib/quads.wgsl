// quads: keys, octaves and mantissas of four logits at a time, in straight lines: exact.wgsl's, bit for bit. In a workgroup that
// has a row to itself a lane waits for its own last instruction; four numbers give it others to do.
// Provides: keys_of_four, octaves_of_four, mantissas_of_four.
// Needs: exact.wgsl, and the kernel's binding `table`.

// key_of_bits() of four.
fn keys_of_four(bits: vec4<u32>) -> vec4<i32> {
    let raw = bitcast<vec4<i32>>(bits) ^ ((bitcast<vec4<i32>>(bits) >> vec4<u32>(31u)) & vec4<i32>(0x7fffffff));
    return select(raw, vec4<i32>(0), raw == vec4<i32>(-1));
}

// fixed() of four.
fn fixed_of_four(bits: vec4<u32>, shift: i32) -> vec4<u32> {
    let mantissa = (bits & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let left = bitcast<vec4<i32>>((bits >> vec4<u32>(23u)) & vec4<u32>(0xffu)) + vec4<i32>(shift - 150);
    let up = mantissa << bitcast<vec4<u32>>(clamp(left, vec4<i32>(0), vec4<i32>(31)));
    let down = mantissa >> bitcast<vec4<u32>>(clamp(-left, vec4<i32>(0), vec4<i32>(31)));
    let magnitude = select(select(down, up, left >= vec4<i32>(0)), vec4<u32>(0u), left >= vec4<i32>(32));
    return select(magnitude, vec4<u32>(0u) - magnitude, bits >= vec4<u32>(0x80000000u));
}

// mul_high() of four numbers and one.
fn mul_high_of_four(a: vec4<u32>, b: u32) -> vec4<u32> {
    let half = vec4<u32>(0xffffu);
    let sixteen = vec4<u32>(16u);
    let b0 = vec4<u32>(b & 0xffffu);
    let b1 = vec4<u32>(b >> 16u);
    let a0 = a & half;
    let a1 = a >> sixteen;
    let middle = a1 * b0 + ((a0 * b0) >> sixteen);
    let cross = a0 * b1 + (middle & half);
    return a1 * b1 + (middle >> sixteen) + (cross >> sixteen);
}

// octaves_below() of four.
fn octaves_of_four(max_bits: u32, logits: vec4<u32>, scale: Scale) -> vec4<u32> {
    let bits = min(logits, vec4<u32>(BITS_LOWEST));
    let half_distance = vec4<f32>(bitcast<f32>(max_bits) * 0.5) - bitcast<vec4<f32>>(bits) * 0.5;
    let distance = vec4<u32>(fixed(max_bits, scale.shift)) - fixed_of_four(bits, scale.shift);
    let near = (half_distance < vec4<f32>(scale.half_window)) & (logits < vec4<u32>(BITS_NEG_INFINITY));
    return select(vec4<u32>(FAR), mul_high_of_four(distance << vec4<u32>(2u), scale.rate), near);
}

// mantissa() of four; of a FAR one anything.
fn mantissas_of_four(octaves: vec4<u32>) -> vec4<u32> {
    let place = (octaves >> vec4<u32>(14u)) & vec4<u32>(0x3ffu);
    let entries = vec4<u32>(table[place.x], table[place.y], table[place.z], table[place.w]);
    let drop = ((octaves & vec4<u32>(0x3fffu)) * vec4<u32>(181643u) + vec4<u32>(0x8000u)) >> vec4<u32>(16u);
    return entries - (((entries >> vec4<u32>(15u)) * drop) >> vec4<u32>(11u));
}
