//! What is asked of a worker, and what comes of it: a [`Job`] under a ticket, and [`News`] of that ticket. The numbers travel
//! beside them as named [`Tensor`]s.

use crate::engine::Kind;
use crate::playground::Settings;
use crate::selftest::{OpReport, Timing, Work};
use crate::tensor::Shape;
use crate::web::measure::Measure;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The number of a job.
pub type Ticket = u32;

/// Work for a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Job {
    /// What the network makes of a noised picture, the tensor `x`. A later one replaces one that still waits.
    Predict {
        /// 0…T−1.
        timestep: usize,
    },
    /// A sampling run, or a worker's share of one; it replaces one in progress. It begins with the tensor `x`, these images after
    /// `after` steps, or without one from the seed's noise.
    Walk {
        /// What to generate, and how.
        settings: Settings,
        /// Where the noise comes from.
        seed: u64,
        /// Steps already done.
        after: usize,
        /// Steps after which it waits until it may go on; without them it does not.
        until: Option<usize>,
        /// The images to compute, of those asked for.
        images: Range<usize>,
        /// Names of inner values that every frame brings along.
        watch: Vec<String>,
        /// By the model's fast student.
        fast: bool,
        /// It remembers earlier steps, so that one that is interrupted gives the same pictures only from its start.
        looks_back: bool,
    },
    /// A measurement of one picture, the tensor `x0`, question by question, when there is nothing else to do. It replaces none, and
    /// none replaces it.
    Measure(Measure),
    /// A comparison of an engine's ops with their references, then predictions and a training step by the clock.
    Check {
        /// Which.
        engine: Kind,
        /// config.json of the net to time; without one it is the original DDPM's.
        config: Option<String>,
    },
}

/// Whether a walk takes another step after so many, if it is to wait after `until`.
pub fn goes_on(step: usize, until: Option<usize>) -> bool {
    until.is_none_or(|until| step < until)
}

/// What has come of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum News {
    /// Of [`Job::Predict`], and its last: the tensors `epsilon` and `x0`.
    Predicted {
        /// How long it took.
        milliseconds: f64,
    },
    /// Some images of a step are computed.
    Part {
        /// The step being computed, 1…n.
        step: usize,
        /// Images done in it.
        done: usize,
        /// Images in all.
        of: usize,
    },
    /// A step of a walk is complete: the tensors `x` and `x0`, and whatever is watched.
    Frame {
        /// Steps done.
        step: usize,
        /// The timestep the network was asked at.
        timestep: usize,
        /// How long the step took.
        milliseconds: f64,
    },
    /// Of [`Job::Measure`], with the tensor that it says.
    Measured {
        /// Of losses the timestep, of the bound how many questions are answered.
        at: usize,
    },
    /// Of [`Job::Check`].
    Check(CheckNews),
    /// All of it is done.
    Done,
    /// It cannot be done, which is the job's own fault: the engine goes on.
    Failed {
        /// One sentence.
        message: String,
    },
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
    /// A prediction, or a training step, is timed.
    Timed(Timing),
    /// Something was left out, as it would take too long or too much memory.
    Skipped {
        /// What.
        work: Work,
        /// Images at once.
        batch: usize,
        /// Milliseconds that it would have taken: about so many of a prediction, so many at least of a training step.
        estimate: f64,
        /// Bytes that a training step would have taken at least.
        least_bytes: Option<f64>,
    },
    /// Bytes of the worker's memory, which never shrinks: the most it needed. A GPU's memory is not in it.
    Memory(f64),
}

/// Numbers with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// What they are.
    pub name: String,
    /// `[N, H, W, C]`.
    pub shape: Shape,
    /// As many as the shape says.
    pub values: Vec<f32>,
}

impl Tensor {
    /// A tensor of that name.
    pub fn new(name: &str, shape: Shape, values: Vec<f32>) -> Self {
        Self { name: name.to_owned(), shape, values }
    }

    /// The values of that name among some tensors, if there are as many as there should be.
    pub fn take(tensors: &mut Vec<Self>, name: &str, len: usize) -> Option<Vec<f32>> {
        let at = tensors.iter().position(|tensor| tensor.name == name && tensor.values.len() == len)?;
        Some(tensors.swap_remove(at).values)
    }
}
