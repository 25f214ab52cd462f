// dx = rstd·(γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂)), with x̂ = (x − μ)·rstd and the means of the group of each channel.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

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
@group(0) @binding(5) var<storage, read> means: array<vec4<f32>>; // [N, 1, G, 2]
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let c4 = (p.c + 3u) / 4u;
    if (i >= p.n * p.pixels * c4) { return; }
    let n = i / (p.pixels * c4);
    let q = i % c4;
    // Groups need not begin on a vec4: each lane looks up its own.
    let channels = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
    let g = n * p.groups + min(channels, vec4<u32>(p.c - 1u)) / (p.c / p.groups);
    let s0 = stats[g.x];
    let s1 = stats[g.y];
    let s2 = stats[g.z];
    let s3 = stats[g.w];
    let m0 = means[g.x];
    let m1 = means[g.y];
    let m2 = means[g.z];
    let m3 = means[g.w];
    let mean = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
    let rstd = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
    let first = vec4<f32>(m0.x, m1.x, m2.x, m3.x);
    let second = vec4<f32>(m0.y, m1.y, m2.y, m3.y);
    let normalised = (x[i] - mean) * rstd;
    let dx = rstd * (dy[i] * scale[q] - first - normalised * second);
    out[i] = select(vec4<f32>(0.0), dx, channels < vec4<u32>(p.c));
}
