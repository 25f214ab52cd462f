// out = w·(1 − decay) − rate·m/(√v·correction + eps), element by element: Adam, and AdamW where decay > 0.
// The lower bound of the denominator keeps 0/0 out of the lanes that fill up the channels when eps = 0.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in out
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> m: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(4) var<storage, read> coefficients: array<vec4<f32>>; // [1, 1, 1, 4] = rate, correction, eps, decay
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    let k = coefficients[0];
    let denominator = max(sqrt(v[i]) * k.y + k.z, vec4<f32>(1e-30));
    out[i] = w[i] - k.w * w[i] - k.x * m[i] / denominator;
}
