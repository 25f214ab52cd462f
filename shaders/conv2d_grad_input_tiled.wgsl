// dx[n, r, l, c] = Σ_{u, v, o} dy[n, i, j, o] · w[u, v, c, o] over the taps with i·s + u − p = r, j·s + v − p = l.
// Dispatch: one workgroup of 64 per 128 neighbouring pixels and eight vec4s of input channels.
//
// conv2d_grad_input.wgsl for GPUs with fast workgroup memory and enough work to fill them: the tiles of
// conv2d_tiled.wgsl, with w transposed.

struct Params {
    n: u32,
    h: u32, // extents of x
    w: u32,
    ci: u32,
    out_h: u32, // extents of y
    out_w: u32,
    co: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride: u32,
    padding: u32, // zeros before the first row and column
    bias_step: u32, // used by the convolution itself
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>; // [N, out_h, out_w, co]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>; // [kh, kw, ci, co]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, ci]

var<workgroup> ds: array<vec4<f32>, 516>; // 4 vec4s of channels by 128 pixels; rows of 129 spread over the banks
var<workgroup> ws: array<vec4<f32>, 132>; // 4 vec4s of output channels by 32 input channels, in rows of 33

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x;
    let ci4 = (p.ci + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let ci32 = (p.ci + 31u) / 32u;
    let pixels = p.n * p.h * p.w;
    if (item >= ((pixels + 127u) / 128u) * ci32) { return; }
    let q_first = (item % ci32) * 8u;
    let first = (item / ci32) * 128u;

    // What this invocation fetches: one vec4 of each of eight pixels, 16 apart, and two vec4s of w.
    let lane = t % 4u;
    let mine = t / 4u;
    let near = first + mine + vec4<u32>(0u, 16u, 32u, 48u);
    let pixel_a = min(near, vec4<u32>(pixels - 1u));
    let pixel_b = min(near + 64u, vec4<u32>(pixels - 1u));
    let line_a = pixel_a / p.w; // rows, counted through the whole batch
    let line_b = pixel_b / p.w;
    let top_a = line_a / p.h * p.out_h; // the image's first row in dy
    let top_b = line_b / p.h * p.out_h;
    let row_a = line_a % p.h + p.padding;
    let row_b = line_b % p.h + p.padding;
    let column_a = pixel_a % p.w + p.padding;
    let column_b = pixel_b % p.w + p.padding;
    let fetched_c = 4u * q_first + mine;
    let to_d = lane * 129u + mine;

    // What it computes: the same pixels by two vec4s of input channels.
    let qa = q_first + lane * 2u;
    let qb = qa + 1u;
    var a0 = vec4<f32>(0.0);
    var b0 = a0;
    var a1 = a0;
    var b1 = a0;
    var a2 = a0;
    var b2 = a0;
    var a3 = a0;
    var b3 = a0;
    var a4 = a0;
    var b4 = a0;
    var a5 = a0;
    var b5 = a0;
    var a6 = a0;
    var b6 = a0;
    var a7 = a0;
    var b7 = a0;
    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            // Below zero a difference wraps around to a large number, which no bound admits.
            let i_a = (row_a - u) / p.stride;
            let i_b = (row_b - u) / p.stride;
            let j_a = (column_a - v) / p.stride;
            let j_b = (column_b - v) / p.stride;
            let meets_a = (i_a * p.stride == row_a - u) & (j_a * p.stride == column_a - v);
            let meets_b = (i_b * p.stride == row_b - u) & (j_b * p.stride == column_b - v);
            let inside_a = meets_a & (i_a < vec4<u32>(p.out_h)) & (j_a < vec4<u32>(p.out_w));
            let inside_b = meets_b & (i_b < vec4<u32>(p.out_h)) & (j_b < vec4<u32>(p.out_w));
            let at_a = select(vec4<u32>(0u), ((top_a + i_a) * p.out_w + j_a) * co4, inside_a);
            let at_b = select(vec4<u32>(0u), ((top_b + i_b) * p.out_w + j_b) * co4, inside_b);
            for (var o = 0u; o < co4; o += 4u) {
                let q = min(o + lane, co4 - 1u);
                let there = o + lane < co4;
                workgroupBarrier(); // the tiles before have been used
                ds[to_d] = select(vec4<f32>(0.0), dy[at_a.x + q], there && inside_a.x);
                ds[to_d + 16u] = select(vec4<f32>(0.0), dy[at_a.y + q], there && inside_a.y);
                ds[to_d + 32u] = select(vec4<f32>(0.0), dy[at_a.z + q], there && inside_a.z);
                ds[to_d + 48u] = select(vec4<f32>(0.0), dy[at_a.w + q], there && inside_a.w);
                ds[to_d + 64u] = select(vec4<f32>(0.0), dy[at_b.x + q], there && inside_b.x);
                ds[to_d + 80u] = select(vec4<f32>(0.0), dy[at_b.y + q], there && inside_b.y);
                ds[to_d + 96u] = select(vec4<f32>(0.0), dy[at_b.z + q], there && inside_b.z);
                ds[to_d + 112u] = select(vec4<f32>(0.0), dy[at_b.w + q], there && inside_b.w);
                for (var half = 0u; half < 2u; half++) {
                    let channel = fetched_c + 16u * half;
                    let at = (tap + min(channel, p.ci - 1u)) * co4 + q;
                    ws[33u * lane + 16u * half + mine] = select(vec4<f32>(0.0), weight[at], there && channel < p.ci);
                }
                workgroupBarrier();
                for (var k = 0u; k < 4u; k++) {
                    let w_at = 33u * k + 8u * lane;
                    let wa = mat4x4<f32>(ws[w_at], ws[w_at + 1u], ws[w_at + 2u], ws[w_at + 3u]);
                    let wb = mat4x4<f32>(ws[w_at + 4u], ws[w_at + 5u], ws[w_at + 6u], ws[w_at + 7u]);
                    let d_at = 129u * k + mine;
                    let d0 = ds[d_at];
                    let d1 = ds[d_at + 16u];
                    let d2 = ds[d_at + 32u];
                    let d3 = ds[d_at + 48u];
                    let d4 = ds[d_at + 64u];
                    let d5 = ds[d_at + 80u];
                    let d6 = ds[d_at + 96u];
                    let d7 = ds[d_at + 112u];
                    a0 += d0 * wa;
                    b0 += d0 * wb;
                    a1 += d1 * wa;
                    b1 += d1 * wb;
                    a2 += d2 * wa;
                    b2 += d2 * wb;
                    a3 += d3 * wa;
                    b3 += d3 * wb;
                    a4 += d4 * wa;
                    b4 += d4 * wb;
                    a5 += d5 * wa;
                    b5 += d5 * wb;
                    a6 += d6 * wa;
                    b6 += d6 * wb;
                    a7 += d7 * wa;
                    b7 += d7 * wb;
                }
            }
            tap += p.ci;
        }
    }

    let to = (first + mine) * ci4 + qa;
    let one = qa < ci4; // whether there is a first vec4 of input channels, and a second
    let two = qb < ci4;
    if (one && first + mine < pixels) { out[to] = a0; }
    if (one && first + mine + 16u < pixels) { out[to + 16u * ci4] = a1; }
    if (one && first + mine + 32u < pixels) { out[to + 32u * ci4] = a2; }
    if (one && first + mine + 48u < pixels) { out[to + 48u * ci4] = a3; }
    if (one && first + mine + 64u < pixels) { out[to + 64u * ci4] = a4; }
    if (one && first + mine + 80u < pixels) { out[to + 80u * ci4] = a5; }
    if (one && first + mine + 96u < pixels) { out[to + 96u * ci4] = a6; }
    if (one && first + mine + 112u < pixels) { out[to + 112u * ci4] = a7; }
    if (two && first + mine < pixels) { out[to + 1u] = b0; }
    if (two && first + mine + 16u < pixels) { out[to + 16u * ci4 + 1u] = b1; }
    if (two && first + mine + 32u < pixels) { out[to + 32u * ci4 + 1u] = b2; }
    if (two && first + mine + 48u < pixels) { out[to + 48u * ci4 + 1u] = b3; }
    if (two && first + mine + 64u < pixels) { out[to + 64u * ci4 + 1u] = b4; }
    if (two && first + mine + 80u < pixels) { out[to + 80u * ci4 + 1u] = b5; }
    if (two && first + mine + 96u < pixels) { out[to + 96u * ci4 + 1u] = b6; }
    if (two && first + mine + 112u < pixels) { out[to + 112u * ci4 + 1u] = b7; }
}
