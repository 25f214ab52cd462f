//! A model on an engine, and the run in progress.

use super::run::Run;
use super::{Noise, PlaygroundError, Predictor, Settings, Watched, check_finite, check_length, label_of};
use crate::checkpoint::{Checkpoint, SchedulerConfig};
use crate::diffusion::Schedule;
use crate::diffusion::posterior::Reading;
use crate::engine::{Ahead, Engine, Program, Started, Weights};
use crate::graph::WatchError;
use crate::model::config::UnetConfig;
use crate::model::step::{self, Sampling};
use crate::tensor::Shape;
use std::collections::VecDeque;
use std::ops::Range;

/// Steps that were started before their turn, all images at once. They are not part of the run until their turn comes.
#[derive(Default)]
struct InFlight {
    /// Started, with the number of steps in each portion.
    started: VecDeque<(usize, Started)>,
    /// Finished: x and the network's output after each, and what is watched.
    finished: VecDeque<Vec<Vec<f32>>>,
    /// Whether the engine's x is the one after the last step started.
    x_is_there: bool,
}

impl InFlight {
    fn steps(&self) -> usize {
        self.started.iter().map(|(steps, _)| steps).sum::<usize>() + self.finished.len()
    }
}

/// The state after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Steps done, 1…n.
    pub step: usize,
    /// n.
    pub steps: usize,
    /// The timestep the model was asked at, 0…T−1.
    pub timestep: usize,
    /// The new x, `[N, H, W, C]`.
    pub x: Vec<f32>,
    /// What the model took for x_0 at this step, clipped as the sampler says, `[N, H, W, C]`.
    pub x0: Vec<f32>,
    /// What [`Session::watch`] asked for, of the prediction that this step made of the x before it.
    pub watched: Vec<Watched>,
}

/// How far [`Session::advance`] came.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// Some images of the current step are computed.
    Part {
        /// Images done.
        done: usize,
        /// Images of the run.
        of: usize,
    },
    /// A step is complete.
    Step(Frame),
    /// There is no run, or nothing left of it.
    Finished,
}

/// What the network makes of one noised image.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// ε̂, `[1, H, W, C]`.
    pub epsilon: Vec<f32>,
    /// x̂_0 = (x_t − √(1 − ᾱ)·ε̂)/√ᾱ, not clipped, `[1, H, W, C]`.
    pub x0: Vec<f32>,
    /// What [`Session::watch`] asked for.
    pub watched: Vec<Watched>,
}

/// A sampling program: images at once, what a step consists of, and what is watched.
pub(super) type Key = (usize, Sampling, Vec<String>);

/// A model on an engine, and the run in progress.
pub struct Session {
    engine: Engine,
    config: UnetConfig,
    scheduler: SchedulerConfig,
    weights: Weights,
    schedule: Schedule,
    images_at_once: usize,
    /// Names, and the shape each value has for one image.
    watched: Vec<(String, Shape)>,
    predictor: Option<Predictor>,
    steppers: Vec<(Key, Program)>,
    run: Option<Run>,
    in_flight: InFlight,
}

impl Session {
    /// Takes a model into the engine's care; nothing is compiled yet.
    ///
    /// # Errors
    /// Parameters that do not fit the config, a schedule that cannot be; a failing engine.
    pub fn new(engine: Engine, checkpoint: Checkpoint) -> Result<Self, PlaygroundError> {
        let weights = super::load(&engine, &checkpoint)?;
        Self::of(engine, checkpoint.config, checkpoint.scheduler, weights)
    }

    /// A session of weights that are on the engine already, those of a training run, say.
    ///
    /// # Errors
    /// A schedule that cannot be.
    pub fn of(
        engine: Engine,
        config: UnetConfig,
        scheduler: SchedulerConfig,
        weights: Weights,
    ) -> Result<Self, PlaygroundError> {
        let schedule = scheduler.schedule()?;
        let (predictor, steppers, run, in_flight) = (None, Vec::new(), None, InFlight::default());
        Ok(Self {
            engine,
            config,
            scheduler,
            weights,
            schedule,
            images_at_once: 16,
            watched: Vec::new(),
            predictor,
            steppers,
            run,
            in_flight,
        })
    }

    /// How many images go through the network together, 16 unless told otherwise: fewer give the caller more pauses. The
    /// results do not depend on it, up to rounding.
    pub fn set_images_at_once(&mut self, images: usize) {
        self.images_at_once = images.max(1);
        self.in_flight = InFlight::default();
    }

    /// Values inside the network that predictions from now on, and the frames of runs that begin from now on, carry along,
    /// in the order in which they are computed and each once; none at first. [`step::watchable`] lists the names. A run in
    /// progress goes on as it began: begin it anew with [`Self::start_after`] to see more or less.
    ///
    /// No x depends on it. With nothing to watch the programs are those of a session that never watched; with something
    /// they hold it in memory, and a GPU starts one step at a time, so that not too much is on its way at once.
    ///
    /// # Errors
    /// A name that the network does not have; what was watched before still is.
    pub fn watch(&mut self, names: &[impl AsRef<str>]) -> Result<(), PlaygroundError> {
        let mut known = step::watchable(&self.config, self.image_shape());
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        if let Some(name) = names.iter().find(|name| known.iter().all(|(other, _)| other != *name)) {
            let known = known.into_iter().map(|(name, _)| name).collect();
            return Err(WatchError::Unknown { name: (*name).to_owned(), known }.into());
        }
        known.retain(|(name, _)| names.contains(&name.as_str()));
        if known != self.watched {
            (self.watched, self.predictor) = (known, None);
        }
        Ok(())
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How the model was trained and is sampled.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    /// The model's parameters on the engine, which all programs of the session share.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// β, ᾱ and so on.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// `[1, H, W, C]` of the images this model was made for.
    pub fn image_shape(&self) -> Shape {
        self.config.image_shape()
    }

    /// ε̂ and x̂_0 for one x_t `[1, H, W, C]` at a timestep 0…T−1. Without a class the null class is used, or
    /// class 0 where there is none.
    ///
    /// # Errors
    /// A wrong length, timestep or class; a failing engine; a result that is not finite.
    pub async fn predict(
        &mut self,
        x_t: &[f32],
        timestep: usize,
        class: Option<usize>,
    ) -> Result<Predicted, PlaygroundError> {
        let timestep = self.schedule.check(timestep)?;
        let config = &self.config;
        let shape = config.image_shape();
        check_length("x_t", x_t.len(), shape.len())?;
        let label = match class {
            None => config.null_class.unwrap_or(0),
            Some(class) => label_of(config, Some(class))?.unwrap_or(0),
        };
        if self.predictor.is_none() {
            let names: Vec<&str> = self.watched.iter().map(|(name, _)| name.as_str()).collect();
            self.predictor = Some(Predictor::watching(&self.engine, config, &self.weights, shape, 1, &names)?);
        }
        let Some(predictor) = &mut self.predictor else { return Err(PlaygroundError::NoImages) };
        let output = predictor.predict(x_t, &[timestep], &[label]).await?;
        let read = Reading::new(self.scheduler.prediction_type, self.schedule.alpha_bar(timestep));
        let mix = |(of_x, of_output): (f64, f64)| -> Vec<f32> {
            let pair = x_t.iter().zip(&output);
            pair.map(|(&x, &m)| (of_x * f64::from(x) + of_output * f64::from(m)) as f32).collect()
        };
        let (epsilon, x0) = (mix(read.epsilon), mix(read.x0));
        check_finite(&x0, timestep)?;
        let mut watched = Vec::with_capacity(self.watched.len());
        for (name, shape) in &self.watched {
            let values = predictor.program().read(name).await?;
            watched.push(Watched { name: name.clone(), shape: *shape, values });
        }
        Ok(Predicted { epsilon, x0, watched })
    }

    /// Begins a run; one in progress is dropped.
    ///
    /// # Errors
    /// Settings that this model or its schedule cannot fulfil, given noise of a wrong size.
    pub fn start(&mut self, settings: &Settings, noise: Noise) -> Result<(), PlaygroundError> {
        self.start_after(settings, noise, 0)
    }

    /// Begins a run after its first `position` steps, whose state is the given x: so an interrupted run goes on with the noise
    /// it would have had. (DPM-Solver++, which remembers one step, takes a first-order step there.)
    ///
    /// # Errors
    /// As [`Self::start`]; a position beyond the last step.
    pub fn start_after(&mut self, settings: &Settings, noise: Noise, position: usize) -> Result<(), PlaygroundError> {
        self.start_part(settings, noise, position, 0..settings.classes.len())
    }

    /// Begins a share of a run: these images of it, with the noise they have in the whole. Given noise is theirs alone, and
    /// frames hold nothing else. So several sessions together make what one would.
    ///
    /// # Errors
    /// As [`Self::start_after`]; images that are none of the run's.
    pub fn start_part(
        &mut self,
        settings: &Settings,
        noise: Noise,
        position: usize,
        part: Range<usize>,
    ) -> Result<(), PlaygroundError> {
        let run = Run::new(&self.config, &self.schedule, settings, noise, position, part, &self.watched)?;
        let wanted = run.keys(self.image_shape(), self.images_at_once);
        self.steppers.retain(|(key, _)| wanted.contains(key));
        self.run = Some(run);
        self.in_flight = InFlight::default();
        Ok(())
    }

    /// Drops the run in progress.
    pub fn stop(&mut self) {
        self.run = None;
        self.in_flight = InFlight::default();
    }

    /// The run's x as it stands, `[N, H, W, C]`: noise before the first step.
    pub fn x(&self) -> Option<&[f32]> {
        self.run.as_ref().map(|run| run.x.as_slice())
    }

    /// Takes a whole step; `None` after the last one.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub async fn step(&mut self) -> Result<Option<Frame>, PlaygroundError> {
        loop {
            match self.advance().await? {
                Advance::Part { .. } => {}
                Advance::Step(frame) => return Ok(Some(frame)),
                Advance::Finished => return Ok(None),
            }
        }
    }

    /// Computes the next [`Self::set_images_at_once`] images of the current step. On a GPU that is fast enough some later steps
    /// are started along with it, and waited for when their turn comes.
    ///
    /// # Errors
    /// A failing engine; a result that is not finite. The run is as it was before the call.
    pub async fn advance(&mut self) -> Result<Advance, PlaygroundError> {
        let result = self.try_advance().await;
        if result.is_err() {
            self.in_flight = InFlight::default();
        }
        result
    }

    async fn try_advance(&mut self) -> Result<Advance, PlaygroundError> {
        let Some(run) = self.run.as_mut().filter(|run| run.position < run.steps.len()) else {
            return Ok(Advance::Finished);
        };
        let config = &self.config;
        let image = config.image_shape();
        let first = run.images_done;
        let count = self.images_at_once.min(run.count(image) - first);
        let key = run.key(count);
        if !self.steppers.iter().any(|(k, _)| *k == key) {
            let graph = step::sampling_step_watching(config, image.with_n(count), key.1, &key.2)?;
            self.steppers.push((key.clone(), self.engine.compile_with(&graph, &self.weights)?));
        }
        let Some((_, program)) = self.steppers.iter_mut().find(|(k, _)| *k == key) else {
            return Ok(Advance::Finished);
        };
        let range = first * image.len()..(first + count) * image.len();
        // Some of the images cannot go ahead of the others: the next step is theirs, too.
        let whole = count == run.count(image);
        let mut ahead = if whole { program.ahead() } else { Ahead { runs: 1, portions: 1 } };
        if !run.watched.is_empty() {
            // What is kept of a run may be large, and there would be room for many.
            ahead.runs = 1;
        }
        let in_flight = &mut self.in_flight;
        while in_flight.finished.is_empty() && in_flight.started.len() < ahead.portions.max(1) {
            let from = run.position + in_flight.steps();
            let steps = ahead.runs.max(1).min(run.steps.len() - from);
            if steps == 0 {
                break;
            }
            if !in_flight.x_is_there {
                run.write(program, first, count, image)?;
            }
            let started = run.begin(program, config, from..from + steps, range.clone(), image)?;
            in_flight.started.push_back((steps, started));
            in_flight.x_is_there = whole;
        }
        if in_flight.finished.is_empty()
            && let Some((_, started)) = in_flight.started.pop_front()
        {
            in_flight.finished.extend(program.finish(started).await?);
        }
        let mut kept = in_flight.finished.pop_front().unwrap_or_default();
        let watched = kept.split_off(kept.len().min(2));
        let Ok([next, output]) = <[_; 2]>::try_from(kept) else {
            return Ok(Advance::Finished);
        };
        let now = run.steps[run.position];
        check_finite(&next, now.timestep)?;
        run.take(range, &next, &output, &watched, image);
        run.images_done += count;
        let of = run.count(image);
        if run.images_done < of {
            return Ok(Advance::Part { done: run.images_done, of });
        }
        Ok(Advance::Step(run.finish_step()))
    }
}
