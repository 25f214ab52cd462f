// dx = dy·σ(x)·(1 + x·(1 − σ(x))), element by element; σ(x) = 1/(1 + e^−x) with the exponent bounded.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in out
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    let v = x[i];
    let sigmoid = 1.0 / (1.0 + exp(min(-v, vec4<f32>(80.0))));
    out[i] = dy[i] * sigmoid * (1.0 + v * (1.0 - sigmoid));
}
