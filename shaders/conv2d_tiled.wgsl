// y[n, i, j, o] = b[o] + Σ_{u, v, c} x[n, i·s + u − p, j·s + v − p, c] · w[u, v, c, o], zero outside x.
// Dispatch: one workgroup of 64 per 128 neighbouring pixels and eight vec4s of output channels.
//
// conv2d.wgsl for GPUs with fast workgroup memory and enough work to fill them. For each tap and each four vec4s of
// input channels the workgroup fetches a tile of x and one of w, each value once; then every invocation multiplies
// its 8 pixels (every 16th) with its two vec4s of output channels.

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
    bias_step: u32, // vec4s from one image's bias to the next, 0 for one bias for all
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, ci]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>; // [kh, kw, ci, co]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [1 or N, 1, 1, co]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, out_h, out_w, co]

var<workgroup> xs: array<vec4<f32>, 516>; // 4 vec4s of channels by 128 pixels; rows of 129 spread over the banks
var<workgroup> ws: array<vec4<f32>, 128>; // 16 input channels by 8 vec4s of output channels

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x;
    let ci4 = (p.ci + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let co32 = (p.co + 31u) / 32u;
    let pixels = p.n * p.out_h * p.out_w;
    if (item >= ((pixels + 127u) / 128u) * co32) { return; }
    let q_first = (item % co32) * 8u;
    let first = (item / co32) * 128u;

    // What this invocation fetches: one vec4 of each of eight pixels, 16 apart, and two vec4s of w.
    let lane = t % 4u;
    let mine = t / 4u;
    let near = first + mine + vec4<u32>(0u, 16u, 32u, 48u);
    let pixel_a = min(near, vec4<u32>(pixels - 1u));
    let pixel_b = min(near + 64u, vec4<u32>(pixels - 1u));
    let line_a = pixel_a / p.out_w; // rows, counted through the whole batch
    let line_b = pixel_b / p.out_w;
    let top_a = line_a / p.out_h * p.h; // the image's first row
    let top_b = line_b / p.out_h * p.h;
    // The place in x of tap (0, 0). Left of and above x it wraps around to a large number, which no bound admits.
    let row_a = (line_a % p.out_h) * p.stride - p.padding;
    let row_b = (line_b % p.out_h) * p.stride - p.padding;
    let column_a = (pixel_a % p.out_w) * p.stride - p.padding;
    let column_b = (pixel_b % p.out_w) * p.stride - p.padding;
    let fetched_q = q_first + t % 8u;
    let to_x = lane * 129u + mine;

    // What it computes: the same pixels by two vec4s of output channels.
    let qa = q_first + lane * 2u;
    let qb = qa + 1u;
    let image_a = line_a / p.out_h * p.bias_step;
    let image_b = line_b / p.out_h * p.bias_step;
    let ca = min(qa, co4 - 1u);
    let cb = min(qb, co4 - 1u);
    var a0 = bias[image_a.x + ca];
    var b0 = bias[image_a.x + cb];
    var a1 = bias[image_a.y + ca];
    var b1 = bias[image_a.y + cb];
    var a2 = bias[image_a.z + ca];
    var b2 = bias[image_a.z + cb];
    var a3 = bias[image_a.w + ca];
    var b3 = bias[image_a.w + cb];
    var a4 = bias[image_b.x + ca];
    var b4 = bias[image_b.x + cb];
    var a5 = bias[image_b.y + ca];
    var b5 = bias[image_b.y + cb];
    var a6 = bias[image_b.z + ca];
    var b6 = bias[image_b.z + cb];
    var a7 = bias[image_b.w + ca];
    var b7 = bias[image_b.w + cb];
    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            let inside_a = (row_a + u < vec4<u32>(p.h)) & (column_a + v < vec4<u32>(p.w));
            let inside_b = (row_b + u < vec4<u32>(p.h)) & (column_b + v < vec4<u32>(p.w));
            let at_a = select(vec4<u32>(0u), ((top_a + row_a + u) * p.w + column_a + v) * ci4, inside_a);
            let at_b = select(vec4<u32>(0u), ((top_b + row_b + u) * p.w + column_b + v) * ci4, inside_b);
            for (var c = 0u; c < ci4; c += 4u) {
                let q = min(c + lane, ci4 - 1u);
                let there = c + lane < ci4;
                workgroupBarrier(); // the tiles before have been used
                xs[to_x] = select(vec4<f32>(0.0), x[at_a.x + q], there && inside_a.x);
                xs[to_x + 16u] = select(vec4<f32>(0.0), x[at_a.y + q], there && inside_a.y);
                xs[to_x + 32u] = select(vec4<f32>(0.0), x[at_a.z + q], there && inside_a.z);
                xs[to_x + 48u] = select(vec4<f32>(0.0), x[at_a.w + q], there && inside_a.w);
                xs[to_x + 64u] = select(vec4<f32>(0.0), x[at_b.x + q], there && inside_b.x);
                xs[to_x + 80u] = select(vec4<f32>(0.0), x[at_b.y + q], there && inside_b.y);
                xs[to_x + 96u] = select(vec4<f32>(0.0), x[at_b.z + q], there && inside_b.z);
                xs[to_x + 112u] = select(vec4<f32>(0.0), x[at_b.w + q], there && inside_b.w);
                for (var half = 0u; half < 2u; half++) {
                    let channel = 4u * c + 8u * half + t / 8u;
                    let row = (tap + min(channel, p.ci - 1u)) * co4 + min(fetched_q, co4 - 1u);
                    ws[64u * half + t] = select(vec4<f32>(0.0), weight[row], channel < p.ci && fetched_q < co4);
                }
                workgroupBarrier();
                for (var k = 0u; k < 4u; k++) {
                    let w_at = 32u * k + 2u * lane;
                    let wa = mat4x4<f32>(ws[w_at], ws[w_at + 8u], ws[w_at + 16u], ws[w_at + 24u]);
                    let wb = mat4x4<f32>(ws[w_at + 1u], ws[w_at + 9u], ws[w_at + 17u], ws[w_at + 25u]);
                    let x_at = 129u * k + mine;
                    let x0 = xs[x_at];
                    let x1 = xs[x_at + 16u];
                    let x2 = xs[x_at + 32u];
                    let x3 = xs[x_at + 48u];
                    let x4 = xs[x_at + 64u];
                    let x5 = xs[x_at + 80u];
                    let x6 = xs[x_at + 96u];
                    let x7 = xs[x_at + 112u];
                    a0 += wa * x0;
                    b0 += wb * x0;
                    a1 += wa * x1;
                    b1 += wb * x1;
                    a2 += wa * x2;
                    b2 += wb * x2;
                    a3 += wa * x3;
                    b3 += wb * x3;
                    a4 += wa * x4;
                    b4 += wb * x4;
                    a5 += wa * x5;
                    b5 += wb * x5;
                    a6 += wa * x6;
                    b6 += wb * x6;
                    a7 += wa * x7;
                    b7 += wb * x7;
                }
            }
            tap += p.ci;
        }
    }

    let to = (first + mine) * co4 + qa;
    let one = qa < co4; // whether there is a first vec4 of output channels, and a second
    let two = qb < co4;
    if (one && first + mine < pixels) { out[to] = a0; }
    if (one && first + mine + 16u < pixels) { out[to + 16u * co4] = a1; }
    if (one && first + mine + 32u < pixels) { out[to + 32u * co4] = a2; }
    if (one && first + mine + 48u < pixels) { out[to + 48u * co4] = a3; }
    if (one && first + mine + 64u < pixels) { out[to + 64u * co4] = a4; }
    if (one && first + mine + 80u < pixels) { out[to + 80u * co4] = a5; }
    if (one && first + mine + 96u < pixels) { out[to + 96u * co4] = a6; }
    if (one && first + mine + 112u < pixels) { out[to + 112u * co4] = a7; }
    if (two && first + mine < pixels) { out[to + 1u] = b0; }
    if (two && first + mine + 16u < pixels) { out[to + 16u * co4 + 1u] = b1; }
    if (two && first + mine + 32u < pixels) { out[to + 32u * co4 + 1u] = b2; }
    if (two && first + mine + 48u < pixels) { out[to + 48u * co4 + 1u] = b3; }
    if (two && first + mine + 64u < pixels) { out[to + 64u * co4 + 1u] = b4; }
    if (two && first + mine + 80u < pixels) { out[to + 80u * co4 + 1u] = b5; }
    if (two && first + mine + 96u < pixels) { out[to + 96u * co4 + 1u] = b6; }
    if (two && first + mine + 112u < pixels) { out[to + 112u * co4 + 1u] = b7; }
}
