// out[n, i, j, c] = x[n, i, j, c] + e[n, c]: a time embedding, the same on every pixel.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    pixels: u32, // H·W
    c4: u32, // vec4s per pixel
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> e: array<vec4<f32>>; // [N, 1, 1, C]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.n * p.pixels * p.c4) { return; }
    let n = i / (p.pixels * p.c4);
    out[i] = x[i] + e[n * p.c4 + i % p.c4];
}
