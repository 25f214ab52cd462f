// out[n, g] = μ, 1/√(σ² + eps) over the H·W·(C/G) values of group g of image n. The variance is summed around the mean.
// Dispatch: one workgroup of 64 per image and group; each invocation takes every 64th pixel, then the sums are halved
// in a fixed order. Groups need not begin on a vec4: lanes of other groups are masked.
// The image may be x and a skip connection side by side.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    pixels: u32, // H·W
    c: u32,
    from_x: u32, // channels that come from x, whole vec4s of them where the rest come from the skip connection
    groups: u32,
    eps: f32,
    silu: u32, // used by the normalisation
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, from_x]
@group(0) @binding(2) var<storage, read> skip: array<vec4<f32>>; // [N, H, W, C − from_x], unless that is none
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, 1, G, 2]

var<workgroup> sums: array<f32, 64>;

// Σ over the workgroup, the same for all its invocations.
fn total(t: u32, value: f32) -> f32 {
    workgroupBarrier(); // the result of an earlier call has been read
    sums[t] = value;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    workgroupBarrier();
    return sums[0];
}

// vec4 q of a pixel, counted through the whole batch.
fn value(pixel: u32, q: u32) -> vec4<f32> {
    let x4 = (p.from_x + 3u) / 4u;
    if (q < x4) { return x[pixel * x4 + q]; }
    return skip[pixel * ((p.c + 3u) / 4u - x4) + q - x4];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = group.x + group.y * groups.x + p.skipped;
    if (i >= p.n * p.groups) { return; }
    let per_group = p.c / p.groups;
    let begin = (i % p.groups) * per_group; // the group's channels: begin .. end
    let end = begin + per_group;
    let first = (i / p.groups) * p.pixels;
    let count = f32(per_group * p.pixels);

    var sum = 0.0;
    for (var pixel = t; pixel < p.pixels; pixel += 64u) {
        for (var q = begin / 4u; 4u * q < end; q++) {
            let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
            let ours = (c >= vec4<u32>(begin)) & (c < vec4<u32>(end));
            sum += dot(select(vec4<f32>(0.0), value(first + pixel, q), ours), vec4<f32>(1.0));
        }
    }
    let mean = total(t, sum) / count;

    var squares = 0.0;
    for (var pixel = t; pixel < p.pixels; pixel += 64u) {
        for (var q = begin / 4u; 4u * q < end; q++) {
            let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
            let ours = (c >= vec4<u32>(begin)) & (c < vec4<u32>(end));
            let d = select(vec4<f32>(0.0), value(first + pixel, q) - mean, ours);
            squares += dot(d, d);
        }
    }
    let variance = total(t, squares) / count;

    if (t == 0u) {
        out[i] = vec4<f32>(mean, inverseSqrt(variance + p.eps), 0.0, 0.0);
    }
}
