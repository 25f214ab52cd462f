//! Attention, a head and a block of queries at a time: logits lie transposed, key by query, so that softmax runs along
//! vectors of queries and each product is one of the register tiles.

use super::parallel::{for_each_chunk, with_scratch};
use super::simd::{exp, for_each_isa};
use super::tile::{Layout, Tiles};
use crate::graph::Fast;
use crate::tensor::Shape;
use std::ops::Range;

/// Most queries of a block: their logits for all keys stay in the caches.
const BLOCK: usize = 128;
/// Most queries of a block where a batch is too small to keep many cores busy.
const SMALL_BLOCK: usize = 32;

/// Extents of an attention.
#[derive(Clone, Copy)]
pub struct Heads {
    tiles: Tiles,
    images: usize,
    tokens: usize,
    heads: usize,
    /// Channels of one head.
    d: usize,
}

impl Heads {
    pub fn new(q: Shape, heads: usize) -> Self {
        Self { tiles: Tiles::detect(), images: q.n(), tokens: q.pixels(), heads, d: q.c() / heads }
    }

    fn image_len(&self) -> usize {
        self.tokens * self.heads * self.d
    }

    fn image<'a>(&self, values: &'a [f32], n: usize) -> &'a [f32] {
        &values[n * self.image_len()..][..self.image_len()]
    }

    /// The channels of one head of one token.
    fn at(&self, token: usize, head: usize) -> Range<usize> {
        let from = (token * self.heads + head) * self.d;
        from..from + self.d
    }

    /// Up to whole vectors.
    fn round(&self, count: usize) -> usize {
        count.next_multiple_of(self.tiles.lanes)
    }

    /// Queries to a block: as even as they come.
    fn block(&self, most: usize) -> usize {
        self.tokens.div_ceil(self.tokens.div_ceil(most))
    }

    /// Some tokens of one head of x, scaled, transposed to `[d][width]` and filled up with zeros.
    fn transpose(&self, x: &[f32], head: usize, tokens: Range<usize>, factor: f32, width: usize, out: &mut [f32]) {
        out[..self.d * width].fill(0.0);
        for (i, token) in tokens.enumerate() {
            for (c, &value) in x[self.at(token, head)].iter().enumerate() {
                out[c * width + i] = value * factor;
            }
        }
    }

    /// Some tokens of one head of x, scaled, as rows of whole vectors filled up with zeros.
    fn widen(&self, x: &[f32], head: usize, tokens: Range<usize>, factor: f32, out: &mut [f32]) {
        for (token, row) in tokens.zip(out.chunks_exact_mut(self.round(self.d))) {
            row[self.d..].fill(0.0);
            for (r, &x) in row.iter_mut().zip(&x[self.at(token, head)]) {
                *r = x * factor;
            }
        }
    }

    /// out[j][i] = Σ_c x_j[c]·b[c][i] over the channels of one head of some tokens: `[keys][width]`.
    fn products(&self, x: &[f32], head: usize, keys: Range<usize>, b: &[f32], width: usize, out: &mut [f32]) {
        let c = self.heads * self.d;
        let (x, zeros) = (&x[keys.start * c + head * self.d..], [0.0f32; BLOCK + 16]);
        assert!(x.len() >= (keys.len() - 1) * c + self.d && b.len() >= self.d * width);
        assert!(width <= zeros.len() && out.len() >= keys.len() * width);
        let layout = Layout { a_row: c, a_k: 1, b_k: width, k: self.d, init_row: 0, c_row: width };
        self.tiles.cover(keys.len(), width, |kernel, j, _rows, i, _width| {
            let (a, b, to) = (&x[j * c..], &b[i..], &mut out[j * width + i..]);
            // SAFETY: the lengths are as asserted, and the cover stays within them.
            unsafe { kernel(layout, a.as_ptr(), b.as_ptr(), &[(0, 0)], zeros[i..].as_ptr(), to.as_mut_ptr()) };
        });
    }

    /// out[c][i] += Σ_j x_j[c]·p[j][i] over some tokens, for the channels of one head: `[d][width]`.
    fn sums(&self, x: &[f32], head: usize, keys: Range<usize>, p: &[f32], width: usize, out: &mut [f32]) {
        let c = self.heads * self.d;
        let x = &x[keys.start * c + head * self.d..];
        assert!(x.len() >= (keys.len() - 1) * c + self.d && p.len() >= keys.len() * width);
        assert!(out.len() >= self.d * width);
        let layout = Layout { a_row: 1, a_k: c, b_k: width, k: keys.len(), init_row: width, c_row: width };
        self.tiles.cover(self.d, width, |kernel, r, _rows, i, _width| {
            let (a, b, to) = (&x[r..], &p[i..], out[r * width + i..].as_mut_ptr());
            // SAFETY: as above; a tile reads its start values before it stores.
            unsafe { kernel(layout, a.as_ptr(), b.as_ptr(), &[(0, 0)], to, to) };
        });
    }

    /// out[j] += Σ_i p[j][i]·b[i] over `count` queries: `[tokens][d, in whole vectors]`.
    fn spread(&self, p: &[f32], width: usize, count: usize, b: &[f32], out: &mut [f32]) {
        let d = self.round(self.d);
        assert!(count <= width && p.len() >= self.tokens * width);
        assert!(b.len() >= count * d && out.len() >= self.tokens * d);
        let layout = Layout { a_row: width, a_k: 1, b_k: d, k: count, init_row: d, c_row: d };
        self.tiles.cover(self.tokens, d, |kernel, j, _rows, c, _width| {
            let (a, b, to) = (&p[j * width..], &b[c..], out[j * d + c..].as_mut_ptr());
            // SAFETY: as above.
            unsafe { kernel(layout, a.as_ptr(), b.as_ptr(), &[(0, 0)], to, to) };
        });
    }

    /// Writes `[d][width]` back to the channels of one head of `count` tokens of `out`, multiplied by factor(token).
    fn store(
        &self,
        from: &[f32],
        head: usize,
        count: usize,
        width: usize,
        factor: impl Fn(usize) -> f32,
        out: &mut [f32],
    ) {
        for i in 0..count {
            let factor = factor(i);
            for (c, o) in out[self.at(i, head)].iter_mut().enumerate() {
                *o = from[c * width + i] * factor;
            }
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.d as f32).sqrt()
    }

    /// Calls `f(image, queries, their part of out)` for blocks of queries; a query has `len` values in out.
    fn for_each_block(&self, out: &mut [f32], len: usize, f: impl Fn(usize, Range<usize>, &mut [f32]) + Send + Sync) {
        let tokens = self.tokens;
        let blocks = |n: usize, block: usize, i: usize, out: &mut [f32]| {
            f(n, i * block..tokens.min((i + 1) * block), out);
        };
        if self.images >= 8 {
            let block = self.block(BLOCK);
            for_each_chunk(out, tokens * len, |n, out| {
                out.chunks_mut(block * len).enumerate().for_each(|(i, out)| blocks(n, block, i, out));
            });
        } else {
            let block = self.block(SMALL_BLOCK);
            for (n, out) in out.chunks_exact_mut(tokens * len).enumerate() {
                for_each_chunk(out, block * len, |i, out| blocks(n, block, i, out));
            }
        }
    }
}

for_each_isa! {
    /// Turns columns of logits into exp(logit − max), and brings max and the sum of each, and what was summed with the
    /// former max, up to date (Milakov & Gimelshein 2018).
    fn softmax(s: &mut [f32], max: &mut [f32], sum: &mut [f32], sums: &mut [f32], factor: &mut [f32]) {
        let width = max.len();
        factor.copy_from_slice(max);
        for row in s.chunks_exact(width) {
            for (m, &x) in max.iter_mut().zip(row) {
                *m = if x > *m { x } else { *m };
            }
        }
        for ((f, &m), sum) in factor.iter_mut().zip(max.iter()).zip(sum.iter_mut()) {
            *f = exp::<FMA>(*f - m);
            *sum *= *f;
        }
        for row in sums.chunks_exact_mut(width) {
            for (x, &f) in row.iter_mut().zip(factor.iter()) {
                *x *= f;
            }
        }
        for row in s.chunks_exact_mut(width) {
            for ((x, &m), sum) in row.iter_mut().zip(max.iter()).zip(sum.iter_mut()) {
                *x = exp::<FMA>(*x - m);
                *sum += *x;
            }
        }
    }

    /// Turns columns of logits into exp(logit − shift).
    fn probabilities(s: &mut [f32], shift: &[f32]) {
        for row in s.chunks_exact_mut(shift.len()) {
            for (x, &shift) in row.iter_mut().zip(shift) {
                *x = exp::<FMA>(*x - shift);
            }
        }
    }

    /// ds = p·(ds − mean), by columns.
    fn grad_logits(p: &[f32], mean: &[f32], ds: &mut [f32]) {
        for (row, p) in ds.chunks_exact_mut(mean.len()).zip(p.chunks_exact(mean.len())) {
            for ((x, &p), &mean) in row.iter_mut().zip(p).zip(mean) {
                *x = p * (*x - mean);
            }
        }
    }
}

/// Cuts the next `len` values off.
fn cut<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (part, left) = std::mem::take(rest).split_at_mut(len);
    *rest = left;
    part
}

/// Keys to a part of the logits that stays in the first-level cache.
const KEYS: usize = 128;
/// Less than any logit; of an empty sum, whose factor then is next to nothing.
const LOWEST: f32 = -1e30;

/// `attention`: of (q, k, v).
pub struct Forward {
    pub heads: Heads,
    /// Whether q, k and v are one value.
    pub packed: bool,
}

impl Fast for Forward {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let (h, len) = (self.heads, out.len());
        let inputs: [&[f32]; 3] =
            std::array::from_fn(|i| if self.packed { &inputs[0][i * len..][..len] } else { inputs[i] });
        h.for_each_block(out, h.heads * h.d, |n, queries, out| {
            let [q, k, v] = [0, 1, 2].map(|i| h.image(inputs[i], n));
            let width = h.round(queries.len());
            with_scratch((KEYS + 2 * h.d + 3) * width, |mut rest| {
                let s = cut(&mut rest, KEYS * width);
                let transposed = cut(&mut rest, h.d * width);
                let sums = cut(&mut rest, h.d * width);
                let (max, rest) = rest.split_at_mut(width);
                let (sum, factor) = rest.split_at_mut(width);
                for head in 0..h.heads {
                    h.transpose(q, head, queries.clone(), h.scale(), width, transposed);
                    max.fill(LOWEST);
                    sum.fill(0.0);
                    sums.fill(0.0);
                    for from in (0..h.tokens).step_by(KEYS) {
                        let keys = from..h.tokens.min(from + KEYS);
                        let s = &mut s[..keys.len() * width];
                        h.products(k, head, keys.clone(), transposed, width, s);
                        softmax(s, max, sum, sums, factor);
                        h.sums(v, head, keys, s, width, sums);
                    }
                    h.store(sums, head, queries.len(), width, |i| 1.0 / sum[i], out);
                }
            });
        });
    }
}

/// `attention_lse`: of (q, k).
pub struct Lse(pub Heads);

impl Fast for Lse {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        h.for_each_block(out, h.heads, |n, queries, out| {
            let [q, k] = [0, 1].map(|i| h.image(inputs[i], n));
            let width = h.round(queries.len());
            with_scratch((KEYS + h.d + 3) * width, |mut rest| {
                let s = cut(&mut rest, KEYS * width);
                let transposed = cut(&mut rest, h.d * width);
                let (max, rest) = rest.split_at_mut(width);
                let (sum, factor) = rest.split_at_mut(width);
                for head in 0..h.heads {
                    h.transpose(q, head, queries.clone(), h.scale(), width, transposed);
                    max.fill(LOWEST);
                    sum.fill(0.0);
                    for from in (0..h.tokens).step_by(KEYS) {
                        let keys = from..h.tokens.min(from + KEYS);
                        let s = &mut s[..keys.len() * width];
                        h.products(k, head, keys, transposed, width, s);
                        softmax(s, max, sum, &mut [], factor);
                    }
                    for i in 0..queries.len() {
                        out[i * h.heads + head] = max[i] + sum[i].ln();
                    }
                }
            });
        });
    }
}

/// P of one head and block of queries, from the log-sum-exp of each.
fn probabilities_of(
    h: Heads,
    [q, k, lse]: [&[f32]; 3],
    head: usize,
    queries: Range<usize>,
    transposed: &mut [f32],
    shift: &mut [f32],
    p: &mut [f32],
) {
    let width = shift.len();
    h.transpose(q, head, queries.clone(), h.scale(), width, transposed);
    h.products(k, head, 0..h.tokens, transposed, width, p);
    shift.fill(0.0);
    shift.iter_mut().zip(queries).for_each(|(shift, i)| *shift = lse[i * h.heads + head]);
    probabilities(p, shift);
}

/// dS = P·(dO·vᵀ − dO·O), the gradient of the logits, of one head and block of queries.
///
/// The inputs are one image's (q, k, v, lse, o, do); `scratch` holds [`grad_scratch`] values.
fn grad_logits_of(
    h: Heads,
    [q, k, v, lse, o, d_o]: [&[f32]; 6],
    head: usize,
    queries: Range<usize>,
    width: usize,
    mut scratch: &mut [f32],
    ds: &mut [f32],
) {
    let p = cut(&mut scratch, h.tokens * width);
    let transposed = cut(&mut scratch, h.d * width);
    let mean = cut(&mut scratch, width);
    probabilities_of(h, [q, k, lse], head, queries.clone(), transposed, mean, p);
    h.transpose(d_o, head, queries.clone(), 1.0, width, transposed);
    h.products(v, head, 0..h.tokens, transposed, width, ds);
    mean.fill(0.0);
    for (mean, i) in mean.iter_mut().zip(queries) {
        *mean = d_o[h.at(i, head)].iter().zip(&o[h.at(i, head)]).map(|(a, b)| a * b).sum();
    }
    grad_logits(p, mean, ds);
}

fn grad_scratch(h: Heads, width: usize) -> usize {
    (h.tokens + h.d + 1) * width
}

/// The inputs (q, k, v, lse, o, do) of one image.
fn of_image<'a>(h: Heads, inputs: &[&'a [f32]], n: usize) -> [&'a [f32]; 6] {
    let lse = &inputs[3][n * h.tokens * h.heads..][..h.tokens * h.heads];
    let [q, k, v, o, d_o] = [0, 1, 2, 4, 5].map(|i| h.image(inputs[i], n));
    [q, k, v, lse, o, d_o]
}

/// `attention_grad_q`.
pub struct GradQ(pub Heads);

impl Fast for GradQ {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        h.for_each_block(out, h.heads * h.d, |n, queries, out| {
            let width = h.round(queries.len());
            with_scratch((h.tokens + h.d) * width + grad_scratch(h, width), |mut rest| {
                let ds = cut(&mut rest, h.tokens * width);
                let sums = cut(&mut rest, h.d * width);
                for head in 0..h.heads {
                    let inputs = of_image(h, inputs, n);
                    grad_logits_of(h, inputs, head, queries.clone(), width, rest, ds);
                    sums.fill(0.0);
                    h.sums(inputs[1], head, 0..h.tokens, ds, width, sums);
                    h.store(sums, head, queries.len(), width, |_| h.scale(), out);
                }
            });
        });
    }
}

/// Sums over queries, for every key of every head: out_j = factor·Σ_i p[j][i]·x_i with p from `f(head, queries, width, scratch, p)`.
fn over_queries(
    h: Heads,
    x: &[f32],
    factor: f32,
    out: &mut [f32],
    f: impl Fn(usize, Range<usize>, usize, &mut [f32], &mut [f32]),
) {
    let (block, d) = (h.block(BLOCK), h.round(h.d));
    let width = h.round(block);
    with_scratch(h.tokens * width + (h.tokens + block) * d + grad_scratch(h, width), |mut rest| {
        let p = cut(&mut rest, h.tokens * width);
        let sums = cut(&mut rest, h.tokens * d);
        let wide = cut(&mut rest, block * d);
        for head in 0..h.heads {
            sums.fill(0.0);
            for from in (0..h.tokens).step_by(block) {
                let queries = from..h.tokens.min(from + block);
                f(head, queries.clone(), width, rest, p);
                h.widen(x, head, queries.clone(), factor, wide);
                h.spread(p, width, queries.len(), wide, sums);
            }
            for (j, row) in sums.chunks_exact(d).enumerate() {
                out[h.at(j, head)].copy_from_slice(&row[..h.d]);
            }
        }
    });
}

/// `attention_grad_k`.
pub struct GradK(pub Heads);

impl Fast for GradK {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        for_each_chunk(out, h.image_len(), |n, out| {
            let inputs = of_image(h, inputs, n);
            over_queries(h, inputs[0], h.scale(), out, |head, queries, width, scratch, ds| {
                grad_logits_of(h, inputs, head, queries, width, scratch, ds);
            });
        });
    }
}

/// `attention_grad_v`: of (q, k, lse, do).
pub struct GradV(pub Heads);

impl Fast for GradV {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        for_each_chunk(out, h.image_len(), |n, out| {
            let [q, k, d_o] = [0, 1, 3].map(|i| h.image(inputs[i], n));
            let lse = &inputs[2][n * h.tokens * h.heads..][..h.tokens * h.heads];
            over_queries(h, d_o, 1.0, out, |head, queries, width, scratch, p| {
                let (transposed, shift) = scratch.split_at_mut(h.d * width);
                probabilities_of(h, [q, k, lse], head, queries, transposed, &mut shift[..width], p);
            });
        });
    }
}
