//! What the page and its worker say to each other. A message is one of these as JSON, and for pictures and weights a block
//! of bytes beside it.

use crate::checkpoint::SchedulerConfig;
use crate::diffusion::{Convention, SamplerConfig, SamplerKind, Spacing};
use crate::engine::{Choice, Description, Kind};
use crate::playground::sampler_config;
use crate::selftest::{OpReport, Timing};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Open an engine and take the model into its care. Bytes: the safetensors file.
    Open {
        /// Which.
        engine: Choice,
        /// config.json.
        config: String,
        /// scheduler_config.json, where there is one.
        scheduler: Option<String>,
    },
    /// Predict the noise in a picture; a later request replaces one that still waits. Bytes: x_t as f32, `[H, W, C]`.
    Predict {
        /// Comes back with the answer.
        id: u32,
        /// 0…T−1.
        timestep: usize,
    },
    /// Begin a run, or a worker's share of one; a run in progress is dropped. Bytes: x of these images after `after` steps as f32,
    /// `[N, H, W, C]`, or none to begin with noise.
    Generate {
        /// Comes back with everything about this run.
        run: u32,
        /// What to generate.
        request: Request,
        /// Steps already done.
        after: usize,
        /// The images to compute, of those requested.
        images: Range<usize>,
    },
    /// Drop the run in progress.
    Stop,
    /// Check an engine: compare its ops with the references, then time predictions.
    Check {
        /// Which.
        engine: Kind,
        /// config.json of the net to time; without one it is the original DDPM's.
        config: Option<String>,
    },
}

/// What to generate, as the controls say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// One entry per image: its class, or none.
    pub classes: Vec<Option<usize>>,
    /// The guidance scale.
    pub guidance: f64,
    /// Name of the sampler.
    pub sampler: String,
    /// Number of steps.
    pub steps: usize,
    /// Name of the rule by which they are spread.
    pub spacing: String,
    /// Name of the convention that the sampler follows.
    pub convention: String,
    /// η of DDIM.
    pub eta: f64,
    /// Where the noise comes from.
    pub seed: u64,
}

impl Request {
    /// The sampler asked for, for a model with this scheduler.
    pub fn sampler_config(&self, scheduler: &SchedulerConfig) -> SamplerConfig {
        let kind = SamplerKind::from_name(&self.sampler).unwrap_or(SamplerKind::Ddim);
        SamplerConfig {
            spacing: Spacing::from_name(&self.spacing).unwrap_or(Spacing::Leading),
            convention: Convention::from_name(&self.convention).unwrap_or(Convention::Diffusers),
            ..sampler_config(scheduler, kind, self.steps, self.eta)
        }
    }
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The worker runs and listens.
    Ready,
    /// The engine is open and the model fits.
    Opened {
        /// What it is.
        engine: Description,
    },
    /// Answer to [`Command::Predict`]. Bytes: ε̂, then x̂_0, each `[H, W, C]` f32.
    Predicted {
        /// Of the request.
        id: u32,
        /// How long it took.
        milliseconds: f64,
    },
    /// Some images of a step are computed.
    Part {
        /// Of the run.
        run: u32,
        /// The step being computed, 1…n.
        step: usize,
        /// Images done in it.
        done: usize,
        /// Images this worker computes.
        of: usize,
    },
    /// A step of these images is complete. Bytes: x, `[N, H, W, C]` f32.
    Frame {
        /// Of the run.
        run: u32,
        /// Steps done; 0 is the noise at the start.
        step: usize,
        /// Steps of the run.
        steps: usize,
        /// The timestep the network was asked at.
        timestep: usize,
        /// How long the step took.
        milliseconds: f64,
    },
    /// The run is complete.
    Finished {
        /// Of the run.
        run: u32,
    },
    /// Something could not be done.
    Failed {
        /// What was tried.
        during: Stage,
        /// One sentence.
        message: String,
        /// The engine is no longer usable: a lost device, say.
        fatal: bool,
    },
    /// The program has a fault and has stopped; the worker is gone.
    Panicked {
        /// What and where.
        message: String,
    },
    /// Progress of [`Command::Check`].
    Check(CheckNews),
}

/// What the check of an engine has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CheckNews {
    /// The engine is open.
    Opened {
        /// Its adapter's name.
        adapter: String,
        /// The adapter is a program, not hardware.
        software: bool,
    },
    /// Something begins that takes a while.
    Begins {
        /// In words.
        what: String,
    },
    /// The ops are compared.
    Ops {
        /// Each of them.
        ops: Vec<OpReport>,
        /// How long all of it took, compiling and the references included.
        milliseconds: f64,
    },
    /// A prediction is timed.
    Timed(Timing),
    /// A prediction was left out, as one of the batch would take too long.
    Skipped {
        /// Images at once.
        batch: usize,
        /// About how long it would have taken, in milliseconds.
        estimate: f64,
    },
    /// All of it is done.
    Done {
        /// Bytes of the worker's memory, which never shrinks: the most it needed. A GPU's memory is not in it.
        memory: f64,
    },
    /// The engine cannot be checked.
    Failed {
        /// One sentence.
        message: String,
    },
}

/// What the worker was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Opening the engine, or taking the model.
    Opening,
    /// Predicting.
    Predicting,
    /// Generating.
    Generating,
}
