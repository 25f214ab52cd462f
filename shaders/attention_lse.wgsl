// out_i = log Σ_j exp(q_i·k_j/√d) for each head: what the gradients need to recompute the softmax.
// Dispatch: one workgroup of 64 per image, four heads (a vec4 of out) and four queries. Each invocation takes every
// 64th key and keeps its largest logit and, relative to it, its sum; then these are joined pairwise in a fixed order.

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
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, heads]

var<workgroup> bests: array<vec4<f32>, 64>;
var<workgroup> sums: array<vec4<f32>, 64>;

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
    let h4 = (p.heads + 3u) / 4u;
    if (item >= p.n * h4 * blocks) { return; }
    let first = 4u * (item % blocks);
    let four_heads = item / blocks % h4;
    let n = item / (blocks * h4);
    let c4 = (p.heads * p.head_dim + 3u) / 4u;
    let image = n * p.tokens * c4;
    let own = image + min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.tokens - 1u)) * c4; // the four queries

    var result = vec4<f32>(0.0); // of query t mod 4, a lane per head
    for (var lane = 0u; lane < min(4u, p.heads - 4u * four_heads); lane++) {
        let begin = (4u * four_heads + lane) * p.head_dim; // the head's channels: begin .. end
        let end = begin + p.head_dim;
        var best = vec4<f32>(-1e30);
        var sum = vec4<f32>(0.0);
        for (var j = t; j < p.tokens; j += 64u) {
            let key = image + j * c4;
            var logit = vec4<f32>(0.0);
            for (var a = begin / 4u; 4u * a < end; a++) {
                let kj = only(k[key + a], a, begin, end);
                logit += kj * mat4x4<f32>(q[own.x + a], q[own.y + a], q[own.z + a], q[own.w + a]);
            }
            logit *= p.scale;
            let before = best;
            best = max(best, logit);
            sum = sum * exp(before - best) + exp(logit - best);
        }
        workgroupBarrier(); // the result of the previous head has been read
        bests[t] = best;
        sums[t] = sum;
        for (var half = 32u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (t < half) {
                best = max(bests[t], bests[t + half]);
                sums[t] = sums[t] * exp(bests[t] - best) + sums[t + half] * exp(bests[t + half] - best);
                bests[t] = best;
            }
        }
        workgroupBarrier();
        result[lane] = bests[0][t % 4u] + log(sums[0][t % 4u]);
    }
    if (t < 4u && first + t < p.tokens) {
        out[(n * p.tokens + first + t) * h4 + four_heads] = result;
    }
}
