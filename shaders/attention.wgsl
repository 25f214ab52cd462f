// out_i = Σ_j softmax_j(q_i·k_j/√d)·v_j for each head; i and j are pixels of one image, head m has channels m·d ..
// (m + 1)·d. The softmax is computed on the way, with the largest logit so far kept apart.
// Dispatch: one workgroup of 64 per image, head (or all heads, see Params) and 64/width queries.
//
// Each workgroup has two jobs. First every invocation takes one of 64 keys and its products with all queries, four at
// a time in the lanes of a vec4; then invocation t sums up for query t/width and vec4 t mod width of the result.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    tokens: u32, // H·W
    heads: u32,
    head_dim: u32, // d
    heads_per_group: u32, // heads a workgroup sees to: all of them where they share vec4s, else one
    width: u32, // vec4s of a token's result a workgroup works on at a time: 2, 4, 8 or 16
    scale: f32, // 1/√d
    keys_from: u32, // tokens before the first key, where queries, keys and values are one buffer
    values_from: u32, // likewise for values
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>; // [N, H, W, C], from keys_from on
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>; // [N, H, W, C], from values_from on
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

var<workgroup> logits: array<vec4<f32>, 512>; // 64 keys for each four queries

// v without the lanes of vec4 q that are not channels begin .. end.
fn only(v: vec4<f32>, q: u32, begin: u32, end: u32) -> vec4<f32> {
    let c = 4u * q + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), v, (c >= vec4<u32>(begin)) & (c < vec4<u32>(end)));
}

// sum + block·v, all of it multiply-adds.
fn multiply_add(block: mat4x4<f32>, v: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let two = fma(block[1], v.yyyy, fma(block[0], v.xxxx, sum));
    return fma(block[3], v.wwww, fma(block[2], v.zzzz, two));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let item = group.x + group.y * groups.x + p.skipped;
    let count = 64u / p.width; // queries of a workgroup
    let blocks = (p.tokens + count - 1u) / count;
    let parts = p.heads / p.heads_per_group;
    if (item >= p.n * parts * blocks) { return; }
    let first = count * (item % blocks);
    let part = item / blocks % parts;
    let n = item / (blocks * parts);
    let c4 = (p.heads * p.head_dim + 3u) / 4u;
    let image = n * p.tokens; // its first token
    let mine = t / p.width; // query of the second job

    for (var head = part * p.heads_per_group; head < (part + 1u) * p.heads_per_group; head++) {
        let begin = head * p.head_dim; // the head's channels: begin .. end
        let end = begin + p.head_dim;
        let last = (end - 1u) / 4u;
        // Heads that share a vec4 find the same invocation in charge of it.
        for (var chunk = begin / 4u / p.width * p.width; chunk <= last; chunk += p.width) {
            let r = chunk + t % p.width;
            let in_charge = r >= begin / 4u && r <= last && first + mine < p.tokens;
            var sum = vec4<f32>(0.0);
            var best = -1e30; // largest logit so far
            var norm = 0.0;
            for (var tile = 0u; tile < p.tokens; tile += 64u) {
                let token = image + min(tile + t, p.tokens - 1u);
                let row = (p.keys_from + token) * c4;
                workgroupBarrier(); // the previous logits have been used
                for (var four = 0u; four < count; four += 4u) {
                    let own = image + min(first + four + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.tokens - 1u));
                    let at = own * c4;
                    var logit = vec4<f32>(0.0);
                    for (var a = begin / 4u; a <= last; a++) {
                        let four_q = transpose(mat4x4<f32>(q[at.x + a], q[at.y + a], q[at.z + a], q[at.w + a]));
                        logit = multiply_add(four_q, only(k[row + a], a, begin, end), logit);
                    }
                    logits[16u * four + t] = logit * p.scale;
                }
                workgroupBarrier();
                if (in_charge) {
                    let place = mine / 4u * 64u;
                    let lane = mine % 4u;
                    let others = min(64u, p.tokens - tile);
                    let before = best;
                    for (var i = 0u; i < others; i++) {
                        best = max(best, logits[place + i][lane]);
                    }
                    sum *= exp(before - best);
                    norm *= exp(before - best);
                    for (var s = 0u; s < others; s++) {
                        let weight = exp(logits[place + s][lane] - best);
                        norm += weight;
                        sum += weight * v[(p.values_from + image + tile + s) * c4 + r];
                    }
                }
            }
            if (in_charge) {
                // Lanes of earlier heads stay, later heads overwrite theirs, and beyond the last head v is zero.
                let to = (image + first + mine) * c4 + r;
                let earlier = 4u * r + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(begin);
                out[to] = select(sum / norm, out[to], earlier);
            }
        }
    }
}
