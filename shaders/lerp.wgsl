// out = a + rate·(b − a), element by element.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in out
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> rate: array<vec4<f32>>; // [1, 1, 1, 1]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    out[i] = a[i] + rate[0].x * (b[i] - a[i]);
}
