// out[n, i, j, c] = x[n, ⌊i/2⌋, ⌊j/2⌋, c].
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    h: u32, // extents of the small image
    w: u32,
    c4: u32, // vec4s per pixel
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [N, 2H, 2W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.n * p.h * p.w * p.c4 * 4u) { return; }
    let q = i % p.c4;
    let pixel = i / p.c4;
    let column = pixel % (2u * p.w);
    let row = pixel / (2u * p.w); // counted through the whole batch: an image has an even number of rows
    out[i] = x[((row / 2u) * p.w + column / 2u) * p.c4 + q];
}
