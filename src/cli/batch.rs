//! Images from a safetensors file, each with a timestep and perhaps a class: what `predict` and `gradients` read.

use super::{Failure, counted};
use crate::checkpoint::{Checkpoint, TensorFile};
use crate::model::config::UnetConfig;
use crate::tensor::{Shape, nchw_to_nhwc};

/// Most images a file may have.
const MAX_IMAGES: usize = 1 << 16;
/// Largest height and width of an image.
const MAX_SIDE: usize = 1024;

/// Images and what the network needs to know about each.
pub struct Batch {
    /// NHWC.
    pub shape: Shape,
    /// `sample`, NHWC.
    pub sample: Vec<f32>,
    /// `timestep`, one per image, 0…T−1.
    pub timesteps: Vec<usize>,
    /// `class_labels`, one per image; empty for a model without classes.
    pub labels: Vec<usize>,
}

impl Batch {
    /// Reads `sample`, `timestep` and `class_labels` and checks that they suit the model.
    pub fn read(file: &TensorFile, checkpoint: &Checkpoint) -> Result<Self, Failure> {
        let config = &checkpoint.config;
        let (shape, sample) = images(file, "sample", config)?;
        let timesteps = integers(file, "timestep", shape.n(), checkpoint.scheduler.num_train_timesteps)?;
        let labels = labels(file, shape.n(), config)?;
        Ok(Self { shape, sample, timesteps, labels })
    }
}

/// The images `name` `[N, C, H, W]`, as NHWC: of the model's channels, and of a size that its blocks can halve.
pub fn images(file: &TensorFile, name: &str, config: &UnetConfig) -> Result<(Shape, Vec<f32>), Failure> {
    let (extents, values) = file.f32(name, 4)?;
    let shape = Shape::new(extents[0], extents[2], extents[3], extents[1]);
    let multiple = config.size_multiple();
    let fits = |side: usize| (1..=MAX_SIDE).contains(&side) && side.is_multiple_of(multiple);
    if shape.c() != config.channels {
        return Err(format!("{name} is {extents:?}, expected {} channels as [N, C, H, W]", config.channels).into());
    }
    if !(1..=MAX_IMAGES).contains(&shape.n()) {
        return Err(format!("{name} has {} images, expected 1 to {MAX_IMAGES}", shape.n()).into());
    }
    if !(fits(shape.h()) && fits(shape.w())) {
        let (h, w) = (shape.h(), shape.w());
        let text = format!("{name} has {h}×{w} images, this model takes multiples of {multiple} up to {MAX_SIDE}");
        return Err(text.into());
    }
    Ok((shape, nchw_to_nhwc(values, shape)))
}

/// `class_labels` `[N]` of a class model, the null class included. A model without classes has none.
pub fn labels(file: &TensorFile, count: usize, config: &UnetConfig) -> Result<Vec<usize>, Failure> {
    match config.num_class_embeds {
        Some(rows) => integers(file, "class_labels", count, rows),
        None if file.tensors.contains_key("class_labels") => {
            Err("there are class_labels, but this model has no classes".into())
        }
        None => Ok(Vec::new()),
    }
}

/// The whole numbers `name` `[count]`, each below `limit`.
fn integers(file: &TensorFile, name: &str, count: usize, limit: usize) -> Result<Vec<usize>, Failure> {
    let (shape, values) = file.i64(name, 1)?;
    if values.len() != count {
        let images = counted(count, "image");
        return Err(format!("{name} is {shape:?}, expected one number for each of {images}").into());
    }
    let convert = |(i, &value): (usize, &i64)| {
        let fits = usize::try_from(value).ok().filter(|&value| value < limit);
        fits.ok_or_else(|| format!("{name} is {value} for image {i}, expected 0 to {}", limit - 1).into())
    };
    values.iter().enumerate().map(convert).collect()
}
