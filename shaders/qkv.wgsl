// out[m, i, o] = b_m[o] + Σ_c x[i, c] · w_m[c, o] for m = 0, 1, 2: queries, keys and values, one after the other.
// Dispatch: one invocation per four neighbouring pixels and one vec4 of channels, 64 in a workgroup.
//
// Each value of x that is fetched goes into all three products.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    pixels: u32, // N·H·W
    ci: u32,
    co: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, ci]
@group(0) @binding(2) var<storage, read> wq: array<vec4<f32>>; // [1, 1, ci, co]
@group(0) @binding(3) var<storage, read> wk: array<vec4<f32>>; // [1, 1, ci, co]
@group(0) @binding(4) var<storage, read> wv: array<vec4<f32>>; // [1, 1, ci, co]
@group(0) @binding(5) var<storage, read> bq: array<vec4<f32>>; // [1, 1, 1, co]
@group(0) @binding(6) var<storage, read> bk: array<vec4<f32>>; // [1, 1, 1, co]
@group(0) @binding(7) var<storage, read> bv: array<vec4<f32>>; // [1, 1, 1, co]
@group(0) @binding(8) var<storage, read_write> out: array<vec4<f32>>; // [3·N, H, W, co]

// sum + block·v, all of it multiply-adds.
fn multiply_add(block: mat4x4<f32>, v: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let two = fma(block[1], v.yyyy, fma(block[0], v.xxxx, sum));
    return fma(block[3], v.wwww, fma(block[2], v.zzzz, two));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let item = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let ci4 = (p.ci + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    if (item >= ((p.pixels + 3u) / 4u) * co4) { return; }
    let o = item % co4;
    let first = (item / co4) * 4u;
    let at = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.pixels - 1u)) * ci4;

    var q0 = bq[o];
    var q1 = q0;
    var q2 = q0;
    var q3 = q0;
    var k0 = bk[o];
    var k1 = k0;
    var k2 = k0;
    var k3 = k0;
    var v0 = bv[o];
    var v1 = v0;
    var v2 = v0;
    var v3 = v0;
    for (var c = 0u; c < ci4; c++) {
        // Where x is filled up with zeros, any row of w will do.
        let r = min(4u * c + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.ci - 1u)) * co4 + o;
        let q = mat4x4<f32>(wq[r.x], wq[r.y], wq[r.z], wq[r.w]);
        let k = mat4x4<f32>(wk[r.x], wk[r.y], wk[r.z], wk[r.w]);
        let v = mat4x4<f32>(wv[r.x], wv[r.y], wv[r.z], wv[r.w]);
        let x0 = x[at.x + c];
        let x1 = x[at.y + c];
        let x2 = x[at.z + c];
        let x3 = x[at.w + c];
        q0 = multiply_add(q, x0, q0);
        q1 = multiply_add(q, x1, q1);
        q2 = multiply_add(q, x2, q2);
        q3 = multiply_add(q, x3, q3);
        k0 = multiply_add(k, x0, k0);
        k1 = multiply_add(k, x1, k1);
        k2 = multiply_add(k, x2, k2);
        k3 = multiply_add(k, x3, k3);
        v0 = multiply_add(v, x0, v0);
        v1 = multiply_add(v, x1, v1);
        v2 = multiply_add(v, x2, v2);
        v3 = multiply_add(v, x3, v3);
    }

    let len = p.pixels * co4; // vec4s of all queries
    let to = first * co4 + o;
    out[to] = q0;
    out[to + len] = k0;
    out[to + 2u * len] = v0;
    if (first + 1u < p.pixels) {
        out[to + co4] = q1;
        out[to + len + co4] = k1;
        out[to + 2u * len + co4] = v1;
    }
    if (first + 2u < p.pixels) {
        out[to + 2u * co4] = q2;
        out[to + len + 2u * co4] = k2;
        out[to + 2u * len + 2u * co4] = v2;
    }
    if (first + 3u < p.pixels) {
        out[to + 3u * co4] = q3;
        out[to + len + 3u * co4] = k3;
        out[to + 2u * len + 3u * co4] = v3;
    }
}
