// out[n, c] = Σ over the pixels of x[n, ·, ·, c].
// Dispatch: one workgroup of 64 per image and vec4 of channels; each invocation takes every 64th pixel, then the sums
// are halved in a fixed order.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    pixels: u32, // H·W
    c4: u32, // vec4s per pixel
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [N, 1, 1, C]

var<workgroup> sums: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = group.x + group.y * groups.x + p.skipped;
    if (i >= p.n * p.c4) { return; }
    let first = (i / p.c4) * p.pixels * p.c4 + i % p.c4;
    var sum = vec4<f32>(0.0);
    for (var pixel = t; pixel < p.pixels; pixel += 64u) {
        sum += x[first + pixel * p.c4];
    }
    sums[t] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    if (t == 0u) {
        out[i] = sums[0];
    }
}
