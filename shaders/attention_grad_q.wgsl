// dq_i = Σ_j dS_ij·k_j/√d for each head,
// dS_ij = P_ij·(do_i·v_j − do_i·o_i), P_ij = exp(q_i·k_j/√d − lse_i).
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
    let own = image + min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.tokens - 1u)) * c4; // the four queries
    let mine = t % 4u;
    let h4 = (p.heads + 3u) / 4u;

    for (var head = part * p.heads_per_group; head < (part + 1u) * p.heads_per_group; head++) {
        let begin = head * p.head_dim; // the head's channels: begin .. end
        let end = begin + p.head_dim;
        let last = (end - 1u) / 4u;
        var mean = vec4<f32>(0.0); // do_i·o_i
        for (var a = begin / 4u; a <= last; a++) {
            let d0 = only(d_out[own.x + a], a, begin, end);
            let d1 = only(d_out[own.y + a], a, begin, end);
            let d2 = only(d_out[own.z + a], a, begin, end);
            let d3 = only(d_out[own.w + a], a, begin, end);
            mean += vec4<f32>(dot(d0, o[own.x + a]), dot(d1, o[own.y + a]), 0.0, 0.0);
            mean += vec4<f32>(0.0, 0.0, dot(d2, o[own.z + a]), dot(d3, o[own.w + a]));
        }
        let row_lse = (own / c4) * h4 + head / 4u;
        let lane = head % 4u;
        let lse_i = vec4<f32>(lse[row_lse.x][lane], lse[row_lse.y][lane], lse[row_lse.z][lane], lse[row_lse.w][lane]);
        // 16 vec4s of the result at a time. Heads that share a vec4 find the same invocation in charge of it.
        for (var chunk = begin / 64u * 16u; 4u * chunk < end; chunk += 16u) {
            let r = chunk + t / 4u;
            var sum = vec4<f32>(0.0);
            for (var tile = 0u; tile < p.tokens; tile += 64u) {
                let token = min(tile + t, p.tokens - 1u);
                let row = image + token * c4;
                var logit = vec4<f32>(0.0);
                var dp = vec4<f32>(0.0); // do_i·v_j
                for (var a = begin / 4u; a <= last; a++) {
                    let kj = only(k[row + a], a, begin, end);
                    let vj = only(v[row + a], a, begin, end);
                    logit += kj * mat4x4<f32>(q[own.x + a], q[own.y + a], q[own.z + a], q[own.w + a]);
                    dp += vj * mat4x4<f32>(d_out[own.x + a], d_out[own.y + a], d_out[own.z + a], d_out[own.w + a]);
                }
                workgroupBarrier(); // the previous weights have been used
                weights[t] = exp(logit * p.scale - lse_i) * (dp - mean);
                workgroupBarrier();
                for (var s = 0u; s < min(64u, p.tokens - tile); s++) {
                    sum += weights[s][mine] * k[image + (tile + s) * c4 + min(r, last)];
                }
            }
            if (first + mine < p.tokens && r >= begin / 4u && r <= last) {
                // Lanes of earlier heads stay, later heads overwrite theirs, and beyond the last head k is zero.
                let at = own[mine] + r;
                let earlier = 4u * r + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(begin);
                out[at] = select(sum * p.scale, out[at], earlier);
            }
        }
    }
}
