//! Why a prediction or a run cannot be had.

use super::Settings;
use crate::checkpoint::CheckpointError;
use crate::diffusion::DiffusionError;
use crate::engine::EngineError;
use crate::graph::WatchError;
use std::ops::Range;

/// Why a prediction or a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The sampler's settings.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// A value to watch that the network does not have.
    #[error("{}", watch_problem(.0))]
    Watch(#[from] WatchError),
    /// A run without images.
    #[error("a run makes at least 1 image, found 0")]
    NoImages,
    /// A class that the model does not know.
    #[error("{}", class_problem(.found, .classes))]
    Class {
        /// The class asked for.
        found: usize,
        /// Number of classes of the model, 0 for a model without.
        classes: usize,
    },
    /// No class was given to a model that needs one.
    #[error("this model has no null class, so every image needs a class from 0 to {}", .classes.saturating_sub(1))]
    NoNullClass {
        /// Number of classes of the model.
        classes: usize,
    },
    /// Guidance with a model that cannot predict without a class.
    #[error("this model has no null class, so guidance must be 1, found {found}")]
    NoGuidance {
        /// The scale asked for.
        found: f64,
    },
    /// A guidance scale that is not a usable number.
    #[error("guidance must be between {} and {}, found {found}", Settings::GUIDANCE.0, Settings::GUIDANCE.1)]
    Guidance {
        /// The scale asked for.
        found: f64,
    },
    /// Values of another length than the images have.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// What was given.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// Given noise ends before the run does.
    #[error("noise was given for {found} steps, expected {expected}")]
    NoiseSteps {
        /// Steps with noise.
        found: usize,
        /// Steps of the run.
        expected: usize,
    },
    /// Images that are none of the run's.
    #[error("the run has {count} images, so images {} to {} are no part of it", .images.start, .images.end)]
    Part {
        /// The images asked for.
        images: Range<usize>,
        /// Images of the run.
        count: usize,
    },
    /// A start beyond the last step.
    #[error("the run has {steps} steps and cannot start after step {found}")]
    Position {
        /// Steps said to be done.
        found: usize,
        /// Steps of the run.
        steps: usize,
    },
    /// The computation left the real numbers.
    #[error(
        "the network's output at timestep {timestep} is not finite; the weights are those of a failed training, or the engine is faulty"
    )]
    NotFinite {
        /// Where.
        timestep: usize,
    },
}

/// A large network has hundreds of names: those that begin most like the one asked for are said.
fn watch_problem(error: &WatchError) -> String {
    let WatchError::Unknown { name, known } = error;
    let alike = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let most = known.iter().map(|other| alike(other)).max().unwrap_or_default();
    let some: Vec<&str> = known.iter().map(String::as_str).filter(|other| alike(other) == most).take(5).collect();
    format!("the network has no value called {name:?} to watch, but {} values such as {}", known.len(), some.join(", "))
}

fn class_problem(found: &usize, classes: &usize) -> String {
    match classes {
        0 => format!("this model has no classes, so class {found} cannot be asked for"),
        n => format!("a class of this model is 0 to {}, found {found}", n - 1),
    }
}
