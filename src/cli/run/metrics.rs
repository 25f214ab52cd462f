//! metrics.jsonl: a line of numbers every few steps, and for the last one.

use crate::checkpoint;
use crate::train::{BUCKETS, StepReport, bucket};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Name of the file in a run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// Steps between two lines.
const LOG_EVERY: u64 = 10;

/// The file, and what has been seen since its last line.
pub struct Metrics {
    file: File,
    timesteps: usize,
    batch: usize,
    /// Sum and number of the errors in each range of timesteps.
    errors: [(f64, usize); BUCKETS],
    steps: u64,
    seconds: f64,
    /// The last of these steps: number, loss, gradient norm and rate.
    last: Option<(u64, f32, f32, f64)>,
}

impl Metrics {
    /// Opens the file to go on after `step`.
    pub fn open(dir: &Path, step: u64, timesteps: usize, batch: usize) -> Result<Self, super::super::Failure> {
        let path = dir.join(METRICS_FILE);
        forget_after(dir, step)?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(Self { file, timesteps, batch, errors: Default::default(), steps: 0, seconds: 0.0, last: None })
    }

    /// Takes in a step and the time it took; now and then writes a line.
    pub fn add(&mut self, report: &StepReport, seconds: f64) -> io::Result<()> {
        for image in &report.errors {
            let (sum, count) = &mut self.errors[bucket(image.timestep, self.timesteps)];
            *sum += f64::from(image.error);
            *count += 1;
        }
        self.steps += 1;
        self.seconds += seconds;
        self.last = Some((report.step, report.loss, report.grad_norm, report.lr));
        if report.step.is_multiple_of(LOG_EVERY) || report.step == 1 { self.finish() } else { Ok(()) }
    }

    /// Writes a line about the steps since the last one, if there are any.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some((step, loss, grad_norm, lr)) = self.last.take() else { return Ok(()) };
        let mean = |&(sum, count): &(f64, usize)| (count > 0).then(|| sum / count as f64);
        let line = json!({
            "step": step,
            "samples": step * self.batch as u64,
            "loss": loss,
            "error_by_t": self.errors.iter().map(mean).collect::<Vec<_>>(),
            "grad_norm": grad_norm,
            "lr": lr,
            "samples_per_s": (self.steps * self.batch as u64) as f64 / self.seconds.max(1e-9),
        });
        (self.errors, self.steps, self.seconds) = (Default::default(), 0, 0.0);
        writeln!(self.file, "{line}")
    }
}

/// The lines so far; those that are no text, which a disk may have made of them, are no lines of this program's either.
fn read(dir: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(dir.join(METRICS_FILE)).ok()?).into_owned())
}

/// Takes lines out of the metrics that come after `step`: a run that was killed had gone on after its last checkpoint.
fn forget_after(dir: &Path, step: u64) -> Result<(), super::super::Failure> {
    let Some(text) = read(dir) else { return Ok(()) };
    let is_before = |line: &&str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        value.and_then(|value| value["step"].as_u64()).is_some_and(|s| s <= step)
    };
    let kept: String = text.lines().filter(is_before).flat_map(|line| [line, "\n"]).collect();
    if kept != text {
        checkpoint::replace_files(dir, &[(METRICS_FILE.to_owned(), kept.into_bytes())])?;
    }
    Ok(())
}

/// Step and loss of every line.
pub fn losses(dir: &Path) -> Vec<(u64, f64)> {
    let text = read(dir).unwrap_or_default();
    let point = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        Some((value["step"].as_u64()?, value["loss"].as_f64()?))
    };
    text.lines().filter_map(point).collect()
}
