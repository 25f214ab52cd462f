//! The UNet of Ho et al. 2020 (appendix B), as diffusers' `UNet2DModel` names and arranges it, top to bottom.
//!
//! Scopes and names are those of the checkpoint, so that architecture, parameter names and data flow are one text. What is
//! worth seeing of a prediction goes by them, too: [`Graph::watchable`] lists it.

use super::config::{BlockType, UnetConfig};
use crate::graph::{Graph, Id, ParamKind};
use crate::tensor::Shape;

/// The model's output for x `[N, H, W, C]`: the noise ε_θ(x_t, t), or what its scheduler's prediction type says.
///
/// `sinusoid` is [`sinusoid`]'s `[N, 1, 1, block_out_channels[0]]`; `labels` is `[N, 1, 1, 1]` for a class model.
pub fn unet(g: &mut Graph, config: &UnetConfig, x: Id, sinusoid: Id, labels: Option<Id>) -> Id {
    let channels = &config.block_out_channels;
    let input = g.shape(x);
    let embedding = embedding(g, config, sinusoid, labels);

    let mut h = conv(g, "conv_in", x, channels[0], 3, 1, (1, 1));
    g.name("conv_in", h);
    let mut skips = vec![h];

    for (b, (&out, block)) in channels.iter().zip(&config.down_block_types).enumerate() {
        g.scoped(format!("down_blocks.{b}"), |g| {
            for j in 0..config.layers_per_block {
                h = g.module(format!("resnets.{j}"), |g| residual(g, config, h, embedding, out));
                if *block == BlockType::Attention {
                    h = g.module(format!("attentions.{j}"), |g| attention(g, config, h));
                }
                skips.push(h);
            }
            if b + 1 < channels.len() {
                let padding = (config.downsample_padding, 1);
                h = g.module("downsamplers.0", |g| conv(g, "conv", h, out, 3, 2, padding));
                skips.push(h);
            }
        });
    }

    let out = channels[channels.len() - 1];
    h = g.module("mid_block", |g| {
        h = g.module("resnets.0", |g| residual(g, config, h, embedding, out));
        if config.add_attention {
            h = g.module("attentions.0", |g| attention(g, config, h));
        }
        g.module("resnets.1", |g| residual(g, config, h, embedding, out))
    });

    for (b, (&out, block)) in channels.iter().rev().zip(&config.up_block_types).enumerate() {
        g.scoped(format!("up_blocks.{b}"), |g| {
            for j in 0..=config.layers_per_block {
                let skip = skips.pop().expect("the way down left a skip for each residual block of the way up");
                let joined = g.concat(h, skip);
                h = g.module(format!("resnets.{j}"), |g| residual(g, config, joined, embedding, out));
                if *block == BlockType::Attention {
                    h = g.module(format!("attentions.{j}"), |g| attention(g, config, h));
                }
            }
            if b + 1 < channels.len() {
                let wide = g.upsample(h);
                h = g.module("upsamplers.0", |g| conv(g, "conv", wide, out, 3, 1, (1, 1)));
            }
        });
    }
    assert!(skips.is_empty(), "every skip is used once");

    h = normalise(g, config, "conv_norm_out", h);
    g.name("conv_norm_out", h);
    h = g.silu(h);
    h = conv(g, "conv_out", h, config.channels, 3, 1, (1, 1));
    g.name("conv_out", h);
    assert_eq!(g.shape(h), input, "the prediction has the shape of the image");
    h
}

/// Sines and cosines of the timesteps, `[N, 1, 1, block_out_channels[0]]` (Vaswani et al. 2017, with DDPM's switches).
///
/// Computed on the CPU in f64: WGSL promises no accuracy for arguments up to 1000.
pub fn sinusoid(config: &UnetConfig, timesteps: &[f32]) -> Vec<f32> {
    let dim = config.block_out_channels[0];
    let half = dim / 2;
    let mut out = Vec::with_capacity(timesteps.len() * dim);
    for &t in timesteps {
        let angle = |i: usize| {
            let exponent = -10_000f64.ln() * i as f64 / (half as f64 - config.freq_shift);
            // PyTorch holds the frequency and the angle in f32; parity at t = 999 needs the same.
            let frequency = exponent as f32;
            f64::from(t * libm::expf(frequency))
        };
        let sines = (0..half).map(|i| libm::sin(angle(i)) as f32);
        let cosines = (0..half).map(|i| libm::cos(angle(i)) as f32);
        if config.flip_sin_to_cos {
            out.extend(cosines.chain(sines));
        } else {
            out.extend(sines.chain(cosines));
        }
        out.extend(std::iter::repeat_n(0.0, dim % 2));
    }
    out
}

/// SiLU of the time embedding, with the class added: what every residual block projects, `[N, 1, 1, time_dim]`.
fn embedding(g: &mut Graph, config: &UnetConfig, sinusoid: Id, labels: Option<Id>) -> Id {
    let dim = config.time_dim();
    let mut e = g.module("time_embedding", |g| {
        let hidden = g.linear("linear_1", sinusoid, dim);
        let hidden = g.silu(hidden);
        g.linear("linear_2", hidden, dim)
    });
    if let (Some(rows), Some(labels)) = (config.num_class_embeds, labels) {
        let table = g.parameter("class_embedding.weight", ParamKind::Embedding, Shape::new(1, 1, rows, dim));
        let class = g.embedding(table, labels);
        g.name("class_embedding", class);
        e = g.add(e, class);
    }
    g.silu(e)
}

/// A residual block: two normalised convolutions with the time between them.
fn residual(g: &mut Graph, config: &UnetConfig, x: Id, embedding: Id, out: usize) -> Id {
    let mut h = normalise(g, config, "norm1", x);
    h = g.silu(h);
    h = conv(g, "conv1", h, out, 3, 1, (1, 1));
    let time = g.linear("time_emb_proj", embedding, out);
    h = g.add_channels(h, time);
    h = normalise(g, config, "norm2", h);
    h = g.silu(h);
    h = conv(g, "conv2", h, out, 3, 1, (1, 1));
    let shortcut = if g.shape(x).c() == out { x } else { conv(g, "conv_shortcut", x, out, 1, 1, (0, 0)) };
    g.add(shortcut, h)
}

/// Self-attention over the pixels, with a residual connection.
fn attention(g: &mut Graph, config: &UnetConfig, x: Id) -> Id {
    let c = g.shape(x).c();
    let h = normalise(g, config, "group_norm", x);
    let [q, k, v] = ["to_q", "to_k", "to_v"].map(|name| g.linear(name, h, c));
    g.on_request("probabilities", |g| g.attention_probabilities(q, k, config.heads(c)));
    let h = g.attention(q, k, v, config.heads(c));
    let h = g.linear("to_out.0", h, c);
    g.add(h, x)
}

/// Group normalisation with parameters `weight` and `bias` in the scope `name`.
fn normalise(g: &mut Graph, config: &UnetConfig, name: &str, x: Id) -> Id {
    let c = g.shape(x).c();
    let (scale, shift) = g.scoped(name, |g| {
        (
            g.parameter("weight", ParamKind::Scale, Shape::vector(c)),
            g.parameter("bias", ParamKind::Shift, Shape::vector(c)),
        )
    });
    g.group_norm(x, scale, shift, config.norm_num_groups, config.norm_eps as f32)
}

/// A k×k convolution with parameters `weight` and `bias` in the scope `name`.
fn conv(g: &mut Graph, name: &str, x: Id, out: usize, k: usize, stride: usize, padding: (usize, usize)) -> Id {
    let ci = g.shape(x).c();
    let (weight, bias) = g.scoped(name, |g| {
        (
            g.parameter("weight", ParamKind::Conv, Shape::new(k, k, ci, out)),
            g.parameter("bias", ParamKind::Bias { fan_in: k * k * ci }, Shape::vector(out)),
        )
    });
    g.conv2d(x, weight, bias, stride, padding)
}
