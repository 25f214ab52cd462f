// dx[n, r, l, c] = Σ_{u, v, o} dy[n, i, j, o] · w[u, v, c, o] over the taps with i·s + u − p = r, j·s + v − p = l.
// Dispatch: one invocation per four neighbouring pixels and two vec4s of input channels, 64 in a workgroup.
//
// The matrix product of conv2d.wgsl with w transposed: a vec4 of dy times a 4×4 block of w from the left.

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

// sum + block·v, all of it multiply-adds.
fn multiply_add(block: mat4x4<f32>, v: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let two = fma(block[1], v.yyyy, fma(block[0], v.xxxx, sum));
    return fma(block[3], v.wwww, fma(block[2], v.zzzz, two));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let item = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let ci4 = (p.ci + 3u) / 4u;
    let co4 = (p.co + 3u) / 4u;
    let ci8 = (p.ci + 7u) / 8u;
    let pixels = p.n * p.h * p.w;
    if (item >= ((pixels + 3u) / 4u) * ci8) { return; }
    let qa = (item % ci8) * 2u;
    let first = (item / ci8) * 4u;

    let pixel = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(pixels - 1u));
    let line = pixel / p.w; // rows, counted through the whole batch
    let n = line / p.h;
    let row = line % p.h + p.padding;
    let column = pixel % p.w + p.padding;
    // Rows of w, the input channels; beyond the last one the result is thrown away.
    let channels_a = 4u * qa + vec4<u32>(0u, 1u, 2u, 3u);
    let channels_b = channels_a + 4u;
    let rows_a = min(channels_a, vec4<u32>(p.ci - 1u));
    let rows_b = min(channels_b, vec4<u32>(p.ci - 1u));

    var a0 = vec4<f32>(0.0);
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var b0 = a0;
    var b1 = a0;
    var b2 = a0;
    var b3 = a0;
    var tap = 0u; // first row of the tap in w
    for (var u = 0u; u < p.kernel_h; u++) {
        for (var v = 0u; v < p.kernel_w; v++) {
            // Below zero the difference wraps around to a large number, which no bound admits.
            let i = (row - u) / p.stride;
            let j = (column - v) / p.stride;
            let meets = (i * p.stride == row - u) & (j * p.stride == column - v);
            let inside = meets & (i < vec4<u32>(p.out_h)) & (j < vec4<u32>(p.out_w));
            let at = select(vec4<u32>(0u), ((n * p.out_h + i) * p.out_w + j) * co4, inside);
            let at_border = !all(inside); // or between the pixels that a stride leaves
            let ra = (tap + rows_a) * co4;
            let rb = (tap + rows_b) * co4;
            for (var o = 0u; o < co4; o++) {
                let wa = transpose(mat4x4<f32>(weight[ra.x + o], weight[ra.y + o], weight[ra.z + o], weight[ra.w + o]));
                let wb = transpose(mat4x4<f32>(weight[rb.x + o], weight[rb.y + o], weight[rb.z + o], weight[rb.w + o]));
                var d0 = dy[at.x + o];
                var d1 = dy[at.y + o];
                var d2 = dy[at.z + o];
                var d3 = dy[at.w + o];
                if (at_border) {
                    d0 = select(vec4<f32>(0.0), d0, inside.x);
                    d1 = select(vec4<f32>(0.0), d1, inside.y);
                    d2 = select(vec4<f32>(0.0), d2, inside.z);
                    d3 = select(vec4<f32>(0.0), d3, inside.w);
                }
                a0 = multiply_add(wa, d0, a0);
                a1 = multiply_add(wa, d1, a1);
                a2 = multiply_add(wa, d2, a2);
                a3 = multiply_add(wa, d3, a3);
                b0 = multiply_add(wb, d0, b0);
                b1 = multiply_add(wb, d1, b1);
                b2 = multiply_add(wb, d2, b2);
                b3 = multiply_add(wb, d3, b3);
            }
            tap += p.ci;
        }
    }

    let keep_a = channels_a < vec4<u32>(p.ci);
    let keep_b = channels_b < vec4<u32>(p.ci);
    let zero = vec4<f32>(0.0);
    let to = first * ci4 + qa;
    let two = qa + 1u < ci4; // whether there is a second vec4 of input channels
    out[to] = select(zero, a0, keep_a);
    if (two) { out[to + 1u] = select(zero, b0, keep_b); }
    if (first + 1u < pixels) {
        out[to + ci4] = select(zero, a1, keep_a);
        if (two) { out[to + ci4 + 1u] = select(zero, b1, keep_b); }
    }
    if (first + 2u < pixels) {
        out[to + 2u * ci4] = select(zero, a2, keep_a);
        if (two) { out[to + 2u * ci4 + 1u] = select(zero, b2, keep_b); }
    }
    if (first + 3u < pixels) {
        out[to + 3u * ci4] = select(zero, a3, keep_a);
        if (two) { out[to + 3u * ci4 + 1u] = select(zero, b3, keep_b); }
    }
}
