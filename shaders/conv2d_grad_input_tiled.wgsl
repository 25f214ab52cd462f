// dx[n, r, l, c] = Σ_{u, v, o} dy[n, i, j, o] · w[u, v, c, o] over the taps with i·s + u − p = r, j·s + v − p = l.
// Dispatch: one workgroup of 64 per 128 neighbouring pixels and eight vec4s of input channels.
//
// conv2d_grad_input.wgsl for GPUs with fast workgroup memory and enough work to fill them: the tiles of
// conv2d_tiled.wgsl, with w transposed.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
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
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>; // [N, out_h, out_w, co]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>; // [kh, kw, ci, co]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, ci]

const OUTSIDE = 0xffffffffu;

var<workgroup> ds: array<vec4<f32>, 516>; // 4 vec4s of channels by 128 pixels; rows of 129 spread over the banks
var<workgroup> ws: array<vec4<f32>, 132>; // 4 vec4s of output channels by 32 input channels, in rows of 33

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
    let co4 = (p.co + 3u) / 4u;
    let ci32 = (p.ci + 31u) / 32u;
    let pixels = p.n * p.h * p.w;
    if (item >= ((pixels + 127u) / 128u) * ci32) { return; }
    let first = (item / ci32) * 128u;
    let first_q = (item % ci32) * 8u;
    let mine = t / 4u; // of 16: its pixels are 16 apart
    let lane = t % 4u; // of the vec4s of output channels it fetches, and of the pairs of input channels it computes
    let qa = first_q + lane * 2u;
    let qb = qa + 1u;

    var image: array<u32, 8>;
    var row: array<u32, 8>;
    var column: array<u32, 8>;
    var a: array<vec4<f32>, 8>;
    var b: array<vec4<f32>, 8>;
    for (var i = 0u; i < 8u; i++) {
        let pixel = min(first + mine + 16u * i, pixels - 1u);
        let line = pixel / p.w; // rows, counted through the whole batch
        image[i] = line / p.h;
        row[i] = line % p.h + p.padding;
        column[i] = pixel % p.w + p.padding;
        a[i] = vec4<f32>(0.0);
        b[i] = vec4<f32>(0.0);
    }

    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            var at: array<u32, 8>;
            for (var i = 0u; i < 8u; i++) {
                // Below zero the difference wraps around to a large number, which no bound admits.
                let r = (row[i] - u) / p.stride;
                let l = (column[i] - v) / p.stride;
                let meets = r * p.stride == row[i] - u && l * p.stride == column[i] - v;
                let inside = meets && r < p.out_h && l < p.out_w;
                at[i] = select(OUTSIDE, ((image[i] * p.out_h + r) * p.out_w + l) * co4, inside);
            }
            for (var o = 0u; o < co4; o += 4u) {
                workgroupBarrier(); // the tiles before have been used
                let q = min(o + lane, co4 - 1u); // beyond the last one w is zero
                for (var i = 0u; i < 8u; i++) {
                    let inside = at[i] != OUTSIDE;
                    let value = dy[select(0u, at[i] + q, inside)];
                    ds[129u * lane + mine + 16u * i] = select(vec4<f32>(0.0), value, inside);
                }
                for (var half = 0u; half < 2u; half++) {
                    let channel = 4u * first_q + 16u * half + mine;
                    let value = weight[(tap + min(channel, p.ci - 1u)) * co4 + q];
                    let there = channel < p.ci && o + lane < co4;
                    ws[33u * lane + 16u * half + mine] = select(vec4<f32>(0.0), value, there);
                }
                workgroupBarrier();
                for (var k = 0u; k < 4u; k++) {
                    let w_at = 33u * k + 8u * lane;
                    let wa = transpose(mat4x4<f32>(ws[w_at], ws[w_at + 1u], ws[w_at + 2u], ws[w_at + 3u]));
                    let wb = transpose(mat4x4<f32>(ws[w_at + 4u], ws[w_at + 5u], ws[w_at + 6u], ws[w_at + 7u]));
                    for (var i = 0u; i < 8u; i++) {
                        let value = ds[129u * k + mine + 16u * i];
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
        if (pixel < pixels && qa < ci4) { out[pixel * ci4 + qa] = a[i]; }
        if (pixel < pixels && qb < ci4) { out[pixel * ci4 + qb] = b[i]; }
    }
}
