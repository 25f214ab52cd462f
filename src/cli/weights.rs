//! The model that `--weights` and `--from` name, and the net of `--config`.

use super::Failure;
use crate::checkpoint::{self, Checkpoint, CheckpointError, ModelFolder};
use crate::model::config::UnetConfig;
use crate::model::step::prediction;
use std::path::Path;

/// Reads a model, and says on stderr what was taken that nobody named, or is assumed.
///
/// # Errors
/// A folder that is none of a model, or whose files do not fit together.
pub fn open(path: &Path) -> Result<Checkpoint, Failure> {
    let folder = ModelFolder::find(path)?;
    let checkpoint = folder.read()?;
    folder.notes().iter().for_each(|note| say!("{note}"));
    let specs = prediction(&checkpoint.config, checkpoint.config.image_shape()).parameters();
    checkpoint::check_parameters(&checkpoint.tensors, &specs).map_err(|source| CheckpointError::In {
        path: folder.weights().display().to_string(),
        source: Box::new(source),
    })?;
    Ok(checkpoint)
}

/// Reads the net of a config.json, or of a model's folder.
///
/// # Errors
/// A file that is not there, or not understood.
pub fn net(path: &Path) -> Result<UnetConfig, Failure> {
    Ok(checkpoint::read_net(path)?)
}

/// Says that a net's config asks for dropout, where what follows has none; predictions have none anywhere.
pub fn say_without_dropout(net: &UnetConfig, what: &str) {
    if net.dropout != 0.0 {
        say!("warning: config.json says dropout {}, but nothing is dropped here: {what} without it", net.dropout);
    }
}
