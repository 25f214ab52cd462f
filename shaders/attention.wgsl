// out_i = Σ_j softmax_j(q_i·k_j/√d)·v_j for each head; i and j are pixels of one image, head m has channels m·d ..
// (m + 1)·d. The softmax is computed on the way, with the largest logit so far kept apart.
// Dispatch: one workgroup of 64 per image, head (or all heads, see Params) and four queries.
//
// Each workgroup has two jobs for its four queries. First every invocation takes one of 64 keys and its dot
// products with the four, a lane each; then invocation t sums up for query t mod 4 and vec4 t/4 of 16 of the result.

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
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

var<workgroup> logits: array<vec4<f32>, 64>;
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
    let own = image + min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.tokens - 1u)) * c4; // the four queries
    let mine = t % 4u;

    for (var head = part * p.heads_per_group; head < (part + 1u) * p.heads_per_group; head++) {
        let begin = head * p.head_dim; // the head's channels: begin .. end
        let end = begin + p.head_dim;
        let last = (end - 1u) / 4u;
        // 16 vec4s of the result at a time. Heads that share a vec4 find the same invocation in charge of it.
        for (var chunk = begin / 64u * 16u; 4u * chunk < end; chunk += 16u) {
            let r = chunk + t / 4u;
            var sum = vec4<f32>(0.0);
            var best = vec4<f32>(-1e30); // largest logit so far
            var norm = 0.0;
            for (var tile = 0u; tile < p.tokens; tile += 64u) {
                let key = image + min(tile + t, p.tokens - 1u) * c4;
                var logit = vec4<f32>(0.0);
                for (var a = begin / 4u; a <= last; a++) {
                    let kj = only(k[key + a], a, begin, end);
                    logit += kj * mat4x4<f32>(q[own.x + a], q[own.y + a], q[own.z + a], q[own.w + a]);
                }
                logit *= p.scale;
                logits[t] = logit;
                workgroupBarrier();
                // Past the end the last key is repeated, which leaves the maximum alone.
                let before = best;
                for (var s = 0u; s < 64u; s++) {
                    best = max(best, logits[s]);
                }
                weights[t] = exp(logit - best);
                let shrink = exp(before - best)[mine];
                workgroupBarrier();
                sum *= shrink;
                norm *= shrink;
                for (var s = 0u; s < min(64u, p.tokens - tile); s++) {
                    norm += weights[s][mine];
                    sum += weights[s][mine] * v[image + (tile + s) * c4 + min(r, last)];
                }
            }
            if (first + mine < p.tokens && r >= begin / 4u && r <= last) {
                // Lanes of earlier heads stay, later heads overwrite theirs, and beyond the last head v is zero.
                let at = own[mine] + r;
                let earlier = 4u * r + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(begin);
                out[at] = select(sum / norm, out[at], earlier);
            }
        }
    }
}
