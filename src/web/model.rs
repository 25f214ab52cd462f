//! A model as the page knows it, without its weights, and the sample pictures beside it.

use super::models::Entry;
use super::settings::{Limits, Sampling};
use crate::checkpoint::SchedulerConfig;
use crate::data::fit::{self, Pixels};
use crate::data::idx::parse_images;
use crate::diffusion::Schedule;
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

    /// What it allows, with so many sample pictures.
    pub fn limits(&self, pictures: usize) -> Limits {
        Limits {
            timesteps: self.schedule.timesteps(),
            classes: self.config.classes(),
            pictures,
            none: self.config.num_class_embeds.is_none() || self.config.null_class.is_some(),
        }
    }

    /// What a class is called.
    pub fn class_name(&self, class: usize) -> String {
        self.config.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
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

    /// One of them as a model's x_0, `[1, H, W, C]` in [−1, 1], fitted as training fits a picture.
    pub fn x_0(&self, i: usize, shape: Shape) -> Vec<f32> {
        let picture = Pixels::new(self.pixels(i), [self.shape.h(), self.shape.w()], self.shape.c());
        picture.map_or_else(Vec::new, |picture| fit::x_0(&picture, [shape.h(), shape.w()], shape.c()))
    }
}
