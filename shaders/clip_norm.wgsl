// out = g·min(1, bound/(norm + 1e-6)), element by element: a gradient whose common norm stays within the bound.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in out
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> norm_squared: array<vec4<f32>>; // [1, 1, 1, 1]
@group(0) @binding(3) var<storage, read> bound: array<vec4<f32>>; // [1, 1, 1, 1]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    let norm = sqrt(norm_squared[0].x);
    out[i] = g[i] * min(bound[0].x / (norm + 1e-6), 1.0);
}
