//! A model on an engine, asked for one prediction or led through a sampling run step by step.
//!
//! The page's worker and the command line share this; it knows no DOM, no clock and no files. A [`Session`] holds the
//! compiled programs and the run in progress. A run is plain data: it can be begun anew from any of its steps, on
//! another engine too.
//!
//! Noise from a seed is drawn from stream 0 of [`Rng`] in PyTorch's order, `[N, C, H, W]`: first x_T of all images, then, at
//! every step that adds noise, that of all images. The same seed, count and settings give the same noise everywhere.

use crate::checkpoint::{Checkpoint, CheckpointError, SchedulerConfig, Suggested};
use crate::diffusion::posterior::Reading;
use crate::diffusion::{DiffusionError, Sampler, SamplerConfig, SamplerKind, Schedule, StepCoefficients};
use crate::engine::{Ahead, Engine, EngineError, Program, Started};
use crate::graph::Graph;
use crate::model::config::UnetConfig;
use crate::model::{step, unet};
use crate::rng::Rng;
use crate::tensor::{Shape, nchw_to_nhwc};
use std::collections::VecDeque;
use std::ops::Range;

/// Stands for "not clipped" on the device, where infinity is not a number to rely on.
const UNCLIPPED: f32 = 1e30;

/// Why a prediction or a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The sampler's settings.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// A run without images.
    #[error("a run makes at least 1 image, found 0")]
    NoImages,
    /// A class that the model does not know.
    #[error("{}", class_problem(.found, .classes))]
    Class {
        /// The class asked for.
        found: usize,
        /// Number of classes of the model, 0 for a model without.
        classes: usize,
    },
    /// No class was given to a model that needs one.
    #[error("this model has no label that means none, so every image needs a class from 0 to {}", .classes.saturating_sub(1))]
    NoNullClass {
        /// Number of classes of the model.
        classes: usize,
    },
    /// Guidance with a model that cannot predict without a class.
    #[error("this model has no label that means none, so guidance must be 1, found {found}")]
    NoGuidance {
        /// The scale asked for.
        found: f64,
    },
    /// A guidance scale that is not a usable number.
    #[error("guidance must be between {} and {}, found {found}", Settings::GUIDANCE.0, Settings::GUIDANCE.1)]
    Guidance {
        /// The scale asked for.
        found: f64,
    },
    /// Values of another length than the images have.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// What was given.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// Given noise ends before the run does.
    #[error("noise was given for {found} steps, expected {expected}")]
    NoiseSteps {
        /// Steps with noise.
        found: usize,
        /// Steps of the run.
        expected: usize,
    },
    /// Images that are none of the run's.
    #[error("the run has {count} images, so images {} to {} are no part of it", .images.start, .images.end)]
    Part {
        /// The images asked for.
        images: Range<usize>,
        /// Images of the run.
        count: usize,
    },
    /// A start beyond the last step.
    #[error("the run has {steps} steps and cannot start after step {found}")]
    Position {
        /// Steps said to be done.
        found: usize,
        /// Steps of the run.
        steps: usize,
    },
    /// The computation left the real numbers.
    #[error(
        "the network's output at timestep {timestep} is not finite; the weights are those of a failed training, or the engine is faulty"
    )]
    NotFinite {
        /// Where.
        timestep: usize,
    },
}

fn class_problem(found: &usize, classes: &usize) -> String {
    match classes {
        0 => format!("this model has no classes, so class {found} cannot be asked for"),
        n => format!("a class of this model is 0 to {}, found {found}", n - 1),
    }
}

/// The sampler that a model's scheduler_config.json asks for, but with this rule, number of steps and η. DPM-Solver++ is never
/// clipped, as in diffusers.
pub fn sampler_config(scheduler: &SchedulerConfig, kind: SamplerKind, steps: usize, eta: f64) -> SamplerConfig {
    let config = scheduler.sampler(steps);
    let clip = config.clip.filter(|_| kind != SamplerKind::DpmSolverPp2M);
    SamplerConfig { kind, eta, clip, ..config }
}

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
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

/// Where the numbers of a run come from that are not computed.
#[derive(Clone, Debug)]
pub enum Noise {
    /// All of it from a seed.
    Seed(u64),
    /// x_T `[N, H, W, C]`, and the noise of every step, `[N, H, W, C]` each, or drawn from the seed where there is `None`.
    Given {
        /// The start.
        x: Vec<f32>,
        /// One entry per step.
        steps: Option<Vec<Vec<f32>>>,
        /// For what is not given: as if x_T had been drawn from it too.
        seed: u64,
    },
}

/// A sampling run: what to do, how far it has come, and where it stands.
#[derive(Clone, Debug)]
struct Run {
    /// The class label of each image; empty for a model without classes.
    labels: Vec<f32>,
    /// The label that means none, where guidance asks for both predictions.
    guided: Option<f32>,
    guidance: f32,
    kind: SamplerKind,
    steps: Vec<StepCoefficients>,
    /// Steps done.
    position: usize,
    /// Images of the current step already computed, and their new x and x̂_0 behind those of the step before.
    images_done: usize,
    x: Vec<f32>,
    x0: Vec<f32>,
    next_x: Vec<f32>,
    next_x0: Vec<f32>,
    rng: Rng,
    /// Which of the drawn images are computed here, and how many are drawn.
    part: Range<usize>,
    whole: usize,
    given: Option<Vec<Vec<f32>>>,
    /// Noise drawn for the current step and those after it.
    noise: VecDeque<Vec<f32>>,
}

/// Steps that were started before their turn, all images at once. They are not part of the run until their turn comes.
#[derive(Default)]
struct Coming {
    /// Started, with the number of steps in each portion.
    started: VecDeque<(usize, Started)>,
    /// Finished: x and the network's output after each.
    finished: VecDeque<Vec<Vec<f32>>>,
    /// Whether the engine's x is the one after the last step started.
    x_is_there: bool,
}

impl Coming {
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
}

/// Shape of a sampling program: images at once, and whether each is predicted with and without its class.
type Key = (usize, bool);

/// The x_T `[N, H, W, C]` that a run from this seed begins with.
pub fn start_noise(seed: u64, shape: Shape) -> Vec<f32> {
    draw_images(&mut Rng::new(seed), shape)
}

/// Noise for images, drawn in the order `[N, C, H, W]`.
fn draw_images(rng: &mut Rng, shape: Shape) -> Vec<f32> {
    nchw_to_nhwc(&rng.normals(shape.len()), shape)
}

/// The same, and of it the noise of some of the images.
fn draw_part(rng: &mut Rng, shape: Shape, part: &Range<usize>) -> Vec<f32> {
    let mut drawn = draw_images(rng, shape);
    let image = shape.len() / shape.n();
    drawn.truncate(part.end * image);
    drawn.split_off(part.start * image)
}

/// A model on an engine, and the run in progress.
pub struct Session {
    engine: Engine,
    checkpoint: Checkpoint,
    schedule: Schedule,
    images_at_once: usize,
    predictor: Option<Program>,
    steppers: Vec<(Key, Program)>,
    run: Option<Run>,
    coming: Coming,
}

impl Session {
    /// Takes a model into the engine's care; nothing is compiled yet.
    ///
    /// # Errors
    /// Parameters that do not fit the config, a schedule that cannot be.
    pub fn new(engine: Engine, checkpoint: Checkpoint) -> Result<Self, PlaygroundError> {
        let schedule = checkpoint.scheduler.schedule()?;
        // Whatever does not fit is found now, not at the first run.
        checkpoint
            .load_parameters(&step::prediction(&checkpoint.config, image_shape(&checkpoint.config)).parameters())?;
        let (predictor, steppers, run, coming) = (None, Vec::new(), None, Coming::default());
        Ok(Self { engine, checkpoint, schedule, images_at_once: 16, predictor, steppers, run, coming })
    }

    /// How many images go through the network together, 16 unless told otherwise: fewer give the caller more pauses. The
    /// results do not depend on it, up to rounding.
    pub fn set_images_at_once(&mut self, images: usize) {
        self.images_at_once = images.max(1);
        self.coming = Coming::default();
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The network, its schedule's settings and its parameters.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// β, ᾱ and so on.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// `[1, H, W, C]` of the images this model was made for.
    pub fn image_shape(&self) -> Shape {
        image_shape(&self.checkpoint.config)
    }

    /// ε̂ and x̂_0 for one x_t `[1, H, W, C]` at a timestep 0…T−1. Without a class the label that means none is used, or
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
        let config = &self.checkpoint.config;
        let shape = image_shape(config);
        check_length("x_t", x_t.len(), shape.len())?;
        let label = match class {
            None => config.null_class.unwrap_or(0),
            Some(class) => label_of(config, Some(class))?.unwrap_or(0),
        };
        if self.predictor.is_none() {
            let graph = step::prediction(config, shape);
            self.predictor = Some(compile(&self.engine, &self.checkpoint, &graph)?);
        }
        let Some(program) = &mut self.predictor else { return Err(PlaygroundError::NoImages) };
        program.write("sample", x_t)?;
        program.write("sinusoid", &unet::sinusoid(config, &[timestep as f32]))?;
        if config.num_class_embeds.is_some() {
            program.write("class_labels", &[label as f32])?;
        }
        program.run()?;
        let output = program.read("eps").await?;
        let read = Reading::new(self.checkpoint.scheduler.prediction_type, self.schedule.alpha_bar(timestep));
        let mix = |(of_x, of_output): (f64, f64)| -> Vec<f32> {
            let pair = x_t.iter().zip(&output);
            pair.map(|(&x, &m)| (of_x * f64::from(x) + of_output * f64::from(m)) as f32).collect()
        };
        let predicted = Predicted { epsilon: mix(read.epsilon), x0: mix(read.x0) };
        check_finite(&predicted.x0, timestep)?;
        Ok(predicted)
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
        let run = Run::new(&self.checkpoint, &self.schedule, settings, noise, position, part)?;
        let wanted = run.keys(self.image_shape(), self.images_at_once);
        self.steppers.retain(|(key, _)| wanted.contains(key));
        self.run = Some(run);
        self.coming = Coming::default();
        Ok(())
    }

    /// Drops the run in progress.
    pub fn stop(&mut self) {
        self.run = None;
        self.coming = Coming::default();
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
            self.coming = Coming::default();
        }
        result
    }

    async fn try_advance(&mut self) -> Result<Advance, PlaygroundError> {
        let Some(run) = self.run.as_mut().filter(|run| run.position < run.steps.len()) else {
            return Ok(Advance::Finished);
        };
        let config = &self.checkpoint.config;
        let image = image_shape(config);
        let first = run.images_done;
        let count = self.images_at_once.min(run.count(image) - first);
        let key = (count, run.guided.is_some());
        if !self.steppers.iter().any(|(k, _)| *k == key) {
            let graph = step::sampling_step(config, image.with_n(count), key.1);
            self.steppers.push((key, compile(&self.engine, &self.checkpoint, &graph)?));
        }
        let Some((_, program)) = self.steppers.iter_mut().find(|(k, _)| *k == key) else {
            return Ok(Advance::Finished);
        };
        let range = first * image.len()..(first + count) * image.len();
        // Some of the images cannot go ahead of the others: the next step is theirs, too.
        let whole = count == run.count(image);
        let ahead = if whole { program.ahead() } else { Ahead { runs: 1, portions: 1 } };
        let coming = &mut self.coming;
        while coming.finished.is_empty() && coming.started.len() < ahead.portions.max(1) {
            let from = run.position + coming.steps();
            let steps = run.startable(from, ahead.runs);
            if steps == 0 {
                break;
            }
            if !coming.x_is_there {
                run.write(program, first, count, image)?;
            }
            let started = run.begin(program, config, from..from + steps, range.clone(), image)?;
            coming.started.push_back((steps, started));
            coming.x_is_there = whole;
        }
        if coming.finished.is_empty()
            && let Some((_, started)) = coming.started.pop_front()
        {
            coming.finished.extend(program.finish(started).await?);
        }
        let Some([next, output]) = coming.finished.pop_front().and_then(|values| <[_; 2]>::try_from(values).ok())
        else {
            return Ok(Advance::Finished);
        };
        let now = run.steps[run.position];
        check_finite(&next, now.timestep)?;
        let predict =
            |(&x, &m): (&f32, &f32)| (now.p_x as f32 * x + now.p_m as f32 * m).clamp(-now.clip as f32, now.clip as f32);
        let x0 = run.x[range.clone()].iter().zip(&output).map(predict);
        run.next_x0[range.clone()].iter_mut().zip(x0).for_each(|(to, x0)| *to = x0);
        run.next_x[range].copy_from_slice(&next);
        run.images_done += count;
        let of = run.count(image);
        if run.images_done < of {
            return Ok(Advance::Part { done: run.images_done, of });
        }
        Ok(Advance::Step(run.finish_step()))
    }
}

impl Run {
    fn new(
        checkpoint: &Checkpoint,
        schedule: &Schedule,
        settings: &Settings,
        noise: Noise,
        position: usize,
        part: Range<usize>,
    ) -> Result<Self, PlaygroundError> {
        let config = &checkpoint.config;
        let (low, high) = Settings::GUIDANCE;
        if !(low..=high).contains(&settings.guidance) {
            return Err(PlaygroundError::Guidance { found: settings.guidance });
        }
        if settings.classes.is_empty() {
            return Err(PlaygroundError::NoImages);
        }
        let whole = settings.classes.len();
        if part.is_empty() || part.end > whole {
            return Err(PlaygroundError::Part { images: part, count: whole });
        }
        let unconditional = settings.guidance == 0.0 && config.null_class.is_some();
        let asked = settings.classes.iter().map(|&class| label_of(config, class));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let label = |label: Option<usize>| if unconditional { config.null_class } else { label };
        let labels: Vec<f32> = asked[part.clone()].iter().filter_map(|&l| label(l)).map(|label| label as f32).collect();
        let some_class = settings.classes.iter().any(Option::is_some);
        let guided = match config.null_class {
            Some(null) if some_class && settings.guidance != 1.0 && !unconditional => Some(null as f32),
            None if some_class && settings.guidance != 1.0 => {
                return Err(PlaygroundError::NoGuidance { found: settings.guidance });
            }
            _ => None,
        };
        let steps = Sampler::new(schedule, &settings.sampler)?.steps().to_vec();
        if position > steps.len() {
            return Err(PlaygroundError::Position { found: position, steps: steps.len() });
        }
        let image = image_shape(config);
        let shape = image.with_n(part.len());
        let (seed, x, given) = match noise {
            Noise::Seed(seed) => (seed, None, None),
            Noise::Given { x, steps, seed } => (seed, Some(x), steps),
        };
        let mut rng = Rng::new(seed);
        let drawn = draw_part(&mut rng, image.with_n(whole), &part);
        let x = x.unwrap_or(drawn);
        check_length("x_T", x.len(), shape.len())?;
        if let Some(given) = &given {
            if given.len() != steps.len() {
                return Err(PlaygroundError::NoiseSteps { found: given.len(), expected: steps.len() });
            }
            given.iter().try_for_each(|z| check_length("the noise of a step", z.len(), shape.len()))?;
        } else {
            // What the steps before this one have drawn.
            let mut skipped = vec![0.0; whole * image.len()];
            steps[..position].iter().filter(|step| step.s != 0.0).for_each(|_| rng.fill_normal(&mut skipped));
        }
        let zeros = vec![0.0; shape.len()];
        let mut run = Self {
            labels,
            guided,
            guidance: settings.guidance as f32,
            kind: settings.sampler.kind,
            steps,
            position,
            images_done: 0,
            x,
            x0: zeros.clone(),
            next_x: zeros.clone(),
            next_x0: zeros,
            rng,
            part,
            whole,
            given,
            noise: VecDeque::new(),
        };
        if position > 0 && run.kind == SamplerKind::DpmSolverPp2M {
            run.forget_history();
        }
        Ok(run)
    }

    fn count(&self, image: Shape) -> usize {
        self.x.len() / image.len()
    }

    /// The programs this run needs: whole batches, and what remains.
    fn keys(&self, image: Shape, images_at_once: usize) -> [Key; 2] {
        let count = self.count(image);
        [images_at_once.min(count), count % images_at_once].map(|n| (n, self.guided.is_some()))
    }

    /// Without the previous x̂_0, the next step of DPM-Solver++ weighs this one's as much as both together.
    fn forget_history(&mut self) {
        if let Some(step) = self.steps.get_mut(self.position) {
            step.a += step.d;
            step.d = 0.0;
        }
    }

    /// How many steps can be started from step `from` on, at most `most`: a step that looks back at x̂_0 waits for the one
    /// before it.
    fn startable(&self, from: usize, most: usize) -> usize {
        let free = |step: &&StepCoefficients| step.d == 0.0;
        let rest = &self.steps[from..];
        match rest.first() {
            Some(step) if step.d != 0.0 => usize::from(from == self.position),
            _ => rest.iter().take(most.max(1)).take_while(free).count(),
        }
    }

    /// Writes what does not change from step to step, and x.
    fn write(&self, program: &mut Program, first: usize, count: usize, image: Shape) -> Result<(), PlaygroundError> {
        program.write("x", &self.x[first * image.len()..(first + count) * image.len()])?;
        if !self.labels.is_empty() {
            let mut labels = self.labels[first..first + count].to_vec();
            labels.extend(self.guided.iter().flat_map(|&null| vec![null; count]));
            program.write("class_labels", &labels)?;
        }
        if self.guided.is_some() {
            program.write("guidance", &[self.guidance])?;
        }
        Ok(())
    }

    /// Starts steps for the images whose values are in `range`.
    fn begin(
        &mut self,
        program: &mut Program,
        config: &UnetConfig,
        steps: Range<usize>,
        range: Range<usize>,
        image: Shape,
    ) -> Result<Started, PlaygroundError> {
        let rows = range.len() / image.len() * if self.guided.is_some() { 2 } else { 1 };
        self.draw(steps.end, image);
        let inputs = |i: usize| {
            let step = self.steps[i];
            let noise = if step.d != 0.0 { &self.x0 } else { &self.noise[i - self.position] };
            let sinusoid = unet::sinusoid(config, &vec![step.timestep as f32; rows]);
            (&noise[range.clone()], coefficients(&step), sinusoid)
        };
        let inputs: Vec<_> = steps.map(inputs).collect();
        let runs: Vec<Vec<&[f32]>> = inputs.iter().map(|(z, c, s)| vec![*z, c.as_slice(), s.as_slice()]).collect();
        Ok(program.start(&["noise", "coefficients", "sinusoid"], &runs, &["x", "eps"])?)
    }

    /// Draws the noise of the steps before `end`. DPM-Solver++ draws none; it adds the previous x̂_0 where others add noise.
    fn draw(&mut self, end: usize, image: Shape) {
        for i in self.position + self.noise.len()..end {
            let step = self.steps[i];
            self.noise.push_back(match &self.given {
                _ if step.d != 0.0 => Vec::new(),
                Some(given) => given[i].clone(),
                None if step.s != 0.0 => draw_part(&mut self.rng, image.with_n(self.whole), &self.part),
                None => vec![0.0; self.x.len()],
            });
        }
    }

    fn finish_step(&mut self) -> Frame {
        std::mem::swap(&mut self.x, &mut self.next_x);
        std::mem::swap(&mut self.x0, &mut self.next_x0);
        let timestep = self.steps[self.position].timestep;
        self.position += 1;
        self.images_done = 0;
        self.noise.pop_front();
        Frame { step: self.position, steps: self.steps.len(), timestep, x: self.x.clone(), x0: self.x0.clone() }
    }
}

/// The nine numbers of `reverse_step`. Its noise is whatever [`Run::begin`] has put there, so its weight is s or d.
fn coefficients(step: &StepCoefficients) -> [f32; 9] {
    let weight = if step.d != 0.0 { step.d } else { step.s };
    let clip = if step.clip.is_finite() { step.clip as f32 } else { UNCLIPPED };
    let [p_x, p_m, e_x, e_m] = [step.p_x, step.p_m, step.e_x, step.e_m].map(|v| v as f32);
    let [a, b, c, weight] = [step.a, step.b, step.c, weight].map(|v| v as f32);
    [p_x, p_m, clip, e_x, e_m, a, b, c, weight]
}

/// `[1, H, W, C]` of a model's images.
fn image_shape(config: &UnetConfig) -> Shape {
    let [h, w] = config.sample_size;
    Shape::new(1, h, w, config.channels)
}

/// The label of a class, or of none: `None` for a model without classes.
fn label_of(config: &UnetConfig, class: Option<usize>) -> Result<Option<usize>, PlaygroundError> {
    let classes = config.classes();
    // Labels that name something are those before and after the one that means none.
    let known = |label: usize| config.num_class_embeds.is_some_and(|n| label < n) && config.null_class != Some(label);
    match class {
        Some(class) if known(class) => Ok(Some(class)),
        Some(found) => Err(PlaygroundError::Class { found, classes }),
        None if config.num_class_embeds.is_none() => Ok(None),
        None => config.null_class.map(Some).ok_or(PlaygroundError::NoNullClass { classes }),
    }
}

fn compile(engine: &Engine, checkpoint: &Checkpoint, graph: &Graph) -> Result<Program, PlaygroundError> {
    let mut program = engine.compile(graph)?;
    let specs = graph.parameters();
    for (spec, values) in specs.iter().zip(checkpoint.load_parameters(&specs)?) {
        program.write(&spec.name, &values)?;
    }
    Ok(program)
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), PlaygroundError> {
    if found == expected { Ok(()) } else { Err(PlaygroundError::Length { what, found, expected }) }
}

fn check_finite(values: &[f32], timestep: usize) -> Result<(), PlaygroundError> {
    if values.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(PlaygroundError::NotFinite { timestep }) }
}
