//! Progressive distillation: a student learns to take in one step what its teacher takes in two, and then teaches the next
//! (Salimans & Ho 2022, arXiv 2202.00512, algorithm 2), in v.
//!
//! The first teacher is the model itself, guided; so guidance is in the student, which needs no second evaluation and no null class.
//! A last halving can be shared: a student of four steps that takes two as well ([`shared`]).
//!
//! Each halving begins with the teacher's weights and a fresh optimizer. A student is valid at its own timesteps only.

pub mod interval;
mod plan;
mod teacher;

pub use interval::{Interval, intervals, shared};
pub use plan::Distillation;
pub use teacher::Teacher;

use super::draw::{draw_timesteps, mirror_some};
use super::saved::{self, Progress, SavedError};
use super::state::STATE_FILE;
use super::{Recipe, StepReport, TrainError, TrainOptions, Trainer};
use crate::checkpoint::{Checkpoint, CheckpointError, Dtype, NotMadeFor, SchedulerConfig, TensorFile};
use crate::diffusion::{DiffusionError, Schedule, forward};
use crate::engine::{Engine, EngineError};
use crate::model::config::UnetConfig;
use crate::model::step::prediction;
use crate::rng::Rng;
use crate::tensor::Shape;

/// Prefix of the tensors of a saved state that are the teacher's.
const TEACHER: &str = "teacher.";

/// Why a model cannot be distilled.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// A teacher that predicts something else than v.
    #[error(
        "a student begins with its teacher's weights and learns v: expected a model that predicts v_prediction, found {found}"
    )]
    Prediction {
        /// What it predicts.
        found: &'static str,
    },
    /// Steps that do not become one another by halving.
    #[error("steps are halved again and again: expected to begin with 2, 4, 8 or so times {steps}, found {from}")]
    Halvings {
        /// The student's steps.
        steps: usize,
        /// The teacher's.
        from: usize,
    },
    /// Half of an odd number.
    #[error("a student of {steps} steps cannot take half as many as well: expected an even number")]
    Half {
        /// The student's steps.
        steps: usize,
    },
    /// Lists that do not fit into each other.
    #[error(
        "of {timesteps} timesteps a trailing list of {} does not hold that of {steps}: expected other numbers of steps",
        2 * .steps
    )]
    Lists {
        /// The student's steps.
        steps: usize,
        /// T.
        timesteps: usize,
    },
    /// Guidance of a model that has none.
    #[error("the model has no null class (_null_class in config.json), so guidance must be 1, found {found}")]
    Guidance {
        /// w.
        found: f64,
    },
    /// Guidance beyond what is accepted anywhere.
    #[error("guidance must be from -20 to 20, found {found}")]
    GuidanceRange {
        /// w.
        found: f64,
    },
    /// A distilled teacher that is asked for something else than it was made for.
    #[error("the teacher is distilled itself: {0}")]
    Teacher(#[from] NotMadeFor),
    /// A number of steps or a schedule that cannot be.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// The teacher's weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The trainer, or its engine.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl From<EngineError> for DistillError {
    fn from(error: EngineError) -> Self {
        Self::Train(error.into())
    }
}

/// A student in training, and its teacher.
pub struct Distiller {
    engine: Engine,
    plan: Distillation,
    scheduler: SchedulerConfig,
    schedule: Schedule,
    student: UnetConfig,
    trainer: Trainer,
    teacher: Teacher,
    /// Whose steps these are, counted from 0.
    halving: usize,
    intervals: Vec<Interval>,
    shape: Shape,
}

impl Distiller {
    /// The student of a model, before its first step. Of the options label dropout counts for nothing, and the learning rate is laid out
    /// anew for each halving.
    ///
    /// # Errors
    /// A plan that cannot be followed with this model; weights that do not fit; a failing engine.
    pub fn begin(
        engine: &Engine,
        model: &Checkpoint,
        plan: &Distillation,
        options: TrainOptions,
    ) -> Result<Self, DistillError> {
        plan.check(model)?;
        let student = plan.student(model);
        let net = plan.teacher(&student.config, 0);
        let values = model.load_parameters(&prediction(&net, net.image_shape()).parameters())?;
        Self::assemble(engine, &student, plan, options, 0, &values)
    }

    /// The student of a run as it was saved: `student` is its model, `state` holds all tensors, and the step they belong to.
    ///
    /// # Errors
    /// A state of another model; a failing engine.
    pub fn resume(
        engine: &Engine,
        student: &Checkpoint,
        plan: &Distillation,
        options: TrainOptions,
        state: &TensorFile,
    ) -> Result<Self, DistillError> {
        // The step is part of the state, and who teaches follows from it: at the end of a halving still its own teacher.
        let step = super::state::step(state).unwrap_or(0);
        let halving = (step.saturating_sub(1) / plan.training_steps.max(1)) as usize;
        let net = plan.teacher(&student.config, halving);
        let mut values = Vec::new();
        for spec in prediction(&net, net.image_shape()).parameters() {
            let name = format!("{TEACHER}{}", spec.name);
            match state.f32(&name, 4) {
                Ok((_, found)) if found.len() == spec.shape.len() => values.push(found.to_vec()),
                _ => return Err(TrainError::State { name, expected: spec.shape.len() }.into()),
            }
        }
        let mut distiller = Self::assemble(engine, student, plan, options, halving, &values)?;
        distiller.trainer.restore_tensors(state, step)?;
        Ok(distiller)
    }

    fn assemble(
        engine: &Engine,
        student: &Checkpoint,
        plan: &Distillation,
        options: TrainOptions,
        halving: usize,
        teacher: &[Vec<f32>],
    ) -> Result<Self, DistillError> {
        let (config, scheduler) = (&student.config, plan.scheduler(&student.scheduler, halving));
        let schedule = scheduler.schedule()?;
        let shape = config.image_shape().with_n(options.batch);
        let net = plan.teacher(config, halving);
        let weights = engine.load(&prediction(&net, shape).parameters(), teacher)?;
        let teacher = Teacher::new(engine, &net, weights, shape, plan.guidance)?;
        let values = student.load_parameters(&prediction(config, shape).parameters())?;
        let mut trainer = Trainer::new(engine, config, schedule.clone(), scheduler.prediction_type, options, &values)?;
        trainer.set_stretch(halving as u64 * plan.training_steps, plan.training_steps);
        let intervals = plan.intervals(&schedule, halving, &scheduler.sampler(plan.steps))?;
        let (engine, plan, student) = (engine.clone(), plan.clone(), config.clone());
        Ok(Self { engine, plan, scheduler, schedule, student, trainer, teacher, halving, intervals, shape })
    }

    /// What is asked for.
    pub fn plan(&self) -> &Distillation {
        &self.plan
    }

    /// The halving of the last step taken, counted from 0.
    pub fn halving(&self) -> usize {
        self.halving
    }

    /// How the student is sampled as it is now.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    /// The student's steps, first to last, with the teacher's beside them.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Who teaches.
    pub fn teacher(&mut self) -> &mut Teacher {
        &mut self.teacher
    }

    /// The student's trainer.
    pub fn trainer(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Takes one step on pictures: `x_0` `[N, H, W, C]` in [−1, 1] and, for class models, the label of each.
    ///
    /// Every picture is noised to one of the student's timesteps, evenly over the batch, and its teacher says where two steps lead
    /// from there. Timesteps, noise and mirroring come from the seed and the number of the step alone.
    ///
    /// # Errors
    /// As [`Trainer::step_towards`].
    pub async fn step(&mut self, x_0: &[f32], labels: &[usize]) -> Result<StepReport, TrainError> {
        let step = self.trainer.step_count();
        if step > 0 && step == (self.halving as u64 + 1) * self.plan.training_steps {
            self.turn().await?;
        }
        let (n, all) = (self.shape.n(), self.shape.len());
        if x_0.len() != all {
            return Err(EngineError::WrongLength { name: "x_0".to_owned(), expected: all, found: x_0.len() }.into());
        }
        let mut rng = Rng::stream(self.trainer.options().seed, step + 1);
        let levels = draw_timesteps(&mut rng, n, self.intervals.len(), true);
        let noise = rng.normals(all);
        let mut x_0 = x_0.to_vec();
        if self.trainer.options().flip {
            mirror_some(&x_0.clone(), self.shape, &mut rng, &mut x_0);
        }
        let intervals: Vec<Interval> = levels.iter().map(|&level| self.intervals[level]).collect();
        let timesteps: Vec<usize> = intervals.iter().map(Interval::timestep).collect();

        let image = all / n;
        let mut z_t = vec![0.0; all];
        let images = x_0.chunks_exact(image).zip(noise.chunks_exact(image)).zip(z_t.chunks_exact_mut(image));
        for (((x_0, noise), z_t), &t) in images.zip(&timesteps) {
            forward::noised(&self.schedule, t, x_0, noise, z_t);
        }
        let z_s = self.teacher.two_steps(&z_t, &intervals, labels).await?;
        let pairs = z_t.chunks_exact(image).zip(z_s.chunks_exact(image)).zip(&intervals);
        let v: Vec<f32> = pairs.flat_map(|((z_t, z_s), interval)| interval.target(z_t, z_s)).collect();
        self.trainer.step_towards(&z_t, &v, &timesteps, labels).await
    }

    /// The student becomes the teacher of the next halving.
    async fn turn(&mut self) -> Result<(), TrainError> {
        self.trainer.restart().await?;
        let values = self.trainer.read_weights(true).await?;
        let weights = self.engine.load(self.trainer.parameters(), &values)?;
        self.halving += 1;
        self.teacher = Teacher::new(&self.engine, &self.student, weights, self.shape, 1.0)?;
        self.scheduler = self.plan.scheduler(&self.scheduler, self.halving);
        // That of every halving was made when the plan was checked.
        let like = self.scheduler.sampler(self.plan.steps);
        let intervals = self.plan.intervals(&self.schedule, self.halving, &like);
        self.intervals = intervals.unwrap_or_default();
        Ok(())
    }

    /// The state as it is now: that of [`Trainer::to_bytes`], and the teacher's weights.
    ///
    /// # Errors
    /// A failing engine; values that are not finite.
    pub async fn to_bytes(&mut self) -> Result<Vec<u8>, SavedError> {
        let mut file = self.trainer.tensors().await?;
        for (name, shape) in self.teacher.weights().entries() {
            let values = self.teacher.weights().read(name).await.map_err(TrainError::from)?;
            file.insert_f32(format!("{TEACHER}{name}"), &shape.0, values);
        }
        Ok(file.to_bytes(Dtype::F32)?)
    }

    /// The files of the run as it is now, names and contents: see [`saved::to_files`]. `model` is the student.
    ///
    /// # Errors
    /// As there.
    pub async fn to_files(
        &mut self,
        model: &Checkpoint,
        recipe: &Recipe,
        progress: &Progress,
    ) -> Result<Vec<(String, Vec<u8>)>, SavedError> {
        let model = Checkpoint { scheduler: self.scheduler.clone(), tensors: Default::default(), ..model.clone() };
        let progress = Progress { distillation: Some(self.plan.clone()), ..progress.clone() };
        let mut files = saved::but_state(&model, recipe, &progress, &mut self.trainer).await?;
        files.push((STATE_FILE.to_owned(), self.to_bytes().await?));
        Ok(files)
    }
}
