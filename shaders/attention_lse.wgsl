// out_i = log Σ_j exp(q_i·k_j/√d) for each head: what the gradients need to recompute the softmax.
// Dispatch: one invocation per pixel and four heads (a vec4 of out), 64 in a workgroup. It keeps the largest logit so
// far and, relative to it, the sum.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    tokens: u32, // H·W
    heads: u32,
    head_dim: u32, // d
    heads_per_group: u32, // heads a workgroup sees to: all of them where they share vec4s, else one
    width: u32, // vec4s of a token's result a workgroup works on at a time: 2, 4, 8 or 16
    scale: f32, // 1/√d
    keys_from: u32, // used by the forward pass
    values_from: u32, // used by the forward pass
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, heads]

// v without the lanes of vec4 q that are not channels begin .. end.
fn only(v: vec4<f32>, q: u32, begin: u32, end: u32) -> vec4<f32> {
    let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), v, (c >= vec4<u32>(begin)) & (c < vec4<u32>(end)));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let h4 = (p.heads + 3u) / 4u;
    if (i >= p.n * p.tokens * h4) { return; }
    let query = i / h4;
    let image = query / p.tokens * p.tokens; // its first token
    let c4 = (p.heads * p.head_dim + 3u) / 4u;

    var result = vec4<f32>(0.0);
    for (var lane = 0u; lane < 4u; lane++) {
        let head = i % h4 * 4u + lane;
        if (head < p.heads) {
            let begin = head * p.head_dim; // the head's channels: begin .. end
            let end = begin + p.head_dim;
            var best = -1e30;
            var sum = 0.0;
            for (var j = 0u; j < p.tokens; j++) {
                var logit = 0.0;
                for (var a = begin / 4u; 4u * a < end; a++) {
                    logit += dot(q[query * c4 + a], only(k[(image + j) * c4 + a], a, begin, end));
                }
                logit *= p.scale;
                let before = best;
                best = max(best, logit);
                sum = sum * exp(before - best) + exp(logit - best);
            }
            result[lane] = best + log(sum);
        }
    }
    out[i] = result;
}
