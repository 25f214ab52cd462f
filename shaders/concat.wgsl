// out[…, c] = a[…, c] for c < Ca, b[…, c − Ca] beyond: two images side by side along the channels.
// Dispatch: one invocation per vec4 of out, 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    pixels: u32, // N·H·W
    ca: u32,
    cb: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [N, H, W, Ca]
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [N, H, W, Cb]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, Ca + Cb]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    if (i >= p.pixels * ((p.ca + p.cb + 3u) / 4u)) { return; }
    let c4 = (p.ca + p.cb + 3u) / 4u;
    let a4 = (p.ca + 3u) / 4u;
    let b4 = (p.cb + 3u) / 4u;
    let pixel = i / c4;
    let q = i % c4;
    if (4u * q + 4u <= p.ca) {
        out[i] = a[pixel * a4 + q];
    } else if (p.ca % 4u == 0u) {
        out[i] = b[pixel * b4 + q - a4];
    } else {
        // Lanes from both, or from two neighbours of b.
        var value = vec4<f32>(0.0);
        for (var lane = 0u; lane < 4u; lane++) {
            let c = 4u * q + lane;
            if (c < p.ca) {
                value[lane] = a[pixel * a4 + c / 4u][c % 4u];
            } else if (c < p.ca + p.cb) {
                value[lane] = b[pixel * b4 + (c - p.ca) / 4u][(c - p.ca) % 4u];
            }
        }
        out[i] = value;
    }
}
