//! A sampling run as plain data: what to do, how far it has come, and where it stands.

use super::noise::draw_part;
use super::session::Key;
use super::{Frame, Noise, PlaygroundError, Settings, check_length, image_shape, label_of};
use crate::diffusion::{Sampler, SamplerKind, Schedule, StepCoefficients};
use crate::engine::{Program, Started};
use crate::model::config::UnetConfig;
use crate::model::unet;
use crate::rng::Rng;
use crate::tensor::Shape;
use std::collections::VecDeque;
use std::ops::Range;

/// Stands for "not clipped" on the device, where infinity is not a number to rely on.
const UNCLIPPED: f32 = 1e30;

/// A sampling run: what to do, how far it has come, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The class label of each image; empty for a model without classes.
    labels: Vec<f32>,
    /// The label that means none, where guidance asks for both predictions.
    pub guided: Option<f32>,
    guidance: f32,
    kind: SamplerKind,
    pub steps: Vec<StepCoefficients>,
    /// Steps done.
    pub position: usize,
    /// Images of the current step already computed, and their new x and x̂_0 behind those of the step before.
    pub images_done: usize,
    pub x: Vec<f32>,
    x0: Vec<f32>,
    pub next_x: Vec<f32>,
    pub next_x0: Vec<f32>,
    rng: Rng,
    /// Which of the drawn images are computed here, and how many are drawn.
    part: Range<usize>,
    whole: usize,
    given: Option<Vec<Vec<f32>>>,
    /// Noise drawn for the current step and those after it.
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

    pub fn count(&self, image: Shape) -> usize {
        self.x.len() / image.len()
    }

    /// The programs this run needs: whole batches, and what remains.
    pub fn keys(&self, image: Shape, images_at_once: usize) -> [Key; 2] {
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
    pub fn startable(&self, from: usize, most: usize) -> usize {
        let free = |step: &&StepCoefficients| step.d == 0.0;
        let rest = &self.steps[from..];
        match rest.first() {
            Some(step) if step.d != 0.0 => usize::from(from == self.position),
            _ => rest.iter().take(most.max(1)).take_while(free).count(),
        }
    }

    /// Writes what does not change from step to step, and x.
    pub fn write(
        &self,
        program: &mut Program,
        first: usize,
        count: usize,
        image: Shape,
    ) -> Result<(), PlaygroundError> {
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

    pub fn finish_step(&mut self) -> Frame {
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
