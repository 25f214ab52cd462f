// out = Σ |x − y| · factor, one number; factor = 1/count makes it the mean.
// Dispatch: one workgroup of 256; each invocation takes every 256th vec4, then the sums are halved in a fixed order.

struct Params {
    len: u32, // vec4s in x
    factor: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [1, 1, 1, 1]

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) t: u32) {
    var sum = 0.0;
    for (var i = t; i < p.len; i += 256u) {
        sum += dot(abs(x[i] - y[i]), vec4<f32>(1.0));
    }
    sums[t] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    if (t == 0u) {
        out[0] = vec4<f32>(sums[0] * p.factor, 0.0, 0.0, 0.0);
    }
}
