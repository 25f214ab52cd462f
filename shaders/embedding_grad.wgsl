// out[r] = Σ over the images with label r of dy.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    rows: u32,
    c4: u32, // vec4s per row
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> labels: array<vec4<f32>>; // [N, 1, 1, 1], whole numbers
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [N, 1, 1, C]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [1, 1, rows, C]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.rows * p.c4) { return; }
    let row = i / p.c4;
    let q = i % p.c4;
    var sum = vec4<f32>(0.0);
    for (var n = 0u; n < p.n; n++) {
        let label = u32(clamp(labels[n].x, 0.0, f32(p.rows - 1u)));
        if (label == row) {
            sum += dy[n * p.c4 + q];
        }
    }
    out[i] = sum;
}
