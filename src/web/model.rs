//! A model as the page knows it, without its weights, and the sample pictures beside it.

use super::models::Entry;
use super::settings::{Limits, Sampling};
use crate::checkpoint::SchedulerConfig;
use crate::data::fit::{self, Pixels};
use crate::data::idx::parse_images;
use crate::diffusion::{SamplerConfig, Schedule};
use crate::model::config::UnetConfig;
use crate::tensor::Shape;

/// MNIST's own file format; see the README beside the file.
const DIGITS: &[u8] = include_bytes!("../../web/samples/digits-idx3-ubyte");

/// What the page knows of a model; a worker gets the same texts, and the weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its entry in the list.
    pub entry: Entry,
    /// config.json.
    pub config_text: String,
    /// scheduler_config.json, where there is one.
    pub scheduler_text: Option<String>,
    /// The network.
    pub config: UnetConfig,
    /// What it predicts, and how it is sampled.
    pub scheduler: SchedulerConfig,
    /// β and ᾱ.
    pub schedule: Schedule,
}

impl Model {
    /// Reads the texts of a model's folder.
    ///
    /// # Errors
    /// One sentence.
    pub fn read(entry: Entry, config_text: String, scheduler_text: Option<String>) -> Result<Self, String> {
        let config = UnetConfig::from_json(config_text.as_bytes()).map_err(|error| error.to_string())?;
        let scheduler = scheduler_text.as_ref().map(|text| SchedulerConfig::from_json(text.as_bytes())).transpose();
        let scheduler = scheduler.map_err(|error| error.to_string())?.unwrap_or_default();
        let schedule = scheduler.schedule().map_err(|error| error.to_string())?;
        Ok(Self { entry, config_text, scheduler_text, config, scheduler, schedule })
    }

    /// `[1, H, W, C]`.
    pub fn shape(&self) -> Shape {
        self.config.image_shape()
    }

    /// How its folder suggests to sample it.
    pub fn sampling(&self) -> Sampling {
        Sampling::suggested(&self.scheduler.suggested, self.schedule.timesteps())
    }

    /// Whether this student was made for such a run.
    ///
    /// # Errors
    /// What it was not made for, in words.
    pub fn made_for(&self, sampler: &SamplerConfig, guidance: f64, classes: &[Option<usize>]) -> Result<(), String> {
        let suggested = &self.scheduler.suggested;
        suggested.check(&self.schedule, sampler, guidance).map_err(|error| error.found)?;
        if classes.contains(&None) && self.config.num_class_embeds.is_some() && self.config.null_class.is_none() {
            return Err("a picture without a class".to_owned());
        }
        // In its weights there is one scale alone, which for a sampler is none.
        if guidance != suggested.guidance.unwrap_or(1.0) {
            return Err(format!("guidance {guidance}"));
        }
        Ok(())
    }

    /// Whether it can generate in a model's place: the same pictures, classes and timesteps.
    ///
    /// # Errors
    /// One sentence.
    pub fn is_student_of(&self, teacher: &Self) -> Result<(), String> {
        let of = |model: &Self| (model.shape(), model.config.classes(), model.schedule.timesteps());
        if !self.scheduler.suggested.is_distilled() {
            return Err("it does not say how many steps it was distilled for (_valid_steps)".to_owned());
        }
        if of(self) != of(teacher) {
            return Err(format!("its pictures, classes or timesteps are not those of {}", teacher.entry.name));
        }
        Ok(())
    }

    /// The numbers of steps that a student was made for, in words.
    pub fn valid_steps(&self) -> String {
        let steps = self.scheduler.suggested.valid_steps.iter().map(usize::to_string);
        steps.collect::<Vec<_>>().join(" or ")
    }

    /// What it allows, with so many sample pictures.
    pub fn limits(&self, pictures: usize) -> Limits {
        Limits {
            timesteps: self.schedule.timesteps(),
            classes: self.config.classes(),
            pictures,
            none: self.config.num_class_embeds.is_none() || self.config.null_class.is_some(),
            fast: self.entry.fast,
        }
    }

    /// What a class is called.
    pub fn class_name(&self, class: usize) -> String {
        self.config.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// The mean along the border of an image `[1, H, W, C]`.
pub fn border(x: &[f32], shape: Shape) -> f32 {
    let [h, w, c] = [shape.h(), shape.w(), shape.c()];
    let outer = |i: usize| [0, h - 1].contains(&(i / c / w)) || [0, w - 1].contains(&(i / c % w));
    let (sum, n) = x.iter().enumerate().filter(|(i, _)| outer(*i)).fold((0.0, 0), |(sum, n), (_, x)| (sum + x, n + 1));
    sum / n.max(1) as f32
}

/// Sample pictures, all of one size.
#[derive(Clone, Debug)]
pub struct Samples {
    bytes: Vec<u8>,
    /// `[1, H, W, C]`, one channel or three.
    pub shape: Shape,
    /// What each of them shows.
    names: Vec<String>,
}

impl Samples {
    /// The digits, which are part of the program.
    pub fn digits() -> Self {
        // It is a file of MNIST; an error could only be described, which takes code that nothing else here needs.
        let (bytes, [n, h, w]) = parse_images(DIGITS, "digits-idx3-ubyte").unwrap_or_default();
        Self { bytes, shape: Shape::new(1, h, w, 1), names: (0..n).map(|i| format!("Digit {i}")).collect() }
    }

    /// Those of a model: `bytes` hold them one after the other.
    pub fn new(bytes: Vec<u8>, shape: Shape, names: Vec<String>) -> Self {
        Self { bytes, shape, names }
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// What one of them shows.
    pub fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// One of them.
    pub fn pixels(&self, i: usize) -> &[u8] {
        &self.bytes[i * self.shape.len()..][..self.shape.len()]
    }

    /// What they lie on: −1 if that is dark, 1 if it is light.
    pub fn ground(&self) -> f32 {
        let mean = |i| border(&self.x_0(i, self.shape), self.shape);
        if (0..self.count()).map(mean).sum::<f32>() > 0.0 { 1.0 } else { -1.0 }
    }

    /// One of them as a model's x_0, `[1, H, W, C]` in [−1, 1], fitted as training fits a picture.
    pub fn x_0(&self, i: usize, shape: Shape) -> Vec<f32> {
        let picture = Pixels::new(self.pixels(i), [self.shape.h(), self.shape.w()], self.shape.c());
        picture.map_or_else(Vec::new, |picture| fit::x_0(&picture, [shape.h(), shape.w()], shape.c()))
    }
}
