//! The data set a command is given: MNIST's IDX files or a folder of pictures, and the network that suits it.

use super::Failure;
use super::label_names::{self, load_idx, model_names, with_pictures};
use crate::data::{self, DataError, Dataset, ImageFolder, Split};
use crate::model::config::UnetConfig;
use serde_json::Value;
use std::path::Path;

/// Height and width of pictures for a new net unless told otherwise.
const SIZE: usize = 32;

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
            let classes = with_pictures(&dataset).iter().filter(|there| **there).count();
            let classes = if classes == 1 { "1 class".to_owned() } else { format!("{classes} classes") };
            let pictures = if n == 1 { "picture" } else { "pictures" };
            let found = format!("{n} {half} {pictures} of {h}×{w} in {classes} from {place}, in IDX format");
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
        return Err(format!("{dir} has pictures of class {none}, which is the model's label that means none").into());
    }
    Ok((dataset, summary))
}

/// Names the classes of a model that a half has no pictures of.
fn say_empty_classes(dataset: &Dataset, config: &UnetConfig, split: Split) {
    let there = with_pictures(dataset);
    let known = (0..config.num_class_embeds.unwrap_or(0)).filter(|&label| config.null_class != Some(label));
    let empty: Vec<usize> = known.filter(|&label| there.get(label) != Some(&true)).collect();
    if empty.is_empty() {
        return;
    }
    let half = if split == Split::Train { "training" } else { "test" };
    let name = |label: &usize| config.class_names.get(*label).cloned().unwrap_or_else(|| label.to_string());
    let some = empty.iter().take(10).map(name).collect::<Vec<_>>().join(", ");
    let more = if empty.len() > 10 { ", …" } else { "" };
    say!("no {half} pictures of {} of the model's {} classes: {some}{more}", empty.len(), config.classes());
}

/// One half of a folder of pictures, its classes numbered as the model does.
fn open_folder(dir: &Path, config: &UnetConfig, split: Split) -> Result<ImageFolder, Failure> {
    let channels = config.channels;
    if !matches!(channels, 1 | 3) {
        return Err(format!("the model takes {channels} channels, pictures have 1 or 3").into());
    }
    let mut folder = ImageFolder::open(dir, split)?;
    if config.num_class_embeds.is_some() {
        suit_classes(dir, &mut folder, config, data_classes(config))?;
    }
    Ok(folder)
}

/// How many classes data may have: the label that means none is the model's, not the data's.
pub fn data_classes(config: &UnetConfig) -> usize {
    config.num_class_embeds.map_or(256, |rows| rows - usize::from(config.null_class.is_some()))
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
    let names = model_names(config);
    if !names.is_empty() {
        return folder.number_as(names);
    }
    match folder.classes().len() {
        0 => Err(DataError::NoClasses { directory, classes: vec![format!("the model's {classes} classes")] }),
        found if found > classes => Err(DataError::TooManyClasses { directory, found, max: classes }),
        _ => Ok(()),
    }
}

/// A new network for a data set: the widths of the digits' net, with the size, channels and classes of the data.
/// `asked` are the settings that it has already, which decide what sizes it can take.
pub fn suitable_net(dir: &Path, asked: Option<&Value>) -> Result<UnetConfig, Failure> {
    check_folder(dir)?;
    let asked = |key: &str| asked.and_then(|net| net.get(key));
    let usual = UnetConfig::digits();
    let blocks = asked("block_out_channels").and_then(Value::as_array).map_or(usual.block_out_channels.len(), Vec::len);
    // More than a network may have are refused with the other settings.
    let multiple = 1 << blocks.clamp(1, 8).saturating_sub(1);
    let is_idx = data::find_idx(dir)?.is_some();
    let (sides, channels, names) = if !is_idx && data::is_folder_of_pictures(dir) {
        let folder = ImageFolder::open(dir, Split::Train)?;
        let (common, grey) = folder.survey()?;
        let small = common.filter(|sides| sides.iter().all(|&side| side <= SIZE && side.is_multiple_of(multiple)));
        (small.unwrap_or([SIZE; 2]), if grey { 1 } else { 3 }, folder.classes().to_vec())
    } else {
        let dataset = data::load_idx_classes(dir, Split::Train, 256)?;
        let sides = [dataset.height, dataset.width];
        if asked("sample_size").is_none() && sides.iter().any(|side| !side.is_multiple_of(multiple)) {
            let [h, w] = sides;
            let place = dir.display();
            let text = format!("a new network of {blocks} blocks takes multiples of {multiple}");
            let other = "ask for fewer (net.block_out_channels, net.down_block_types, net.up_block_types)";
            return Err(format!("{place} has {h}×{w} images, {text}: {other}").into());
        }
        (sides, dataset.channels, label_names::of_new_network(dir, &dataset)?)
    };
    let classes = Some(names.len()).filter(|&count| count > 0);
    Ok(UnetConfig {
        sample_size: sides,
        channels,
        // One label more, which means none.
        num_class_embeds: classes.map(|count| count + 1),
        null_class: classes,
        class_names: names,
        ..usual
    })
}
