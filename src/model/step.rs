//! The graphs made of a UNet: one prediction, one step of sampling, the training loss. The first two come fused; the loss
//! is left plain, to be differentiated first.

use super::config::UnetConfig;
use super::unet::{sinusoid, unet};
use crate::graph::{Graph, Id, WatchError};
use crate::ops::{MOVE_COEFFICIENTS, REMEMBER_COEFFICIENTS, SLOTS, fuse};
use crate::tensor::Shape;

/// Declares `sinusoid` and, for a class model, `class_labels`, for `n` images, and appends the UNet.
fn predict(g: &mut Graph, config: &UnetConfig, x: Id) -> Id {
    let n = g.shape(x).n();
    let sinusoid = g.input("sinusoid", Shape::new(n, 1, 1, config.block_out_channels[0]));
    let labels = config.num_class_embeds.map(|_| g.input("class_labels", Shape::new(n, 1, 1, 1)));
    unet(g, config, x, sinusoid, labels)
}

/// What the network is told of a batch beside the pictures, as values of these inputs: `sinusoid`, of the timesteps, and for a
/// class model `class_labels`. There are as many labels as timesteps, or none for a model without classes.
pub fn conditions(config: &UnetConfig, timesteps: &[usize], labels: &[usize]) -> Vec<(&'static str, Vec<f32>)> {
    let wide = |values: &[usize]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let labels = config.num_class_embeds.map(|_| ("class_labels", wide(labels)));
    [("sinusoid", sinusoid(config, &wide(timesteps)))].into_iter().chain(labels).collect()
}

/// [`prediction`] before it is fused.
fn plain_prediction(config: &UnetConfig, shape: Shape) -> Graph {
    let mut g = Graph::new();
    let x = g.input("sample", shape);
    let eps = predict(&mut g, config, x);
    g.output("eps", eps);
    g
}

/// The model's output `eps` for the inputs `sample` (of `shape`), `sinusoid` and, for a class model, `class_labels`.
pub fn prediction(config: &UnetConfig, shape: Shape) -> Graph {
    fuse(&plain_prediction(config, shape))
}

/// [`prediction`] with more outputs: the values inside the network of these names, which are among [`watchable`]'s.
///
/// # Errors
/// A name that the network does not have.
pub fn prediction_watching(config: &UnetConfig, shape: Shape, names: &[impl AsRef<str>]) -> Result<Graph, WatchError> {
    watching(plain_prediction(config, shape), names)
}

/// What can be watched of a prediction for images of `shape`, as of a guided one for twice as many: names, which are the
/// checkpoint's, and shapes, in the order of computation. `….probabilities` is what each pixel of an image attends to, see
/// [`Graph::attention_probabilities`].
pub fn watchable(config: &UnetConfig, shape: Shape) -> Vec<(String, Shape)> {
    plain_prediction(config, shape).watchable()
}

/// The graph fused, with these values kept.
fn watching(mut plain: Graph, names: &[impl AsRef<str>]) -> Result<Graph, WatchError> {
    plain.watch(names)?;
    Ok(fuse(&plain))
}

/// What a step of sampling consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// Every image is predicted with and without its class.
    pub guided: bool,
    /// Something is remembered from step to step.
    pub remembers: bool,
    /// A part of the picture is known.
    pub known: bool,
}

/// One step of sampling: the state `x` becomes x' (see `ops/move.rs`), and the state `slots`, three times as large, what is
/// remembered (see `ops/remember.rs`).
///
/// Inputs are `sinusoid`, `class_labels` (class models), `noise`, `coefficients`; when it remembers `memory`, the coefficients of
/// that; when a part is known `known`, the picture and behind it the mask; and when guided `guidance`, the scale w. A guided
/// step evaluates every image twice in one batch of 2N: `sinusoid` and `class_labels` then have 2N rows, those with the class
/// first, then those with the null class. Outputs are `x` and `eps`, the prediction after guidance.
pub fn sampling_step(config: &UnetConfig, shape: Shape, of: Sampling) -> Graph {
    fuse(&plain_sampling_step(config, shape, of))
}

/// [`sampling_step`] with more outputs, see [`prediction_watching`]. Of a guided step there are two of every image in each
/// value, those with the class first.
///
/// # Errors
/// A name that the network does not have.
pub fn sampling_step_watching(
    config: &UnetConfig,
    shape: Shape,
    of: Sampling,
    names: &[impl AsRef<str>],
) -> Result<Graph, WatchError> {
    watching(plain_sampling_step(config, shape, of), names)
}

/// [`sampling_step`] before it is fused.
fn plain_sampling_step(config: &UnetConfig, shape: Shape, of: Sampling) -> Graph {
    let mut g = Graph::new();
    let x = g.state("x", shape);
    let eps = if of.guided {
        let twice = g.repeat_images(x, 2);
        let both = predict(&mut g, config, twice);
        let w = g.input("guidance", Shape::SCALAR);
        g.guidance(both, w)
    } else {
        predict(&mut g, config, x)
    };
    let noise = g.input("noise", shape);
    let coefficients = g.input("coefficients", Shape::vector(MOVE_COEFFICIENTS));
    let slots = of.remembers.then(|| g.state("slots", shape.with_n(SLOTS * shape.n())));
    let known = of.known.then(|| g.input("known", shape.with_n(2 * shape.n())));
    let next = g.move_x([x, eps, noise, coefficients], slots, known);
    if let Some(slots) = slots {
        let memory = g.input("memory", Shape::vector(REMEMBER_COEFFICIENTS));
        let remembered = g.remember(x, eps, slots, memory);
        g.assign(slots, remembered);
    }
    g.assign(x, next);
    g.output("x", next);
    g.output("eps", eps);
    g
}

/// What training minimises; the default is Algorithm 1's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objective {
    /// The target is v = √ᾱ_t·ε − √(1−ᾱ_t)·x_0 (Salimans & Ho 2022) instead of the noise.
    pub velocity: bool,
    /// The mean of absolute errors instead of squares.
    pub absolute: bool,
    /// Each image's errors are weighted.
    pub weighted: bool,
}

/// The loss of an objective as the output `loss`. The default is Algorithm 1's, ‖target − ε_θ(√ᾱ_t·x_0 + √(1−ᾱ_t)·ε, t)‖²
/// averaged over all values. Another output, `errors` `[N, 1, 1, C]`, has the sum of each image's and channel's squared errors,
/// which are not weighted.
///
/// Inputs are `x_0`, `noise`, `noise_coefficients` `[N, 1, 1, 2]` = (√ᾱ_t, √(1−ᾱ_t)), `sinusoid` and, for a class model,
/// `class_labels`. The target is the noise. With `velocity` it is v, whose coefficients (√ᾱ_t, −√(1−ᾱ_t)) are the input
/// `target_coefficients`.
///
/// With `weighted` there is one more input, `loss_weights` `[N, 1, 1, 2]`: what the prediction and the target of an image are
/// multiplied with before they are compared (for squares the root of the weight), and 0.
pub fn training_loss(config: &UnetConfig, shape: Shape, objective: Objective) -> (Graph, Id) {
    let mut g = Graph::new();
    let coefficients = Shape::new(shape.n(), 1, 1, 2);
    let x_0 = g.input("x_0", shape);
    let noise = g.input("noise", shape);
    let noise_coefficients = g.input("noise_coefficients", coefficients);
    let x_t = g.noised(x_0, noise, noise_coefficients);
    let target = if objective.velocity {
        let target_coefficients = g.input("target_coefficients", coefficients);
        g.noised(noise, x_0, target_coefficients)
    } else {
        noise
    };
    let predicted = predict(&mut g, config, x_t);
    let [mut x, mut y] = [predicted, target];
    if objective.weighted {
        let weights = g.input("loss_weights", coefficients);
        let zeros = g.constant(0.0, shape);
        [x, y] = [x, y].map(|value| g.noised(value, zeros, weights));
    }
    let loss = if objective.absolute { g.mae(x, y) } else { g.mse(x, y) };
    g.output("loss", loss);

    let negative = g.scale(target, -1.0);
    let difference = g.add(predicted, negative);
    let [zeros, one] = [g.constant(0.0, shape), g.constant(1.0, Shape::SCALAR)];
    // 0 + 1·(difference² − 0)
    let squares = g.lerp_square(zeros, difference, one);
    let errors = g.sum_pixels(squares);
    g.output("errors", errors);
    (g, loss)
}
