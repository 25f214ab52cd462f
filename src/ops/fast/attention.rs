//! Attention, an image at a time, a head at a time: rows of logits as vectors over the keys.

use super::parallel::{for_each_chunk, with_scratch};
use super::simd::{exp, for_each_isa};
use crate::graph::Fast;
use crate::tensor::Shape;

/// Extents of an attention.
#[derive(Clone, Copy)]
pub struct Heads {
    tokens: usize,
    heads: usize,
    /// Channels of one head.
    d: usize,
}

impl Heads {
    pub fn new(q: Shape, heads: usize) -> Self {
        Self { tokens: q.pixels(), heads, d: q.c() / heads }
    }

    fn image_len(&self) -> usize {
        self.tokens * self.heads * self.d
    }

    fn image<'a>(&self, values: &'a [f32], n: usize) -> &'a [f32] {
        &values[n * self.image_len()..][..self.image_len()]
    }

    /// The channels of one head of one token.
    fn at(&self, token: usize, head: usize) -> std::ops::Range<usize> {
        let from = (token * self.heads + head) * self.d;
        from..from + self.d
    }

    /// One head of x, transposed to `[d][tokens]`.
    fn transpose(&self, x: &[f32], head: usize, out: &mut [f32]) {
        for token in 0..self.tokens {
            for (c, &value) in x[self.at(token, head)].iter().enumerate() {
                out[c * self.tokens + token] = value;
            }
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.d as f32).sqrt()
    }
}

for_each_isa! {
    /// row[j] = factor·Σ_c a[c]·bt[c][j].
    fn products(a: &[f32], bt: &[f32], factor: f32, row: &mut [f32]) {
        row.fill(0.0);
        for (&a, b) in a.iter().zip(bt.chunks_exact(row.len())) {
            let a = a * factor;
            for (r, &b) in row.iter_mut().zip(b) {
                *r += a * b;
            }
        }
    }

    /// Turns logits into exp(logit − shift).
    fn exponentials(row: &mut [f32], shift: f32) {
        for x in row.iter_mut() {
            *x = exp(*x - shift);
        }
    }

    /// row[j] = p[j]·(row[j] − mean).
    fn grad_logits(p: &[f32], mean: f32, row: &mut [f32]) {
        for (r, &p) in row.iter_mut().zip(p) {
            *r = p * (*r - mean);
        }
    }
}

fn max(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b))
}

/// out += factor·x.
fn add_scaled(x: &[f32], factor: f32, out: &mut [f32]) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o += factor * x;
    }
}

/// `attention`: of (q, k, v).
pub struct Forward(pub Heads);

impl Fast for Forward {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        for_each_chunk(out, h.image_len(), |n, out| {
            let [q, k, v] = [0, 1, 2].map(|i| h.image(inputs[i], n));
            out.fill(0.0);
            with_scratch((h.d + 1) * h.tokens, |scratch| {
                let (kt, row) = scratch.split_at_mut(h.d * h.tokens);
                for head in 0..h.heads {
                    h.transpose(k, head, kt);
                    for i in 0..h.tokens {
                        products(&q[h.at(i, head)], kt, h.scale(), row);
                        let shift = max(row);
                        exponentials(row, shift);
                        let total: f32 = row.iter().sum();
                        let out = &mut out[h.at(i, head)];
                        for (j, &p) in row.iter().enumerate() {
                            add_scaled(&v[h.at(j, head)], p / total, out);
                        }
                    }
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
        for_each_chunk(out, h.tokens * h.heads, |n, out| {
            let [q, k] = [0, 1].map(|i| h.image(inputs[i], n));
            with_scratch((h.d + 1) * h.tokens, |scratch| {
                let (kt, row) = scratch.split_at_mut(h.d * h.tokens);
                for head in 0..h.heads {
                    h.transpose(k, head, kt);
                    for i in 0..h.tokens {
                        products(&q[h.at(i, head)], kt, h.scale(), row);
                        let shift = max(row);
                        exponentials(row, shift);
                        out[i * h.heads + head] = shift + row.iter().sum::<f32>().ln();
                    }
                }
            });
        });
    }
}

/// Calls `f(head, i, dS_i, out)` for every row of every head of one image; inputs are (q, k, v, lse, o, do).
fn for_each_grad_row(
    h: Heads,
    inputs: &[&[f32]],
    n: usize,
    out: &mut [f32],
    f: impl Fn(usize, usize, &[f32], &mut [f32]),
) {
    let [q, k, v] = [0, 1, 2].map(|i| h.image(inputs[i], n));
    let lse = &inputs[3][n * h.tokens * h.heads..][..h.tokens * h.heads];
    let [o, d_o] = [4, 5].map(|i| h.image(inputs[i], n));
    with_scratch(2 * (h.d + 1) * h.tokens, |scratch| {
        let (kt, rest) = scratch.split_at_mut(h.d * h.tokens);
        let (vt, rest) = rest.split_at_mut(h.d * h.tokens);
        let (p, ds) = rest.split_at_mut(h.tokens);
        for head in 0..h.heads {
            h.transpose(k, head, kt);
            h.transpose(v, head, vt);
            for i in 0..h.tokens {
                products(&q[h.at(i, head)], kt, h.scale(), p);
                exponentials(p, lse[i * h.heads + head]);
                products(&d_o[h.at(i, head)], vt, 1.0, ds);
                let mean = d_o[h.at(i, head)].iter().zip(&o[h.at(i, head)]).map(|(a, b)| a * b).sum();
                grad_logits(p, mean, ds);
                f(head, i, ds, out);
            }
        }
    });
}

/// `attention_grad_q`.
pub struct GradQ(pub Heads);

impl Fast for GradQ {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        for_each_chunk(out, h.image_len(), |n, out| {
            out.fill(0.0);
            let k = h.image(inputs[1], n);
            for_each_grad_row(h, inputs, n, out, |head, i, ds, out| {
                for (j, &ds) in ds.iter().enumerate() {
                    add_scaled(&k[h.at(j, head)], ds * h.scale(), &mut out[h.at(i, head)]);
                }
            });
        });
    }
}

/// `attention_grad_k`.
pub struct GradK(pub Heads);

impl Fast for GradK {
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
        let h = self.0;
        for_each_chunk(out, h.image_len(), |n, out| {
            out.fill(0.0);
            let q = h.image(inputs[0], n);
            for_each_grad_row(h, inputs, n, out, |head, i, ds, out| {
                for (j, &ds) in ds.iter().enumerate() {
                    add_scaled(&q[h.at(i, head)], ds * h.scale(), &mut out[h.at(j, head)]);
                }
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
            out.fill(0.0);
            let [q, k, d_o] = [0, 1, 3].map(|i| h.image(inputs[i], n));
            let lse = &inputs[2][n * h.tokens * h.heads..][..h.tokens * h.heads];
            with_scratch((h.d + 1) * h.tokens, |scratch| {
                let (kt, p) = scratch.split_at_mut(h.d * h.tokens);
                for head in 0..h.heads {
                    h.transpose(k, head, kt);
                    for i in 0..h.tokens {
                        products(&q[h.at(i, head)], kt, h.scale(), p);
                        exponentials(p, lse[i * h.heads + head]);
                        for (j, &p) in p.iter().enumerate() {
                            add_scaled(&d_o[h.at(i, head)], p, &mut out[h.at(j, head)]);
                        }
                    }
                }
            });
        });
    }
}
