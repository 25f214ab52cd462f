// x̂_0 = clamp(p_x·x + p_m·m, ±clip), ε̂ = e_x·x + e_m·m, out = a·x̂_0 + b·ε̂ + c·x + d·y + s·z; where the mask is ½ or
// more it is the known picture and its share of z: one move of any walk, with m the output of the network.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    len: u32, // vec4s in out
    slots: u32, // 1 if there are slots
    known: u32, // 1 if there is a known picture
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> m: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> z: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(4) var<storage, read> coefficients: array<vec4<f32>>; // [1, 1, 1, 16], as they stand in main
@group(0) @binding(5) var<storage, read> y: array<vec4<f32>>; // [3·N, H, W, C] or anything
@group(0) @binding(6) var<storage, read> known: array<vec4<f32>>; // [2·N, H, W, C] or anything
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.len) { return; }
    let k0 = coefficients[0]; // p_x, p_m, clip, e_x
    let k1 = coefficients[1]; // e_m, a, b, c
    let k2 = coefficients[2]; // d_0, d_1, d_2, s
    let clip = vec4<f32>(k0.z);
    let x0 = min(max(k0.x * x[i] + k0.y * m[i], -clip), clip);
    let eps = k0.w * x[i] + k1.x * m[i];
    var next = k1.y * x0 + k1.z * eps + k1.w * x[i];
    if (p.slots == 1u) {
        next = next + k2.x * y[i] + k2.y * y[p.len + i] + k2.z * y[2u * p.len + i];
    }
    next = next + k2.w * z[i];
    if (p.known == 1u) {
        let k3 = coefficients[3]; // of the known picture, of its z
        let kept = k3.x * known[i] + k3.y * z[i];
        next = select(next, kept, known[p.len + i] >= vec4<f32>(0.5));
    }
    out[i] = next;
}
