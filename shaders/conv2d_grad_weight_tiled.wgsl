// dw[u, v, c, o] = Σ_{n, i, j} x[n, i·s + u − p, j·s + v − p, c] · dy[n, i, j, o], zero outside x.
// Dispatch: one workgroup of 256 per tap, four vec4s of input and four of output channels.
//
// conv2d_grad_weight.wgsl for GPUs with fast workgroup memory and enough work to fill them. The rows of the outputs
// are dealt to 64 slices as there, but four invocations share a slice, each with two of its vec4s of either kind. All
// slices go through their rows together, two columns at a time, which neighbours fetch from neighbouring places.

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
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, ci]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [N, out_h, out_w, co]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [kh, kw, ci, co]

// 64 slices of 16: for each of two columns four vec4s of x and four of dy. In the end the four columns of 256 sums.
var<workgroup> tile: array<vec4<f32>, 1024>;

// Where vec4 k of a slice is. Neighbouring slices are read together, and neighbouring k are written together: neither
// lie in the same bank.
fn place(k: u32, slice: u32) -> u32 {
    return 64u * k + (slice ^ ((k & 3u) << 1u));
}

// The block of products whose column c is dy·x[c].
fn outer(d: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(d * v.x, d * v.y, d * v.z, d * v.w);
}

// Sums a block over the slices and writes it: rows 4·c .. of the tap, vec4 q of each.
fn store(t: u32, block: mat4x4<f32>, tap: u32, c: u32, q: u32, co4: u32) {
    let slice = t % 64u;
    workgroupBarrier(); // what was in the tile has been used
    for (var i = 0u; i < 4u; i++) {
        tile[256u * i + t] = block[i];
    }
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (slice < half) {
            for (var i = 0u; i < 4u; i++) {
                tile[256u * i + t] += tile[256u * i + t + half];
            }
        }
    }
    workgroupBarrier();
    let row = 4u * c + slice;
    if (slice < 4u && row < p.ci && q < co4) {
        out[(tap * p.ci + row) * co4 + q] = tile[256u * slice + t - slice];
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x;
    let ci4 = (p.ci + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let ci16 = (p.ci + 15u) / 16u;
    let co16 = (p.co + 15u) / 16u;
    if (item >= p.kernel_h * p.kernel_w * ci16 * co16) { return; }
    let first_q = 4u * (item % co16);
    let first_c = 4u * (item / co16 % ci16);
    let tap = item / (co16 * ci16);
    let u = tap / p.kernel_w;
    let v = tap % p.kernel_w;
    // It fetches for one slice and sums another.
    let other = t / 4u;
    let lane = t % 4u;
    let c_fetched = min(first_c + lane, ci4 - 1u); // beyond the last one nothing is written
    let q_fetched = min(first_q + lane, co4 - 1u);
    let slice = t % 64u;
    let c = t / 128u * 2u; // of the tile's vec4s of input channels
    let q = t / 64u % 2u * 2u;

    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    let lines = p.n * p.out_h; // rows of y, counted through the batch
    for (var begin = 0u; begin < lines; begin += 64u) {
        let line = begin + other;
        // Left of and above x a place wraps around to a large number, which no bound admits.
        let row = (line % p.out_h) * p.stride + u - p.padding;
        let row_inside = line < lines && row < p.h;
        let x_line = (line / p.out_h * p.h + row) * p.w;
        let y_line = line * p.out_w;
        for (var j = 0u; j < p.out_w; j += 2u) {
            workgroupBarrier(); // the columns before have been used
            for (var i = 0u; i < 2u; i++) {
                let column = (j + i) * p.stride + v - p.padding;
                let inside = row_inside && j + i < p.out_w && column < p.w;
                let x_value = x[select(0u, (x_line + column) * ci4 + c_fetched, inside)];
                let y_value = dy[select(0u, (y_line + j + i) * co4 + q_fetched, inside)];
                tile[place(8u * i + lane, other)] = select(vec4<f32>(0.0), x_value, inside);
                tile[place(8u * i + 4u + lane, other)] = y_value;
            }
            workgroupBarrier();
            for (var i = 0u; i < 2u; i++) {
                let x0 = tile[place(8u * i + c, slice)];
                let x1 = tile[place(8u * i + c + 1u, slice)];
                let d0 = tile[place(8u * i + 4u + q, slice)];
                let d1 = tile[place(8u * i + 5u + q, slice)];
                s00 += outer(d0, x0);
                s01 += outer(d1, x0);
                s10 += outer(d0, x1);
                s11 += outer(d1, x1);
            }
        }
    }
    store(t, s00, tap, first_c + c, first_q + q, co4);
    store(t, s01, tap, first_c + c, first_q + q + 1u, co4);
    store(t, s10, tap, first_c + c + 1u, first_q + q, co4);
    store(t, s11, tap, first_c + c + 1u, first_q + q + 1u, co4);
}
