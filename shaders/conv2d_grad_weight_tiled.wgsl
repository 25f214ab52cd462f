// dw[u, v, c, o] = Σ_{n, i, j} x[n, i·s + u − p, j·s + v − p, c] · dy[n, i, j, o], zero outside x.
// Dispatch: one workgroup of 256 per tap, four vec4s of input and four of output channels.
//
// conv2d_grad_weight.wgsl for GPUs with fast workgroup memory and enough work to fill them. The rows of the outputs
// are dealt to 64 slices as there, but four invocations share a slice, each with two of its vec4s of either kind. All
// slices go through their rows together, two columns at a time, which neighbours fetch from neighbouring places.

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

// 64 slices of 16: for each of two columns four vec4s of x and four of dy. In the end the four columns of 256 sums.
var<workgroup> tile: array<vec4<f32>, 1024>;

// Where vec4 k of a slice is. Neighbouring slices are read together, and neighbouring k are written together: neither
// lie in the same bank.
fn place(k: u32, slice: u32) -> u32 {
    return 64u * k + (slice ^ ((k & 3u) << 1u));
}

// The row of x that a row of y meets. Above x it wraps around to a large number, which no bound admits.
fn row_of(line: u32, u: u32) -> u32 {
    return (line % p.out_h) * p.stride + u - p.padding;
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
    let item = group.x + group.y * groups.x + p.skipped;
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
    // Places of the first column's vec4s in the tile; those of the second follow 512 later.
    let to = place(lane, other);
    let from_x0 = place(c, slice);
    let from_x1 = place(c + 1u, slice);
    let from_d0 = place(4u + q, slice);
    let from_d1 = place(5u + q, slice);

    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    let lines = p.n * p.out_h; // rows of y, counted through the batch
    // Columns of y that meet one of x: first .. end.
    let first = (max(p.padding, v) - v + p.stride - 1u) / p.stride;
    let end = min((max(p.w + p.padding, v) - v + p.stride - 1u) / p.stride, p.out_w);
    for (var begin = 0u; begin < lines; begin += 64u) {
        let line = begin + other;
        let row = row_of(line, u);
        let inside = line < lines && row < p.h; // else any row will do
        let x_row = select(0u, (line / p.out_h * p.h + row) * p.w * ci4, inside) + c_fetched;
        let y_row = select(0u, line * p.out_w * co4, inside) + q_fetched;
        let used = begin + slice < lines && row_of(begin + slice, u) < p.h;
        for (var j = first; j < end; j += 2u) {
            workgroupBarrier(); // the columns before have been used
            for (var i = 0u; i < 2u; i++) {
                let column = min(j + i, end - 1u);
                tile[512u * i + to] = x[x_row + (column * p.stride + v - p.padding) * ci4];
                tile[512u * i + 256u + to] = dy[y_row + column * co4];
            }
            workgroupBarrier();
            for (var i = 0u; i < 2u; i++) {
                if (used && j + i < end) {
                    let x0 = tile[512u * i + from_x0];
                    let x1 = tile[512u * i + from_x1];
                    let d0 = tile[512u * i + from_d0];
                    let d1 = tile[512u * i + from_d1];
                    s00 += outer(d0, x0);
                    s01 += outer(d1, x0);
                    s10 += outer(d0, x1);
                    s11 += outer(d1, x1);
                }
            }
        }
    }
    store(t, s00, tap, first_c + c, first_q + q, co4);
    store(t, s01, tap, first_c + c, first_q + q + 1u, co4);
    store(t, s10, tap, first_c + c + 1u, first_q + q, co4);
    store(t, s11, tap, first_c + c + 1u, first_q + q + 1u, co4);
}
