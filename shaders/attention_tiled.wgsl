// out_i = Σ_j softmax_j(q_i·k_j/√d)·v_j for each head; i and j are pixels of one image, head m has channels m·d ..
// (m + 1)·d, where d is a multiple of four.
// Dispatch: one workgroup of 64 per image, head and 256/width queries.
//
// attention.wgsl for GPUs with fast workgroup memory and enough work to fill them: keys and values are fetched once for
// all queries of a workgroup, and each exponential is computed once. An invocation has four queries in the lanes of its
// vec4s. First it multiplies them with every width-th key of a tile, then it sums up every width-th vec4 of the result.
// The softmax is computed on the way, with the largest logit so far kept apart.

struct Params {
    skipped: u32, // workgroups that earlier parts of the dispatch did
    n: u32,
    tokens: u32, // H·W
    heads: u32,
    head_dim: u32, // d
    heads_per_group: u32, // 1
    width: u32, // invocations that share four queries: 2, 4, 8 or 16
    scale: f32, // 1/√d
    keys_from: u32, // tokens before the first key, where queries, keys and values are one buffer
    values_from: u32, // likewise for values
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>; // [N, H, W, C]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>; // [N, H, W, C], from keys_from on
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>; // [N, H, W, C], from values_from on
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // [N, H, W, C]

var<workgroup> queries: array<vec4<f32>, 256>; // by vec4 of channels, place in the four, four
var<workgroup> tile: array<vec4<f32>, 512>; // keys by vec4 of channels, key; or values by key, vec4 of channels
var<workgroup> weights: array<vec4<f32>, 256>; // logits or their exponentials by key, four queries

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
    let fours = 64u / p.width;
    let count = 4u * fours; // queries of a workgroup
    let blocks = (p.tokens + count - 1u) / count;
    if (item >= p.n * p.heads * blocks) { return; }
    let first = count * (item % blocks);
    let d4 = p.head_dim / 4u;
    let c4 = p.heads * d4;
    let begin = item / blocks % p.heads * d4; // the head's first vec4
    let image = item / (blocks * p.heads) * p.tokens; // its first token
    let mine = t / p.width; // of the fours
    let lane = t % p.width;
    let width_bits = firstTrailingBit(p.width);
    let keys = 4u * p.width; // of a tile
    let columns = min(p.width, 8u); // vec4s of channels in the tile, of keys
    let column_bits = firstTrailingBit(columns);
    let rows = min(keys, 32u); // values in the tile

    for (var chunk = 0u; chunk < d4; chunk += keys) { // four times width vec4s of the result
        // Some browsers' compilers do not set what a loop declares to zero again.
        var sums: array<mat4x4<f32>, 4>; // a column for each query
        sums = array<mat4x4<f32>, 4>();
        var best = vec4<f32>(-1e30); // largest logits so far
        var norm = vec4<f32>(0.0); // of the keys this invocation sees to
        for (var first_key = 0u; first_key < p.tokens; first_key += keys) {
            var logits: array<vec4<f32>, 4>;
            logits = array<vec4<f32>, 4>();
            for (var a = 0u; a < d4; a += columns) {
                workgroupBarrier(); // tile, weights and queries have been used
                for (var s = t; s < keys << column_bits; s += 64u) {
                    let key = s >> column_bits;
                    let column = s & (columns - 1u);
                    let there = a + column < d4;
                    let token = image + min(first_key + key, p.tokens - 1u);
                    let value = k[(p.keys_from + token) * c4 + begin + select(0u, a + column, there)];
                    // Neighbouring columns are written together: they lie in other banks.
                    tile[column * keys + (key ^ column)] = select(vec4<f32>(0.0), value, there);
                }
                if (first_key == 0u || d4 > columns) { // else they are there
                    for (var s = t; s < count << column_bits; s += 64u) {
                        let query = s >> column_bits;
                        let column = s & (columns - 1u);
                        let token = image + min(first + query, p.tokens - 1u);
                        let value = q[token * c4 + begin + min(a + column, d4 - 1u)];
                        queries[(4u * column + query % 4u) * fours + query / 4u] = value;
                    }
                }
                workgroupBarrier();
                for (var column = 0u; column < columns; column++) {
                    let at = 4u * column * fours + mine;
                    let q0 = queries[at];
                    let q1 = queries[at + fours];
                    let q2 = queries[at + 2u * fours];
                    let four_q = transpose(mat4x4<f32>(q0, q1, q2, queries[at + 3u * fours]));
                    for (var i = 0u; i < 4u; i++) {
                        let key = tile[column * keys + ((lane + i * p.width) ^ column)];
                        logits[i] = multiply_add(four_q, key, logits[i]);
                    }
                }
            }

            for (var i = 0u; i < 4u; i++) {
                let key = lane + i * p.width;
                logits[i] = select(vec4<f32>(-1e30), logits[i] * p.scale, first_key + key < p.tokens);
                weights[key * fours + mine] = logits[i];
            }
            workgroupBarrier();
            let before = best;
            for (var s = 0u; s < keys; s++) {
                best = max(best, weights[s * fours + mine]);
            }
            let shrink = exp(before - best);
            norm *= shrink;
            workgroupBarrier(); // all have seen the logits
            for (var i = 0u; i < 4u; i++) {
                let weight = exp(logits[i] - best);
                weights[(lane + i * p.width) * fours + mine] = weight;
                norm += weight;
            }

            for (var i = 0u; i < 4u; i++) {
                let r = chunk + i * p.width; // the first vec4s of all lanes
                if (r < d4) {
                    let old = sums[i];
                    var sum = mat4x4<f32>(old[0] * shrink.x, old[1] * shrink.y, old[2] * shrink.z, old[3] * shrink.w);
                    for (var part = 0u; part < keys; part += rows) {
                        workgroupBarrier(); // the tile has been used
                        for (var s = t; s < rows << width_bits; s += 64u) {
                            let token = image + min(first_key + part + (s >> width_bits), p.tokens - 1u);
                            tile[s] = v[(p.values_from + token) * c4 + begin + min(r + (s & (p.width - 1u)), d4 - 1u)];
                        }
                        workgroupBarrier();
                        for (var s = 0u; s < rows; s++) {
                            let w = weights[(part + s) * fours + mine];
                            let value = tile[(s << width_bits) + lane];
                            sum += mat4x4<f32>(value * w.x, value * w.y, value * w.z, value * w.w);
                        }
                    }
                    sums[i] = sum;
                }
            }
        }

        workgroupBarrier(); // the weights have been used
        weights[lane * fours + mine] = norm;
        workgroupBarrier();
        var total = vec4<f32>(0.0);
        for (var s = 0u; s < p.width; s++) {
            total += weights[s * fours + mine];
        }
        for (var i = 0u; i < 4u; i++) {
            let r = chunk + i * p.width + lane;
            for (var l = 0u; l < 4u; l++) {
                let query = first + 4u * mine + l;
                if (r < d4 && query < p.tokens) {
                    out[(image + query) * c4 + begin + r] = sums[i][l] / total[l];
                }
            }
        }
    }
}
