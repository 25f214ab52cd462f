// out[n, i, j, c] = Σ over the four pixels of y that upsampling made of (i, j).
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    h: u32, // extents of the small image
    w: u32,
    c4: u32, // vec4s per pixel
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>; // [N, 2H, 2W, C]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.n * p.h * p.w * p.c4) { return; }
    let q = i % p.c4;
    let pixel = i / p.c4;
    let column = pixel % p.w;
    let row = pixel / p.w; // counted through the whole batch
    let stride = 2u * p.w * p.c4;
    let at = (2u * row) * stride + (2u * column) * p.c4 + q;
    out[i] = y[at] + y[at + p.c4] + y[at + stride] + y[at + stride + p.c4];
}
