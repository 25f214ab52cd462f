//! Walks against exact laws on Gaussian data, in f64 and without drawing a sample.
//!
//! For data N(μ, s²) the best prediction is linear in x, and so is every move: a whole walk is an offset and gains of what goes
//! in. Feeding 0 and then one unit at a time finds them. ᾱ of the noisier level is a, of the cleaner b; D(ᾱ) = ᾱ·s² + 1 − ᾱ is
//! the variance of x there, and θ(ᾱ) = atan2(√(1−ᾱ), s·√ᾱ).
#![cfg(not(target_arch = "wasm32"))]

use noisette::diffusion::walk::Rule;
use noisette::diffusion::{Convention, Prediction, SamplerConfig, SamplerKind, Spacing};

mod device;
mod editing;
mod gaussian;
mod guidance;
mod inversion;
mod lines;
mod multistep;
mod repaint;
mod words;

/// The rules of all samplers.
fn rules() -> Vec<&'static Rule> {
    SamplerKind::ALL.iter().map(|&kind| Rule::of(kind)).collect()
}

/// Eight steps of DDIM for a model of v, as the page takes them.
fn eight_steps() -> SamplerConfig {
    SamplerConfig {
        kind: SamplerKind::Ddim,
        steps: 8,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        prediction: Prediction::VPrediction,
        clip: None,
        ..SamplerConfig::default()
    }
}
