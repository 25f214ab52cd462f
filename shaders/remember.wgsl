// x̂_0 = clamp(p_x·x + p_m·m, ±clip), ε̂ = e_x·x + e_m·m, and for each slot a·x̂_0 + b·ε̂ + c·x + d·y:
// what a walk remembers for its next moves, with m the output of the network.
// Dispatch: one invocation per vec4 of x, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in x
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> m: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>; // [3·N, H, W, C]
@group(0) @binding(4) var<storage, read> coefficients: array<vec4<f32>>; // [1, 1, 1, 32], as they stand in main
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // [3·N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    let k0 = coefficients[0]; // p_x, p_m, clip, e_x
    let clip = vec4<f32>(k0.z);
    let x0 = min(max(k0.x * x[i] + k0.y * m[i], -clip), clip);
    let eps = k0.w * x[i] + coefficients[1].x * m[i];
    for (var slot = 0u; slot < 3u; slot++) {
        let k = coefficients[2u + 2u * slot]; // a, b, c
        let d = coefficients[3u + 2u * slot].xyz;
        let read = k.x * x0 + k.y * eps + k.z * x[i];
        out[slot * p.len + i] = read + d.x * y[i] + d.y * y[p.len + i] + d.z * y[2u * p.len + i];
    }
}
