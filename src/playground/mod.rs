//! A model on an engine, asked for one prediction or led through a sampling run step by step.
//!
//! The page's worker, the command line and the trainer's preview share this. It knows no DOM, no clock and no files. A
//! [`Session`] holds the compiled programs and the run in progress. A run is plain data: it can go on from any of its steps,
//! on another engine, too.
//!
//! Noise from a seed comes from stream 0 of [`crate::rng::Rng`], in PyTorch's order `[N, C, H, W]`. First x_T of all images is
//! drawn. Then each step that adds noise draws it for all images. So the same seed, count and settings give the same noise
//! everywhere.

mod error;
mod noise;
mod predictor;
mod run;
mod session;
mod watched;

pub use error::PlaygroundError;
pub use noise::{Noise, start_noise};
pub use predictor::Predictor;
pub use session::{Advance, Frame, Predicted, Session};
pub use watched::Watched;

use crate::checkpoint::{Checkpoint, SchedulerConfig, Suggested};
use crate::diffusion::walk::Rule;
use crate::diffusion::{SamplerConfig, SamplerKind};
use crate::engine::{Engine, Weights};
use crate::model::config::UnetConfig;
use crate::model::step;

/// The sampler that a model's scheduler_config.json asks for, but with this rule, number of steps and η. A rule that diffusers
/// does not clip is not clipped here.
pub fn sampler_config(scheduler: &SchedulerConfig, kind: SamplerKind, steps: usize, eta: f64) -> SamplerConfig {
    let config = scheduler.sampler(steps);
    let clip = config.clip.filter(|_| Rule::of(kind).allows.clip);
    SamplerConfig { kind, eta, clip, ..config }
}

/// What to generate.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// One entry per image: its class, or none.
    pub classes: Vec<Option<usize>>,
    /// w in ε = ε_∅ + w·(ε_c − ε_∅): 1 is off and costs one evaluation, 0 is unconditional.
    pub guidance: f64,
    /// Rule, steps, η and so on.
    pub sampler: SamplerConfig,
}

impl Settings {
    /// The smallest and largest guidance scale accepted.
    pub const GUIDANCE: (f64, f64) = Suggested::GUIDANCE;
}

/// Takes a model's parameters to an engine.
///
/// # Errors
/// Parameters that do not fit the config; a failing engine.
pub fn load(engine: &Engine, checkpoint: &Checkpoint) -> Result<Weights, PlaygroundError> {
    let specs = step::prediction(&checkpoint.config, checkpoint.config.image_shape()).parameters();
    Ok(engine.load(&specs, &checkpoint.load_parameters(&specs)?)?)
}

/// The label of a class, or of none: `None` for a model without classes.
fn label_of(config: &UnetConfig, class: Option<usize>) -> Result<Option<usize>, PlaygroundError> {
    let classes = config.classes();
    match class {
        Some(class) if config.labels().any(|label| label == class) => Ok(Some(class)),
        Some(found) => Err(PlaygroundError::Class { found, classes }),
        None if config.num_class_embeds.is_none() => Ok(None),
        None => config.null_class.map(Some).ok_or(PlaygroundError::NoNullClass { classes }),
    }
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), PlaygroundError> {
    if found == expected { Ok(()) } else { Err(PlaygroundError::Length { what, found, expected }) }
}

fn check_finite(values: &[f32], timestep: usize) -> Result<(), PlaygroundError> {
    if values.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(PlaygroundError::NotFinite { timestep }) }
}
