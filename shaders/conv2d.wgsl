// y[n, i, j, o] = b[o] + Σ_{u, v, c} x[n, i·s + u − p, j·s + v − p, c] · w[u, v, c, o], zero outside x, where x may
// stand for x upsampled by two, or for x and a skip connection side by side; a residual may be added.
// Dispatch: one invocation per four neighbouring pixels and two vec4s of output channels, 64 in a workgroup.
//
// An implicit matrix product: pixels × (taps · input channels) × output channels. The pixels' places are worked out
// once per tap; the loop over input channels multiplies four vec4s of x with two 4×4 blocks of w.

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

// sum + block·v, all of it multiply-adds.
fn multiply_add(block: mat4x4<f32>, v: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let two = fma(block[1], v.yyyy, fma(block[0], v.xxxx, sum));
    return fma(block[3], v.wwww, fma(block[2], v.zzzz, two));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let item = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let ci4 = (p.ci + 3u) / 4u;
    let x4 = (p.from_x + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let co8 = (p.co + 7u) / 8u;
    let pixels = p.n * p.out_h * p.out_w;
    if (item >= ((pixels + 3u) / 4u) * co8) { return; }
    let qa = (item % co8) * 2u;
    let qb = min(qa + 1u, co4 - 1u);
    let first = (item / co8) * 4u;

    let pixel = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(pixels - 1u));
    let line = pixel / p.out_w; // rows, counted through the whole batch
    let n = line / p.out_h;
    // The place in x of tap (0, 0). Left of and above x it wraps around to a large number, which no bound admits.
    let row = (line % p.out_h) * p.stride - p.padding;
    let column = (pixel % p.out_w) * p.stride - p.padding;

    let ba = n * p.bias_step + qa;
    let bb = n * p.bias_step + qb;
    var a0 = bias[ba.x];
    var a1 = bias[ba.y];
    var a2 = bias[ba.z];
    var a3 = bias[ba.w];
    var b0 = bias[bb.x];
    var b1 = bias[bb.y];
    var b2 = bias[bb.z];
    var b3 = bias[bb.w];
    if (p.residual == 1u) {
        let ra = pixel * co4 + qa;
        let rb = pixel * co4 + qb;
        a0 += residual[ra.x];
        a1 += residual[ra.y];
        a2 += residual[ra.z];
        a3 += residual[ra.w];
        b0 += residual[rb.x];
        b1 += residual[rb.y];
        b2 += residual[rb.z];
        b3 += residual[rb.w];
    }
    let up = vec4<u32>(p.upsample);
    let image = n * (p.h >> p.upsample);
    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            let inside = (row + u < vec4<u32>(p.h)) & (column + v < vec4<u32>(p.w));
            let at_border = !all(inside);
            let place = (image + ((row + u) >> up)) * (p.w >> p.upsample) + ((column + v) >> up);
            let there = select(vec4<u32>(0u), place, inside);
            let at = there * x4;
            let beside = there * (ci4 - x4) - x4; // the channels of the skip connection come after those of x
            for (var c = 0u; c < ci4; c++) {
                // Where x is filled up with zeros, any row of w will do.
                let r = (tap + min(4u * c + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.ci - 1u))) * co4;
                let wa = mat4x4<f32>(weight[r.x + qa], weight[r.y + qa], weight[r.z + qa], weight[r.w + qa]);
                let wb = mat4x4<f32>(weight[r.x + qb], weight[r.y + qb], weight[r.z + qb], weight[r.w + qb]);
                var x0: vec4<f32>;
                var x1: vec4<f32>;
                var x2: vec4<f32>;
                var x3: vec4<f32>;
                if (c < x4) {
                    x0 = x[at.x + c];
                    x1 = x[at.y + c];
                    x2 = x[at.z + c];
                    x3 = x[at.w + c];
                } else {
                    x0 = skip[beside.x + c];
                    x1 = skip[beside.y + c];
                    x2 = skip[beside.z + c];
                    x3 = skip[beside.w + c];
                }
                if (at_border) {
                    x0 = select(vec4<f32>(0.0), x0, inside.x);
                    x1 = select(vec4<f32>(0.0), x1, inside.y);
                    x2 = select(vec4<f32>(0.0), x2, inside.z);
                    x3 = select(vec4<f32>(0.0), x3, inside.w);
                }
                a0 = multiply_add(wa, x0, a0);
                a1 = multiply_add(wa, x1, a1);
                a2 = multiply_add(wa, x2, a2);
                a3 = multiply_add(wa, x3, a3);
                b0 = multiply_add(wb, x0, b0);
                b1 = multiply_add(wb, x1, b1);
                b2 = multiply_add(wb, x2, b2);
                b3 = multiply_add(wb, x3, b3);
            }
            tap += p.ci;
        }
    }

    let to = first * co4 + qa;
    let two = qa + 1u < co4; // whether there is a second vec4 of output channels
    out[to] = a0;
    if (two) { out[to + 1u] = b0; }
    if (first + 1u < pixels) {
        out[to + co4] = a1;
        if (two) { out[to + co4 + 1u] = b1; }
    }
    if (first + 2u < pixels) {
        out[to + 2u * co4] = a2;
        if (two) { out[to + 2u * co4 + 1u] = b2; }
    }
    if (first + 3u < pixels) {
        out[to + 3u * co4] = a3;
        if (two) { out[to + 3u * co4 + 1u] = b3; }
    }
}
