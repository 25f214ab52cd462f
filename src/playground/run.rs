//! A sampling run as plain data: what to do, how far it has come, and where it stands.

use super::noise::draw_part;
use super::session::Key;
use super::{Frame, Noise, PlaygroundError, Settings, Watched, check_length, label_of};
use crate::diffusion::Schedule;
use crate::diffusion::walk::{Inputs, Move, Rule, SLOTS};
use crate::engine::{Program, Started};
use crate::model::config::UnetConfig;
use crate::model::step::Sampling;
use crate::model::unet;
use crate::rng::Rng;
use crate::tensor::Shape;
use std::collections::VecDeque;
use std::ops::Range;

/// A sampling run: what to do, how far it has come, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The class label of each image; empty for a model without classes.
    labels: Vec<f32>,
    /// The null class, where guidance asks for both predictions.
    pub guided: Option<f32>,
    pub steps: Vec<Move>,
    /// Whether anything is remembered from step to step.
    pub remembers: bool,
    /// Steps done.
    pub position: usize,
    /// Images of the current step already computed.
    pub images_done: usize,
    /// x after the step before.
    pub x: Vec<f32>,
    /// x after the current step, as far as it is computed.
    pub next_x: Vec<f32>,
    /// x̂_0 of the current step, as far as it is computed.
    pub next_x0: Vec<f32>,
    /// What is watched, of the same images.
    pub watched: Vec<Watched>,
    /// What is remembered: three slots, each of x's length. Empty where nothing is.
    slots: Vec<f32>,
    rng: Rng,
    /// Images computed here, of all images of the run.
    part: Range<usize>,
    /// All images of the run. Noise is drawn for each.
    whole: usize,
    /// The noise of every step, if it is not drawn.
    given: Option<Vec<Vec<f32>>>,
    /// The noise of the current step and of some after it.
    noise: VecDeque<Vec<f32>>,
}

impl Run {
    pub fn new(
        config: &UnetConfig,
        schedule: &Schedule,
        settings: &Settings,
        noise: Noise,
        position: usize,
        part: Range<usize>,
        watched: &[(String, Shape)],
    ) -> Result<Self, PlaygroundError> {
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
        let rule = Rule::of(settings.sampler.kind);
        let mut walk = rule.walk(schedule, &settings.sampler)?;
        if position > walk.moves.len() {
            return Err(PlaygroundError::Position { found: position, steps: walk.moves.len() });
        }
        let remembers = walk.looks_back();
        // What was remembered is gone: the rest begins anew.
        walk.moves.truncate(position);
        walk.moves.extend(rule.walk_after(schedule, &settings.sampler, position)?.moves);
        let steps = walk.guided(settings.guidance, ..).moves;
        let image = config.image_shape();
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
            steps[..position].iter().filter(|step| step.draws(false)).for_each(|_| rng.fill_normal(&mut skipped));
        }
        let zeros = vec![0.0; shape.len()];
        let rows = shape.n() * if guided.is_some() { 2 } else { 1 };
        let watched = watched.iter().map(|(name, one)| Watched::room(name, *one, rows)).collect();
        Ok(Self {
            labels,
            guided,
            steps,
            remembers,
            position,
            images_done: 0,
            x,
            next_x: zeros.clone(),
            next_x0: zeros,
            watched,
            slots: vec![0.0; if remembers { SLOTS * shape.len() } else { 0 }],
            rng,
            part,
            whole,
            given,
            noise: VecDeque::new(),
        })
    }

    pub fn count(&self, image: Shape) -> usize {
        self.x.len() / image.len()
    }

    /// The programs this run needs: whole batches, and what remains.
    pub fn keys(&self, image: Shape, images_at_once: usize) -> [Key; 2] {
        let count = self.count(image);
        [images_at_once.min(count), count % images_at_once].map(|n| self.key(n))
    }

    /// The program for this many images at once.
    pub fn key(&self, images: usize) -> Key {
        (images, self.sampling(), self.watched.iter().map(|watched| watched.name.clone()).collect())
    }

    /// What its steps consist of.
    fn sampling(&self) -> Sampling {
        Sampling { guided: self.guided.is_some(), remembers: self.remembers, known: false }
    }

    /// Writes what does not change from step to step, x and what is remembered.
    pub fn write(
        &self,
        program: &mut Program,
        first: usize,
        count: usize,
        image: Shape,
    ) -> Result<(), PlaygroundError> {
        let range = first * image.len()..(first + count) * image.len();
        program.write("x", &self.x[range.clone()])?;
        if !self.labels.is_empty() {
            let mut labels = self.labels[first..first + count].to_vec();
            labels.extend(self.guided.iter().flat_map(|&null| vec![null; count]));
            program.write("class_labels", &labels)?;
        }
        if self.remembers {
            program.write("slots", &self.slots_of(&range))?;
        }
        Ok(())
    }

    /// Starts steps for the images whose values are in `range`.
    pub fn begin(
        &mut self,
        program: &mut Program,
        config: &UnetConfig,
        steps: Range<usize>,
        range: Range<usize>,
        image: Shape,
    ) -> Result<Started, PlaygroundError> {
        let rows = range.len() / image.len() * if self.guided.is_some() { 2 } else { 1 };
        self.draw(steps.end, image);
        let mut leaves = vec!["noise", "coefficients", "sinusoid"];
        leaves.extend(self.guided.map(|_| "guidance"));
        leaves.extend(self.remembers.then_some("memory"));
        let values = |i: usize| {
            let step = &self.steps[i];
            let sinusoid = unet::sinusoid(config, &vec![step.timestep as f32; rows]);
            let mut values =
                vec![self.noise[i - self.position][range.clone()].to_vec(), step.packed().to_vec(), sinusoid];
            values.extend(self.guided.map(|_| vec![step.guidance as f32]));
            values.extend(self.remembers.then(|| step.packed_memory().to_vec()));
            values
        };
        let values: Vec<_> = steps.map(values).collect();
        let runs: Vec<Vec<&[f32]>> = values.iter().map(|run| run.iter().map(Vec::as_slice).collect()).collect();
        let mut keep = vec!["x", "eps"];
        keep.extend(self.watched.iter().map(|watched| watched.name.as_str()));
        Ok(program.start(&leaves, &runs, &keep)?)
    }

    /// Draws the noise of the steps before `end`.
    fn draw(&mut self, end: usize, image: Shape) {
        for i in self.position + self.noise.len()..end {
            let step = self.steps[i];
            self.noise.push_back(match &self.given {
                Some(given) => given[i].clone(),
                None if step.draws(false) => draw_part(&mut self.rng, image.with_n(self.whole), &self.part),
                None => vec![0.0; self.x.len()],
            });
        }
    }

    /// Takes in the results of the current step for the images whose values are in `range`: x', the network's output, and what is
    /// watched, value by value. x̂_0 and what is remembered follow from the output.
    pub fn take(&mut self, range: Range<usize>, next: &[f32], output: &[f32], watched: &[Vec<f32>], image: Shape) {
        let (first, count, of) = (range.start / image.len(), range.len() / image.len(), self.count(image));
        for (whole, batch) in self.watched.iter_mut().zip(watched) {
            whole.take(batch, first, count, of, self.guided.is_some());
        }
        let step = self.steps[self.position];
        let x = &self.x[range.clone()];
        for ((x0, &x), &output) in self.next_x0[range.clone()].iter_mut().zip(x).zip(output) {
            *x0 = step.x0(x, output);
        }
        if self.remembers {
            let (mut slots, mut unused) = (self.slots_of(&range), vec![0.0; range.len()]);
            let noise = &self.noise[0][range.clone()];
            step.apply(Inputs { x, output, noise, known: &[], mask: &[] }, &mut slots, &mut unused);
            let all = self.slots.chunks_exact_mut(self.x.len());
            for (to, from) in all.zip(slots.chunks_exact(range.len())) {
                to[range.clone()].copy_from_slice(from);
            }
        }
        self.next_x[range].copy_from_slice(next);
    }

    /// The slots of the images whose values are in `range`, one after the other.
    fn slots_of(&self, range: &Range<usize>) -> Vec<f32> {
        self.slots.chunks_exact(self.x.len()).flat_map(|slot| &slot[range.clone()]).copied().collect()
    }

    pub fn finish_step(&mut self) -> Frame {
        std::mem::swap(&mut self.x, &mut self.next_x);
        let timestep = self.steps[self.position].timestep;
        self.position += 1;
        self.images_done = 0;
        self.noise.pop_front();
        Frame {
            step: self.position,
            steps: self.steps.len(),
            timestep,
            x: self.x.clone(),
            x0: self.next_x0.clone(),
            watched: self.watched.clone(),
        }
    }
}
