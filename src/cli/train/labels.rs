//! What the labels of a run mean: the null class, and what the others are called.

use super::super::run::{Given, RunFolder};
use super::super::{Failure, label_names};
use crate::data::names::numbers;
use crate::data::{self, Dataset};
use crate::model::config::UnetConfig;
use crate::train::Recipe;
use crate::train::suit::continued_names;
use std::path::Path;

/// The recipe of a new network, `base` with what is given.
///
/// Where no labels are dropped nothing is learned about the null class. A network made for the data does without;
/// one that was asked for with it is refused, since its guidance would be noise.
pub fn new_recipe(base: Recipe, given: &Given) -> Result<Recipe, Failure> {
    let recipe = given.over(&base)?;
    if !recipe.has_idle_null_class(&given.settings)? {
        return Ok(recipe);
    }
    say!("label_dropout is 0: the model has no null class, and guidance will not work with it");
    given.over(&base.without_null_class())
}

/// What the classes of a model are called that goes on, from the folder `from`, with other data in IDX format.
///
/// Names belong to data. Such files have none but those in a file beside them; a model keeps its own if it was trained on the
/// very same data or if the data's labels are called so, too, and else its classes go by their numbers.
pub fn names(net: &UnetConfig, from: &Path, dir: &Path, dataset: &Dataset) -> Result<Vec<String>, Failure> {
    if data::find_idx(dir)?.is_none() || label_names::shared(dir, net)?.is_some() {
        return Ok(net.class_names.clone());
    }
    let written = label_names::written(dir, dataset, net.classes())?;
    let was_trained_on = || RunFolder::data(from).is_some_and(|data| data == dataset.fingerprint());
    if let Some(names) = continued_names(net, written, was_trained_on) {
        return Ok(names);
    }
    let (model, place) = (from.display(), dir.display());
    say!(
        "the names of the classes in {model} are those of other data, and {place} has no {}: they go by their numbers, \
         unless --set net._class_names=[\"…\", …] names them",
        label_names::NAMES_FILE
    );
    Ok(numbers(net.class_names.len()))
}
