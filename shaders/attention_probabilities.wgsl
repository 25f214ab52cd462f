// out_ij = exp(q_i·k_j/√d − lse_i) for each head: by how much pixel i attends to pixel j of its image.
// Dispatch: one invocation per image, head, query and four keys (a vec4 of out), 64 in a workgroup.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    tokens: u32, // H·W
    heads: u32,
    head_dim: u32, // d
    scale: f32, // 1/√d
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(3) var<storage, read> lse: array<vec4<f32>>; // [N, H, W, heads]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N·heads, H, W, H·W]

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
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = gid.x + (gid.y * groups.x + p.skipped) * 64u;
    let t4 = (p.tokens + 3u) / 4u; // vec4s of a row of out
    if (i >= p.n * p.heads * p.tokens * t4) { return; }
    let row = i / t4;
    let head = row / p.tokens % p.heads;
    let image = row / (p.tokens * p.heads) * p.tokens; // its first token
    let query = image + row % p.tokens;
    let c4 = (p.heads * p.head_dim + 3u) / 4u;
    let h4 = (p.heads + 3u) / 4u;
    let begin = head * p.head_dim; // the head's channels: begin .. end
    let end = begin + p.head_dim;

    let keys = 4u * (i % t4) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = (image + min(keys, vec4<u32>(p.tokens - 1u))) * c4;
    var logit = vec4<f32>(0.0);
    for (var a = begin / 4u; 4u * a < end; a++) {
        let four_k = transpose(mat4x4<f32>(k[at.x + a], k[at.y + a], k[at.z + a], k[at.w + a]));
        logit = multiply_add(four_k, only(q[query * c4 + a], a, begin, end), logit);
    }
    let probability = exp(logit * p.scale - lse[query * h4 + head / 4u][head % 4u]);
    out[i] = select(vec4<f32>(0.0), probability, keys < vec4<u32>(p.tokens));
}
