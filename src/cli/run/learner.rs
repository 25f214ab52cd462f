//! Who learns in a run: a trainer from data, or a student from its teacher. The loop does not mind which.

use super::super::Failure;
use super::run_folder::{Files, RunFolder};
use crate::checkpoint::SchedulerConfig;
use crate::train::saved;
use crate::train::{Distiller, Progress, StepReport, TrainError, Trainer};

/// Something that learns from pictures, step by step.
pub trait Learner {
    /// Takes one step: `x_0` `[N, H, W, C]`, and for class models a label for each picture.
    fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError>;

    /// The trainer of the model that is written.
    fn trainer(&mut self) -> &mut Trainer;

    /// How the model is sampled as it is now.
    fn scheduler(&self, run: &RunFolder) -> SchedulerConfig;

    /// The files of the run as it is now: their names and contents.
    fn files(&mut self, run: &RunFolder, progress: &Progress) -> Result<Files, Failure>;
}

impl Learner for Trainer {
    fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError> {
        pollster::block_on(Trainer::step(self, x_0, labels))
    }

    fn trainer(&mut self) -> &mut Trainer {
        self
    }

    fn scheduler(&self, run: &RunFolder) -> SchedulerConfig {
        run.checkpoint.scheduler.clone()
    }

    fn files(&mut self, run: &RunFolder, progress: &Progress) -> Result<Files, Failure> {
        Ok(pollster::block_on(saved::to_files(&run.checkpoint, &run.recipe, progress, self))?)
    }
}

impl Learner for Distiller {
    fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError> {
        pollster::block_on(Distiller::step(self, x_0, labels))
    }

    fn trainer(&mut self) -> &mut Trainer {
        Distiller::trainer(self)
    }

    fn scheduler(&self, _run: &RunFolder) -> SchedulerConfig {
        Distiller::scheduler(self).clone()
    }

    fn files(&mut self, run: &RunFolder, progress: &Progress) -> Result<Files, Failure> {
        Ok(pollster::block_on(self.to_files(&run.checkpoint, &run.recipe, progress))?)
    }
}
