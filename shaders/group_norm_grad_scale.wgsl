// out[n, c] = Σ over pixels of dy·x̂, with x̂ = (x − μ)·rstd: γ's gradient, one image at a time.
// Dispatch: one workgroup of 64 per image and vec4 of channels; each invocation takes every 64th pixel, then the sums
// are halved in a fixed order.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    pixels: u32, // H·W
    c: u32,
    groups: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> stats: array<vec4<f32>>; // [N, 1, G, 2] = μ, rstd
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, 1, 1, C]

var<workgroup> sums: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = group.x + group.y * groups.x + p.skipped;
    let c4 = (p.c + 3u) / 4u;
    if (i >= p.n * c4) { return; }
    let n = i / c4;
    let q = i % c4;
    // Groups need not begin on a vec4: each lane looks up its own.
    let channels = min(4u * q + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.c - 1u));
    let g = n * p.groups + channels / (p.c / p.groups);
    let s0 = stats[g.x];
    let s1 = stats[g.y];
    let s2 = stats[g.z];
    let s3 = stats[g.w];
    let mean = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
    let rstd = vec4<f32>(s0.y, s1.y, s2.y, s3.y);

    let first = n * p.pixels * c4 + q;
    var sum = vec4<f32>(0.0);
    for (var pixel = t; pixel < p.pixels; pixel += 64u) {
        let at = first + pixel * c4;
        sum += dy[at] * (x[at] - mean) * rstd;
    }
    sums[t] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    if (t == 0u) {
        out[i] = sums[0];
    }
}
