// out = y, or y·σ(y), of y = (x − μ)·rstd·γ + β with μ and rstd of the group of each channel.
// The image may be x and a skip connection side by side.
// The lanes that fill up the channels stay zero because γ and β are zero there.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    pixels: u32, // H·W
    c: u32,
    from_x: u32, // channels that come from x, whole vec4s of them where the rest come from the skip connection
    groups: u32,
    eps: f32, // used by the statistics
    silu: u32, // 1: SiLU after the normalisation
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, from_x]
@group(0) @binding(2) var<storage, read> skip: array<vec4<f32>>; // [N, H, W, C − from_x], unless that is none
@group(0) @binding(3) var<storage, read> stats: array<vec4<f32>>; // [N, 1, G, 2] = μ, rstd
@group(0) @binding(4) var<storage, read> scale: array<vec4<f32>>; // γ [1, 1, 1, C]
@group(0) @binding(5) var<storage, read> shift: array<vec4<f32>>; // β [1, 1, 1, C]
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

// vec4 q of a pixel, counted through the whole batch.
fn value(pixel: u32, q: u32) -> vec4<f32> {
    let x4 = (p.from_x + 3u) / 4u;
    if (q < x4) { return x[pixel * x4 + q]; }
    return skip[pixel * ((p.c + 3u) / 4u - x4) + q - x4];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let c4 = (p.c + 3u) / 4u;
    if (i >= p.n * p.pixels * c4) { return; }
    let n = i / (p.pixels * c4);
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
    let y = (value(i / c4, q) - mean) * rstd * scale[q] + shift[q];
    // The exponent is bounded so that nothing overflows; beyond the bound y·σ(y) is y or 0 to f32's precision.
    let gate = 1.0 / (1.0 + exp(min(-y, vec4<f32>(80.0))));
    out[i] = y * select(vec4<f32>(1.0), gate, p.silu == 1u);
}
