// y[n, i, j, o] = b[o] + Σ_{u, v, c} x[n, i·s + u − p, j·s + v − p, c] · w[u, v, c, o], zero outside x, where x may
// stand for x upsampled by two, or for x and a skip connection side by side; a residual may be added.
// Dispatch: one workgroup of 64 per 128 neighbouring pixels and eight vec4s of output channels.
//
// conv2d.wgsl for GPUs with fast workgroup memory and enough work to fill them. For each tap and each four vec4s of
// input channels the workgroup fetches a tile of x and one of w, each value once; then every invocation multiplies
// its eight pixels with its two vec4s of output channels. Loops over the eight are unrolled by every compiler.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    h: u32, // extents of what is convolved
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
    upsample: u32, // 1: x has half the extents, and each of its pixels is met four times
    from_x: u32, // channels that come from x, whole vec4s of them where the rest come from the skip connection
    residual: u32, // 1: the residual is added
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, from_x], or [N, H/2, W/2, from_x]
@group(0) @binding(2) var<storage, read> skip: array<vec4<f32>>; // [N, H, W, ci − from_x], unless that is none
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>; // [kh, kw, ci, co]
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>; // [1 or N, 1, 1, co]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [N, out_h, out_w, co], if there is one
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>; // [N, out_h, out_w, co]

const OUTSIDE = 0xffffffffu;

var<workgroup> xs: array<vec4<f32>, 516>; // 4 vec4s of channels by 128 pixels; rows of 129 spread over the banks
var<workgroup> ws: array<vec4<f32>, 128>; // 16 input channels by 8 vec4s of output channels

// sum + block·v, all of it multiply-adds.
fn multiply_add(block: mat4x4<f32>, v: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let two = fma(block[1], v.yyyy, fma(block[0], v.xxxx, sum));
    return fma(block[3], v.wwww, fma(block[2], v.zzzz, two));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x + p.skipped;
    let ci4 = (p.ci + 3u) / 4u;
    let x4 = (p.from_x + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let co32 = (p.co + 31u) / 32u;
    let pixels = p.n * p.out_h * p.out_w;
    if (item >= ((pixels + 127u) / 128u) * co32) { return; }
    let first = (item / co32) * 128u;
    let first_q = (item % co32) * 8u;
    let mine = t / 4u; // of 16: its pixels are 16 apart
    let lane = t % 4u; // of the vec4s of input channels it fetches, and of the pairs of output channels it computes
    let qa = first_q + lane * 2u;
    let qb = qa + 1u;

    var image: array<u32, 8>;
    var row: array<u32, 8>; // The place in x of tap (0, 0). Left of and above x it wraps around to a large number,
    var column: array<u32, 8>; // which no bound admits.
    var a: array<vec4<f32>, 8>;
    var b: array<vec4<f32>, 8>;
    for (var i = 0u; i < 8u; i++) {
        let pixel = min(first + mine + 16u * i, pixels - 1u);
        let line = pixel / p.out_w; // rows, counted through the whole batch
        image[i] = line / p.out_h;
        row[i] = (line % p.out_h) * p.stride - p.padding;
        column[i] = (pixel % p.out_w) * p.stride - p.padding;
        a[i] = bias[image[i] * p.bias_step + min(qa, co4 - 1u)];
        b[i] = bias[image[i] * p.bias_step + min(qb, co4 - 1u)];
        if (p.residual == 1u) {
            a[i] += residual[pixel * co4 + min(qa, co4 - 1u)];
            b[i] += residual[pixel * co4 + min(qb, co4 - 1u)];
        }
        image[i] *= p.h >> p.upsample; // its first row in x
    }

    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            var at: array<u32, 8>;
            for (var i = 0u; i < 8u; i++) {
                let inside = row[i] + u < p.h && column[i] + v < p.w;
                let there = image[i] + ((row[i] + u) >> p.upsample);
                at[i] = select(OUTSIDE, there * (p.w >> p.upsample) + ((column[i] + v) >> p.upsample), inside);
            }
            for (var c = 0u; c < ci4; c += 4u) {
                workgroupBarrier(); // the tiles before have been used
                let q = min(c + lane, ci4 - 1u); // beyond the last one w is zero
                for (var i = 0u; i < 8u; i++) {
                    let inside = at[i] != OUTSIDE;
                    let there = select(0u, at[i], inside);
                    var value: vec4<f32>;
                    if (q < x4) {
                        value = x[there * x4 + q];
                    } else {
                        value = skip[there * (ci4 - x4) + q - x4];
                    }
                    xs[129u * lane + mine + 16u * i] = select(vec4<f32>(0.0), value, inside);
                }
                for (var half = 0u; half < 2u; half++) {
                    let channel = 4u * c + 8u * half + t / 8u;
                    let place = (tap + min(channel, p.ci - 1u)) * co4 + min(first_q + t % 8u, co4 - 1u);
                    ws[64u * half + t] = select(vec4<f32>(0.0), weight[place], channel < p.ci);
                }
                workgroupBarrier();
                for (var k = 0u; k < 4u; k++) {
                    let w_at = 32u * k + 2u * lane;
                    let wa = mat4x4<f32>(ws[w_at], ws[w_at + 8u], ws[w_at + 16u], ws[w_at + 24u]);
                    let wb = mat4x4<f32>(ws[w_at + 1u], ws[w_at + 9u], ws[w_at + 17u], ws[w_at + 25u]);
                    for (var i = 0u; i < 8u; i++) {
                        let value = xs[129u * k + mine + 16u * i];
                        a[i] = multiply_add(wa, value, a[i]);
                        b[i] = multiply_add(wb, value, b[i]);
                    }
                }
            }
            tap += p.ci;
        }
    }

    for (var i = 0u; i < 8u; i++) {
        let pixel = first + mine + 16u * i;
        if (pixel < pixels && qa < co4) { out[pixel * co4 + qa] = a[i]; }
        if (pixel < pixels && qb < co4) { out[pixel * co4 + qb] = b[i]; }
    }
}
