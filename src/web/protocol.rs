//! What the page and its worker say to each other. A message is one of these as JSON, and for pictures and weights a block
//! of bytes beside it.

use serde::{Deserialize, Serialize};

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Open an engine and take the model into its care. Bytes: the safetensors file.
    Open {
        /// "auto", "gpu" or "cpu".
        engine: String,
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
    /// Begin a run; one in progress is dropped. Bytes: x after `after` steps as f32, `[N, H, W, C]`, or none to begin with noise.
    Generate {
        /// Comes back with everything about this run.
        run: u32,
        /// What to generate.
        request: Request,
        /// Steps already done.
        after: usize,
    },
    /// Drop the run in progress.
    Stop,
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
    /// η of DDIM.
    pub eta: f64,
    /// Where the noise comes from.
    pub seed: u64,
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The worker runs and listens.
    Ready,
    /// The engine is open and the model fits.
    Opened {
        /// "gpu" or "cpu".
        engine: String,
        /// The adapter's name; for the CPU what it computes with.
        adapter: String,
        /// The adapter is a program, not hardware.
        software: bool,
        /// Why `auto` took the CPU.
        note: Option<String>,
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
        /// Images of the run.
        of: usize,
    },
    /// A step is complete. Bytes: x, `[N, H, W, C]` f32.
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
