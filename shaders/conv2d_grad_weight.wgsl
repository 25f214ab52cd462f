// dw[u, v, c, o] = Σ_{n, i, j} x[n, i·s + u − p, j·s + v − p, c] · dy[n, i, j, o], zero outside x.
// Dispatch: one workgroup of 64 per tap, two vec4s of input and two of output channels. Each invocation takes every
// 64th row of the outputs, counted through the batch; then the sums are halved in a fixed order.

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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, ci]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [N, out_h, out_w, co]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [kh, kw, ci, co]

var<workgroup> sums: array<mat4x4<f32>, 64>;

// The block of products whose column c is dy·x[c].
fn outer(d: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(d * v.x, d * v.y, d * v.z, d * v.w);
}

// Sums a block over the workgroup and writes it: rows 4·c .. of the tap, vec4 q of each.
fn store(t: u32, block: mat4x4<f32>, tap: u32, c: u32, q: u32, co4: u32) {
    workgroupBarrier(); // the sum of an earlier call has been read
    sums[t] = block;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t < half) {
            sums[t] += sums[t + half];
        }
    }
    workgroupBarrier();
    let row = 4u * c + t;
    if (t < 4u && row < p.ci && q < co4) {
        out[(tap * p.ci + row) * co4 + q] = sums[0][t];
    }
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
    let ci8 = (p.ci + 7u) / 8u;
    let co8 = (p.co + 7u) / 8u;
    if (item >= p.kernel_h * p.kernel_w * ci8 * co8) { return; }
    let q = 2u * (item % co8);
    let c = 2u * (item / co8 % ci8);
    let tap = item / (co8 * ci8);
    let u = tap / p.kernel_w;
    let v = tap % p.kernel_w;
    // The second of two vec4s, or the first again where there is no second.
    let c_next = min(c + 1u, ci4 - 1u) - c;
    let q_next = min(q + 1u, co4 - 1u) - q;

    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    for (var line = t; line < p.n * p.out_h; line += 64u) {
        // Left of and above x a place wraps around to a large number, which no bound admits.
        let row = (line % p.out_h) * p.stride + u - p.padding;
        if (row < p.h) {
            // Places of column 0, which may lie left of x. What is added for the others is the same in all invocations.
            let x_first = ((line / p.out_h * p.h + row) * p.w + v - p.padding) * ci4 + c;
            let y_first = line * p.out_w * co4 + q;
            for (var j = 0u; j < p.out_w; j++) {
                let column = j * p.stride + v - p.padding;
                if (column < p.w) {
                    let x_at = x_first + j * p.stride * ci4;
                    let y_at = y_first + j * co4;
                    let x0 = x[x_at];
                    let x1 = x[x_at + c_next];
                    let d0 = dy[y_at];
                    let d1 = dy[y_at + q_next];
                    s00 += outer(d0, x0);
                    s01 += outer(d1, x0);
                    s10 += outer(d0, x1);
                    s11 += outer(d1, x1);
                }
            }
        }
    }
    store(t, s00, tap, c, q, co4);
    store(t, s01, tap, c, q + 1u, co4);
    store(t, s10, tap, c + 1u, q, co4);
    store(t, s11, tap, c + 1u, q + 1u, co4);
}
