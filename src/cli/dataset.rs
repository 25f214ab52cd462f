//! The data set a command is given: MNIST's IDX files or a folder of pictures, and the network that suits it.

use super::Failure;
use crate::data::{self, DataError, Dataset, ImageFolder, Split};
use crate::model::config::UnetConfig;
use serde_json::Value;
use std::path::Path;
use std::{fs, io};

/// File beside IDX files with the name of each class on a line of its own.
pub const NAMES_FILE: &str = "class-names.txt";
/// Height and width of pictures for a new net unless told otherwise.
const SIZE: usize = 32;

/// One half of a data set, which must suit the model. A folder of pictures is made to.
pub fn load_data(dir: &Path, config: &UnetConfig, split: Split) -> Result<Dataset, Failure> {
    let dataset = load_half(dir, config, split)?;
    match config.null_class.filter(|&none| dataset.labels.iter().any(|&label| usize::from(label) == none)) {
        None => Ok(dataset),
        Some(none) => {
            let dir = dir.display();
            Err(format!("{dir} has pictures of class {none}, which is the model's label that means none").into())
        }
    }
}

/// Finds out, without decoding pictures, whether there are test data for a model.
pub fn check_test_half(dir: &Path, config: &UnetConfig) -> Result<(), Failure> {
    match data::is_idx(dir) {
        true => load_data(dir, config, Split::Test).map(drop),
        false => open_folder(dir, config, Split::Test).map(drop),
    }
}

fn load_half(dir: &Path, config: &UnetConfig, split: Split) -> Result<Dataset, Failure> {
    let ([h, w], c) = (config.sample_size, config.channels);
    check_folder(dir)?;
    if !data::is_idx(dir) && is_folder_of_pictures(dir) {
        return Ok(open_folder(dir, config, split)?.load([h, w], c)?);
    }
    let dataset = data::load_idx_classes(dir, split, data_classes(config))?;
    if (dataset.height, dataset.width, dataset.channels) != (h, w, c) {
        let (dh, dw, dc) = (dataset.height, dataset.width, dataset.channels);
        return Err(format!("{} has {dh}×{dw}×{dc} images, the model takes {h}×{w}×{c}", dir.display()).into());
    }
    Ok(dataset)
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
fn data_classes(config: &UnetConfig) -> usize {
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
    let names = &config.class_names[..config.class_names.len().min(classes)];
    if !names.is_empty() {
        return folder.number_as(names);
    }
    match folder.classes().len() {
        0 => Err(DataError::NoClasses { directory, classes: vec![format!("the model's {classes} classes")] }),
        found if found > classes => Err(DataError::TooManyClasses { directory, found, max: classes }),
        _ => Ok(()),
    }
}

/// Whether there is anything in a folder that could be pictures: what is not there is told as missing IDX files.
fn is_folder_of_pictures(dir: &Path) -> bool {
    let picture = |name: &str| [".png", ".jpg", ".jpeg"].iter().any(|end| name.to_lowercase().ends_with(end));
    fs::read_dir(dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.path().is_dir() || picture(&entry.file_name().to_string_lossy()))
    })
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
    let (sides, channels, names) = if !data::is_idx(dir) && is_folder_of_pictures(dir) {
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
        (sides, dataset.channels, names_of(dir, &dataset)?)
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

/// The names of the classes of a data set in IDX format: from a file beside it, or their numbers.
fn names_of(dir: &Path, dataset: &Dataset) -> Result<Vec<String>, Failure> {
    if let Some(names) = written_names(dir, dataset, 256)? {
        return Ok(names);
    }
    // Ten, as in MNIST and the sets made after it, even if a class is missing.
    Ok((0..labelled(dataset).max(10)).map(|i| i.to_string()).collect())
}

/// The names in the file beside a data set in IDX format, if there is one: for all of its labels, and at most `classes`.
pub fn written_names(dir: &Path, dataset: &Dataset, classes: usize) -> Result<Option<Vec<String>>, Failure> {
    let path = dir.join(NAMES_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
    };
    // Some editors begin a file with a mark.
    let text = text.trim_start_matches('\u{feff}');
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let (found, labelled) = (names.len(), labelled(dataset));
    if found < labelled || found > classes {
        let (file, expected) = (path.display().to_string(), if found < labelled { labelled } else { classes });
        return Err(DataError::Names { file, found, expected }.into());
    }
    if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(DataError::SameName { file: path.display().to_string(), name: name.clone() }.into());
    }
    Ok(Some(names))
}

/// One more than the largest label.
fn labelled(dataset: &Dataset) -> usize {
    dataset.labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
}
