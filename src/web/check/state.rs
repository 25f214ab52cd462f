use crate::engine::Kind;
use crate::selftest::{OpReport, Timing, Work};
use crate::web::job::Ticket;
use serde::Serialize;

/// The engines in the order of their turns.
pub const ENGINES: [Kind; 2] = [Kind::Cpu, Kind::Gpu];
/// What an engine is asked for: to open, to compare its ops, to know ε, to time two predictions, to know what a training step
/// comes to, to time one.
const PARTS: f64 = 7.0;

/// A check in progress, or what came of the last one.
#[derive(Debug, Default)]
pub struct State {
    /// The job of the engine whose turn it is.
    pub ticket: Option<Ticket>,
    /// Whose turn that is.
    pub turn: usize,
    /// What the present engine has begun.
    pub parts: u32,
    /// What is being done, or came of it, in words.
    pub status: String,
    /// That is an error.
    pub failed: bool,
    /// What has come of it.
    pub report: Report,
    /// All of it, once it is complete.
    pub json: String,
    /// Counts the changes, so that tables are built anew only then.
    pub revision: u32,
}

/// What came of a check, and the content of `check-json`.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The net that was timed.
    pub net: String,
    /// Whether every result of every engine that is there is right.
    pub passed: bool,
    /// The largest error that passes.
    pub tolerance: f64,
    /// Processor cores, as the browser counts them.
    pub cores: usize,
    /// What the browser calls itself.
    pub browser: String,
    /// Every engine.
    pub engines: Vec<EngineReport>,
    /// Every op on each.
    pub ops: Vec<Of<OpReport>>,
    /// Every prediction by the clock, then a training step.
    pub times: Vec<Of<Timing>>,
    /// Those that would have taken too long.
    pub left_out: Vec<Of<LeftOut>>,
}

/// An engine, and why it could not be checked.
#[derive(Debug, Serialize)]
pub struct EngineReport {
    /// Which.
    pub engine: Kind,
    /// What it runs on, once it has opened.
    pub adapter: Option<String>,
    /// That is a program, not hardware.
    pub software: bool,
    /// Milliseconds of comparing its ops.
    pub ops_ms: Option<f64>,
    /// Of its worker.
    pub memory_bytes: Option<f64>,
    /// Why it could not be checked.
    pub error: Option<String>,
}

/// Something about an engine.
#[derive(Debug, Serialize)]
pub struct Of<T> {
    /// Which.
    pub engine: Kind,
    /// What.
    #[serde(flatten)]
    pub what: T,
}

/// What would have taken too long, or too much memory.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// A prediction or a training step.
    pub work: Work,
    /// Images at once.
    pub batch: usize,
    /// About how long; of a training step, at least.
    pub estimated_ms: f64,
    /// Bytes that a training step needs at least.
    pub least_bytes: Option<f64>,
}

impl State {
    /// How far it is, 0…1.
    pub fn progress(&self) -> f64 {
        let done = self.turn as f64 + f64::from(self.parts.saturating_sub(1)) / PARTS;
        done / ENGINES.len() as f64
    }
}

impl Report {
    /// An engine that failed after it had opened is a failure; one that is not there is none.
    pub fn judge(&mut self) {
        self.passed = !self.ops.is_empty()
            && self.engines.iter().all(|of| of.error.is_none() || of.adapter.is_none())
            && self.ops.iter().all(|op| op.what.passed)
            && self.times.iter().all(|time| time.what.passed);
    }

    /// The ops of one engine.
    pub fn ops_of(&self, engine: Kind) -> Vec<&OpReport> {
        self.ops.iter().filter(|op| op.engine == engine).map(|op| &op.what).collect()
    }
}
