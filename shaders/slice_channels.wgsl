// out[…, c] = x[…, start + c] for c < count.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    pixels: u32, // N·H·W
    c: u32, // channels of x
    start: u32,
    count: u32, // channels of out
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, count]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.pixels * ((p.count + 3u) / 4u)) { return; }
    let out4 = (p.count + 3u) / 4u;
    let c4 = (p.c + 3u) / 4u;
    let pixel = i / out4;
    let first = 4u * (i % out4); // channel of the first lane
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < 4u; lane++) {
        let c = p.start + first + lane;
        if (first + lane < p.count) {
            value[lane] = x[pixel * c4 + c / 4u][c % 4u];
        }
    }
    out[i] = value;
}
