//! What a distillation is asked for: which student, of which teacher, in how many halvings. Plain data, saved with a run.

use super::DistillError;
use super::interval::{Interval, intervals, sampler, shared};
use crate::checkpoint::{Checkpoint, SchedulerConfig, Suggested};
use crate::diffusion::walk::DDIM;
use crate::diffusion::{Convention, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing};
use crate::model::config::UnetConfig;
use serde::{Deserialize, Serialize};
use std::iter::successors;

/// The parameter with a row for each label.
const TABLE: &str = "class_embedding.weight";

/// A student of `steps` steps by halving the teacher's again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// N, the student's steps at last.
    pub steps: usize,
    /// M, the teacher's steps at first: N times a power of two.
    pub from_steps: usize,
    /// The guidance w that the result has in it.
    pub guidance: f64,
    /// The result is to take N/2 steps as well: one more halving, in which what only the longer list has is kept.
    #[serde(default)]
    pub and_half: bool,
    /// Training steps of each halving.
    pub training_steps: u64,
    /// The teacher's null class, if it has one.
    pub null_class: Option<usize>,
    /// Numbers of steps, beside N, that the result is to be offered for.
    pub valid_steps: Vec<usize>,
}

impl Distillation {
    /// The teacher's steps at first where nobody says: the smallest number from 16 on that N times a power of two reaches, and at
    /// least one halving.
    pub fn usual_from(steps: usize) -> usize {
        let doubled = successors(Some(2 * steps.max(1)), |from| Some(2 * from));
        doubled.into_iter().find(|&from| from >= 16).unwrap_or(2 * steps)
    }

    /// The student's steps in each halving, the last of them N, or N/2 where that is asked for as well.
    pub fn halvings(&self) -> Vec<usize> {
        let least = if self.and_half { self.steps / 2 } else { self.steps };
        successors(Some(self.from_steps / 2), |n| Some(n / 2)).take_while(|&n| n >= least.max(1)).collect()
    }

    /// The intervals of a halving, in the order of the timesteps.
    ///
    /// # Errors
    /// Lists that do not fit into each other.
    pub fn intervals(
        &self,
        schedule: &Schedule,
        halving: usize,
        like: &SamplerConfig,
    ) -> Result<Vec<Interval>, DistillError> {
        let steps = self.halvings().get(halving).copied().unwrap_or(self.steps);
        if steps < self.steps { shared(schedule, self.steps, like) } else { intervals(schedule, steps, like) }
    }

    /// Training steps of all halvings.
    pub fn total(&self) -> u64 {
        self.training_steps * self.halvings().len() as u64
    }

    /// Whether this can be done with a model as the teacher.
    ///
    /// # Errors
    /// Steps that are not halved from M to N, or have no timesteps; a teacher that does not predict v; guidance without a null class;
    /// a distilled teacher that was not made for M steps.
    pub fn check(&self, teacher: &Checkpoint) -> Result<(), DistillError> {
        let (config, scheduler) = (&teacher.config, &teacher.scheduler);
        if scheduler.prediction_type != Prediction::VPrediction {
            return Err(DistillError::Prediction { found: scheduler.prediction_type.name() });
        }
        let (steps, from) = (self.steps, self.from_steps);
        let power = from.checked_div(steps).filter(|power| power * steps == from && power.is_power_of_two());
        // One that takes as many steps already can still learn to take half as many.
        if power.is_none_or(|power| power < 2 && !self.and_half) {
            return Err(DistillError::Halvings { steps, from });
        }
        if self.and_half && steps % 2 != 0 {
            return Err(DistillError::Half { steps });
        }
        let (schedule, like) = (scheduler.schedule()?, scheduler.sampler(from));
        for halving in 0..self.halvings().len() {
            self.intervals(&schedule, halving, &like)?;
        }
        for &steps in &self.valid_steps {
            DDIM.timesteps(schedule.timesteps(), &sampler(steps, &like))?;
        }
        if !(Suggested::GUIDANCE.0..=Suggested::GUIDANCE.1).contains(&self.guidance) {
            return Err(DistillError::GuidanceRange { found: self.guidance });
        }
        let suggested = &scheduler.suggested;
        if suggested.is_distilled() {
            return Ok(suggested.check(&schedule, &sampler(from, &like), self.guidance)?);
        }
        if self.guidance != 1.0 && config.null_class.is_none() {
            return Err(DistillError::Guidance { found: self.guidance });
        }
        Ok(())
    }

    /// The student before it has learned anything: the teacher, less the null class if that is its last label. A null class between
    /// the others keeps its row, which nothing is taught.
    pub fn student(&self, teacher: &Checkpoint) -> Checkpoint {
        let mut student = teacher.clone();
        let net = &mut student.config;
        // What is trained on without is a model without.
        net.dropout = 0.0;
        if let Some((none, rows)) = net.null_class.take().zip(net.num_class_embeds) {
            if none + 1 == rows && none > 0 {
                net.num_class_embeds = Some(none);
                net.class_names.truncate(none);
                if let Some((shape, values)) = student.tensors.get_mut(TABLE) {
                    values.truncate(values.len() / rows * none);
                    shape[0] = none;
                }
            } else if let Some(name) = net.class_names.get_mut(none) {
                // It would be offered as a class by the name it had, which nobody had to tell from the others.
                *name = format!("(label {none}, once the null class)");
            }
        }
        student.scheduler = self.scheduler(&teacher.scheduler, 0);
        student
    }

    /// The network that teaches in a halving, of a student's: the first time the one with the null class.
    pub fn teacher(&self, student: &UnetConfig, halving: usize) -> UnetConfig {
        let Some(none) = self.null_class.filter(|_| halving == 0) else { return student.clone() };
        let rows = student.num_class_embeds.map(|rows| rows.max(none + 1));
        UnetConfig { null_class: Some(none), num_class_embeds: rows, ..student.clone() }
    }

    /// How the student of a halving is sampled, and by no other way: `like` with its steps, DDIM without noise on a trailing list.
    pub fn scheduler(&self, like: &SchedulerConfig, halving: usize) -> SchedulerConfig {
        let halvings = self.halvings();
        let steps = halvings.get(halving).copied().unwrap_or(self.steps).max(self.steps);
        let mut valid = vec![steps];
        if halving + 1 >= halvings.len() {
            valid.extend(self.and_half.then_some(self.steps / 2));
            valid.extend(&self.valid_steps);
            valid.sort_unstable();
            valid.dedup();
        }
        let suggested = Suggested {
            sampler: Some(SamplerKind::Ddim),
            steps: Some(steps),
            spacing: None,
            convention: Some(Convention::Paper),
            eta: Some(0.0),
            // A distilled teacher is not guided once more: what is in it stays.
            guidance: like.suggested.guidance.filter(|_| like.suggested.is_distilled()).or(Some(self.guidance)),
            valid_steps: valid,
        };
        SchedulerConfig {
            kind: SamplerKind::Ddim,
            timestep_spacing: Spacing::Trailing,
            set_alpha_to_one: true,
            suggested,
            ..like.clone()
        }
    }
}
