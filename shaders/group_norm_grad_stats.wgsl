// out[n, g] = mean of γ·dy, mean of γ·dy·x̂ over the H·W·(C/G) values of group g of image n; x̂ = (x − μ)·rstd.
// Dispatch: one workgroup of 64 per image and group; each invocation takes every 64th pixel, then the sums are halved
// in a fixed order. Groups need not begin on a vec4: lanes of other groups are masked.

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
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>; // γ [1, 1, 1, C]
@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>; // [N, 1, G, 2]

var<workgroup> sums: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = group.x + group.y * groups.x + p.skipped;
    if (i >= p.n * p.groups) { return; }
    let c4 = (p.c + 3u) / 4u;
    let per_group = p.c / p.groups;
    let begin = (i % p.groups) * per_group; // the group's channels: begin .. end
    let end = begin + per_group;
    let first = (i / p.groups) * p.pixels * c4;
    let mean = stats[i].x;
    let rstd = stats[i].y;

    var sum = vec2<f32>(0.0);
    for (var pixel = t; pixel < p.pixels; pixel += 64u) {
        for (var q = begin / 4u; 4u * q < end; q++) {
            let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
            let ours = (c >= vec4<u32>(begin)) & (c < vec4<u32>(end));
            let at = first + pixel * c4 + q;
            let term = select(vec4<f32>(0.0), dy[at] * scale[q], ours);
            let normalised = (x[at] - mean) * rstd;
            sum += vec2<f32>(dot(term, vec4<f32>(1.0)), dot(term, normalised));
        }
    }
    sums[t] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    if (t == 0u) {
        out[i] = vec4<f32>(sums[0] / f32(per_group * p.pixels), 0.0, 0.0);
    }
}
