// dk_j = Σ_i dS_ij·q_i/√d for each head,
// dS_ij = P_ij·(do_i·v_j − do_i·o_i), P_ij = exp(q_i·k_j/√d − lse_i).
// Dispatch: one workgroup of 64 per image, head (or all heads, see Params) and four keys.
//
// Each workgroup has two jobs for its four keys. First every invocation takes one of 64 queries and its dot
// products with the four, a lane each; then invocation t sums up for key t mod 4 and vec4 t/4 of 16 of the result.

struct Params {
    n: u32,
    tokens: u32, // H·W
    heads: u32,
    head_dim: u32, // d
    heads_per_group: u32, // heads a workgroup sees to: all of them where they share vec4s, else one
    scale: f32, // 1/√d
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(4) var<storage, read> lse: array<vec4<f32>>; // [N, H, W, heads]
@group(0) @binding(5) var<storage, read> o: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(6) var<storage, read> d_out: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

var<workgroup> weights: array<vec4<f32>, 64>;

// v without the lanes of vec4 q that are not channels begin .. end.
fn only(v: vec4<f32>, q: u32, begin: u32, end: u32) -> vec4<f32> {
    let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), v, (c >= vec4<u32>(begin)) & (c < vec4<u32>(end)));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x;
    let blocks = (p.tokens + 3u) / 4u;
    let parts = p.heads / p.heads_per_group;
    if (item >= p.n * parts * blocks) { return; }
    let first = 4u * (item % blocks);
    let part = item / blocks % parts;
    let n = item / (blocks * parts);
    let c4 = (p.heads * p.head_dim + 3u) / 4u;
    let image = n * p.tokens * c4;
    let own = image + min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.tokens - 1u)) * c4; // the four keys
    let mine = t % 4u;
    let h4 = (p.heads + 3u) / 4u;

    for (var head = part * p.heads_per_group; head < (part + 1u) * p.heads_per_group; head++) {
        let begin = head * p.head_dim; // the head's channels: begin .. end
        let end = begin + p.head_dim;
        let last = (end - 1u) / 4u;
        // 16 vec4s of the result at a time. Heads that share a vec4 find the same invocation in charge of it.
        for (var chunk = begin / 64u * 16u; 4u * chunk < end; chunk += 16u) {
            let r = chunk + t / 4u;
            var sum = vec4<f32>(0.0);
            for (var tile = 0u; tile < p.tokens; tile += 64u) {
                let token = min(tile + t, p.tokens - 1u);
                let row = image + token * c4;
                let lse_i = lse[(n * p.tokens + token) * h4 + head / 4u][head % 4u];
                var logit = vec4<f32>(0.0);
                var dp = vec4<f32>(0.0); // do_i·v_j
                var mean = 0.0; // do_i·o_i
                for (var a = begin / 4u; a <= last; a++) {
                    let qi = only(q[row + a], a, begin, end);
                    let di = only(d_out[row + a], a, begin, end);
                    logit += qi * mat4x4<f32>(k[own.x + a], k[own.y + a], k[own.z + a], k[own.w + a]);
                    dp += di * mat4x4<f32>(v[own.x + a], v[own.y + a], v[own.z + a], v[own.w + a]);
                    mean += dot(di, o[row + a]);
                }
                workgroupBarrier(); // the previous weights have been used
                weights[t] = exp(logit * p.scale - lse_i) * (dp - mean);
                workgroupBarrier();
                for (var s = 0u; s < min(64u, p.tokens - tile); s++) {
                    sum += weights[s][mine] * q[image + (tile + s) * c4 + min(r, last)];
                }
            }
            if (first + mine < p.tokens && r >= begin / 4u && r <= last) {
                // Lanes of earlier heads stay, later heads overwrite theirs, and beyond the last head q is zero.
                let at = own[mine] + r;
                let earlier = 4u * r + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(begin);
                out[at] = select(sum * p.scale, out[at], earlier);
            }
        }
    }
}
