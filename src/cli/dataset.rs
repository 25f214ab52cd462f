//! The data set a command is given: MNIST's IDX files or a folder of pictures, and the network that suits it.

use super::label_names::{self, load_idx};
use super::{Failure, counted, listed};
use crate::data::{self, DataError, Dataset, ImageFolder, Split};
use crate::model::config::UnetConfig;
use crate::train::suit::{Sides, Traits, suitable_net};
use serde_json::Value;
use std::path::Path;

/// One half of a data set, which must suit the model, after a word on stderr about what it consists of. A folder of pictures is made
/// to suit.
pub fn load_data(dir: &Path, config: &UnetConfig, split: Split) -> Result<Dataset, Failure> {
    let (dataset, summary) = load_half(dir, config, split)?;
    summary.iter().for_each(|line| say!("data: {line}"));
    say_empty_classes(&dataset, config, split);
    Ok(dataset)
}

/// Finds out, without decoding pictures, whether there are test data for a model.
pub fn check_test_half(dir: &Path, config: &UnetConfig) -> Result<(), Failure> {
    match data::find_idx(dir)? {
        Some(_) => load_half(dir, config, Split::Test).map(drop),
        None => open_folder(dir, config, Split::Test).map(drop),
    }
}

/// A half and its summary.
fn load_half(dir: &Path, config: &UnetConfig, split: Split) -> Result<(Dataset, Vec<String>), Failure> {
    let ([h, w], c) = (config.sample_size, config.channels);
    check_folder(dir)?;
    let (dataset, summary) = match data::find_idx(dir)? {
        None if data::is_folder_of_pictures(dir) => {
            let folder = open_folder(dir, config, split)?;
            let (found, left_out) = folder.summary();
            let left_out = left_out.map(|left_out| format!("left out: {left_out}"));
            (folder.load([h, w], c)?, std::iter::once(found).chain(left_out).collect())
        }
        place => {
            let dataset = load_idx(dir, config, split)?;
            let half = if split == Split::Train { "training" } else { "test" };
            let place = place.as_deref().unwrap_or(dir).display();
            let (n, h, w) = (dataset.len(), dataset.height, dataset.width);
            let classes = dataset.has_label().iter().filter(|there| **there).count();
            let classes = if classes == 1 { "1 class".to_owned() } else { format!("{classes} classes") };
            let pictures = counted(n, &format!("{half} picture"));
            let found = format!("{pictures} of {h}×{w} in {classes} from {place}, in IDX format");
            let beside = data::beside_idx(dir, split)?;
            let beside = (!beside.is_empty()).then(|| format!("left out: {beside}"));
            (dataset, std::iter::once(found).chain(beside).collect())
        }
    };
    if (dataset.height, dataset.width, dataset.channels) != (h, w, c) {
        let (dh, dw, dc) = (dataset.height, dataset.width, dataset.channels);
        return Err(format!("{} has {dh}×{dw}×{dc} images, the model takes {h}×{w}×{c}", dir.display()).into());
    }
    if let Some(none) = config.null_class.filter(|&none| dataset.labels.iter().any(|&label| usize::from(label) == none))
    {
        let dir = dir.display();
        return Err(format!("{dir} has pictures of class {none}, which is the model's null class").into());
    }
    Ok((dataset, summary))
}

/// Names the classes of a model that a half has no pictures of.
fn say_empty_classes(dataset: &Dataset, config: &UnetConfig, split: Split) {
    let there = dataset.has_label();
    let empty: Vec<usize> = config.labels().filter(|&label| there.get(label) != Some(&true)).collect();
    if empty.is_empty() {
        return;
    }
    let half = if split == Split::Train { "training" } else { "test" };
    let name = |label: &usize| config.class_names.get(*label).cloned().unwrap_or_else(|| label.to_string());
    let names: Vec<String> = empty.iter().map(name).collect();
    say!("no {half} pictures of {} of the model's {} classes: {}", names.len(), config.classes(), listed(&names, 10));
}

/// One half of a folder of pictures, its classes numbered as the model does.
fn open_folder(dir: &Path, config: &UnetConfig, split: Split) -> Result<ImageFolder, Failure> {
    let channels = config.channels;
    if !matches!(channels, 1 | 3) {
        return Err(format!("the model takes {channels} channels, pictures have 1 or 3").into());
    }
    let mut folder = ImageFolder::open(dir, split)?;
    if config.num_class_embeds.is_some() {
        suit_classes(dir, &mut folder, config, config.data_labels())?;
    }
    Ok(folder)
}

fn check_folder(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    let what = if dir.exists() { "is a file" } else { "does not exist" };
    Err(format!("{} {what}, expected a folder with data", dir.display()).into())
}

/// Numbers a folder's classes as the model does: by name where it has names, else in order.
fn suit_classes(dir: &Path, folder: &mut ImageFolder, config: &UnetConfig, classes: usize) -> Result<(), DataError> {
    let directory = dir.display().to_string();
    let names = config.data_names();
    if !names.is_empty() {
        return folder.number_as(names);
    }
    match folder.classes().len() {
        0 => Err(DataError::NoClasses { directory, classes: vec![format!("the model's {classes} classes")] }),
        found if found > classes => Err(DataError::TooManyClasses { directory, found, max: classes }),
        _ => Ok(()),
    }
}

/// A new network for a data set (see [`suitable_net`]). `asked` are the settings that it has already.
pub fn net_for(dir: &Path, asked: Option<&Value>) -> Result<UnetConfig, Failure> {
    check_folder(dir)?;
    let is_idx = data::find_idx(dir)?.is_some();
    let place = dir.display().to_string();
    if !is_idx && data::is_folder_of_pictures(dir) {
        let folder = ImageFolder::open(dir, Split::Train)?;
        let (common, grey) = folder.survey()?;
        let channels = if grey { 1 } else { 3 };
        let traits = Traits { sides: Sides::Fitted(common), channels, classes: folder.classes().to_vec() };
        return Ok(suitable_net(traits, asked, &place)?);
    }
    let dataset = data::load_idx(dir, Split::Train, 256)?;
    // A size that cannot be is told before a word on the labels.
    suitable_net(Traits::of(&dataset, Vec::new()), asked, &place)?;
    let classes = label_names::of_new_network(dir, &dataset)?;
    Ok(suitable_net(Traits::of(&dataset, classes), asked, &place)?)
}
