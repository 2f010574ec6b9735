// ceiling: every word of a buffer once, nothing else: what must read the logits takes no less time.
// Each invocation strides over the grid, four loads in flight.

@group(0) @binding(0) var<storage, read> words: array<vec4<u32>>;     // [bytes / 16]
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;      // [workgroups]

const WORKGROUP: u32 = 256u;

var<workgroup> total: atomic<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let end = arrayLength(&words);
    // stride WORKGROUP within the grid: neighbouring lanes read neighbouring vectors
    let stride = groups.x * WORKGROUP;
    var sum = vec4<u32>(0u);
    var i = group.x * WORKGROUP + lane;
    for (; i + 3u * stride < end; i += 4u * stride) {
        sum += words[i] + words[i + stride] + words[i + 2u * stride] + words[i + 3u * stride];
    }
    for (; i < end; i += stride) {
        sum += words[i];
    }
    // One word per workgroup depends on every load, so none can be left out.
    atomicAdd(&total, sum.x + sum.y + sum.z + sum.w);
    // the sums of all lanes before the one lane that writes them
    workgroupBarrier();
    if lane == 0u {
        sums[group.x] = atomicLoad(&total);
    }
}
