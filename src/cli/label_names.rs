//! What the labels of a data set in IDX format are called, and which of a model's classes they are.

use super::Failure;
use super::dataset::data_classes;
use crate::data::{self, DataError, Dataset, Split};
use crate::model::config::UnetConfig;
use std::path::Path;
use std::{fs, io};

/// So many labels without pictures are named.
const MOST: usize = 10;
/// File beside IDX files with the name of each class on a line of its own.
pub const NAMES_FILE: &str = "class-names.txt";

/// One half of a data set in IDX format, its labels numbered as the model's classes.
///
/// Where the model's classes are called as the labels are, names decide: a label without pictures is no class of a network that was
/// made for the data, so that its other classes may have other numbers. Else a label is the number of a class.
pub fn load_idx(dir: &Path, config: &UnetConfig, split: Split) -> Result<Dataset, Failure> {
    let classes = data_classes(config);
    let names = shared(dir, config)?.filter(|names| !names.starts_with(model_names(config)));
    let Some(names) = names else { return Ok(data::load_idx_classes(dir, split, classes)?) };
    let class = |name: &String| model_names(config).iter().position(|class| data::same_name(class, name));
    let numbers: Vec<Option<usize>> = names.iter().map(class).collect();
    let mut dataset = data::load_idx_classes(dir, split, 256)?;
    for (index, label) in dataset.labels.iter_mut().enumerate() {
        let unknown = || DataError::UnknownLabel {
            file: dir.display().to_string(),
            index,
            found: *label,
            classes: model_names(config).to_vec(),
        };
        // Labels are bytes, and there are no more classes than labels.
        *label = numbers.get(usize::from(*label)).copied().flatten().ok_or_else(unknown)? as u8;
    }
    Ok(dataset)
}

/// What the labels 0, 1, … of a data set in IDX format are called, if all of the model's classes are among them.
pub fn shared(dir: &Path, config: &UnetConfig) -> Result<Option<Vec<String>>, Failure> {
    let names = match read_names(dir)? {
        Some((_, names)) => names,
        None => numbers(256),
    };
    let is_shared = |class: &String| names.iter().any(|name| data::same_name(name, class));
    let model = model_names(config);
    Ok((!model.is_empty() && model.iter().all(is_shared)).then_some(names))
}

/// The names of a model's classes without that of the label that means none.
pub fn model_names(config: &UnetConfig) -> &[String] {
    &config.class_names[..config.class_names.len().min(data_classes(config))]
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|label| label.to_string()).collect()
}

/// Which labels there are pictures of.
pub fn with_pictures(dataset: &Dataset) -> [bool; 256] {
    let mut there = [false; 256];
    dataset.labels.iter().for_each(|&label| there[usize::from(label)] = true);
    there
}

/// The names of the classes of a data set in IDX format, from a file beside it or the labels' numbers: of those with pictures. EMNIST's
/// letters are labelled from 1, and nobody should be offered a class 0 of which the network has seen nothing.
pub fn of_new_network(dir: &Path, dataset: &Dataset) -> Result<Vec<String>, Failure> {
    let names = match written(dir, dataset, 256)? {
        Some(names) => names,
        None => numbers(labelled(dataset)),
    };
    let there = with_pictures(dataset);
    let (used, unused): (Vec<_>, Vec<_>) = names.into_iter().enumerate().partition(|(label, _)| there[*label]);
    if !unused.is_empty() {
        let some = unused.iter().take(MOST).map(|(label, name)| match *name == label.to_string() {
            true => name.clone(),
            false => format!("{label} ({name})"),
        });
        let some = some.collect::<Vec<_>>().join(", ");
        let rest = if unused.len() > MOST { format!(", … ({} in all)", unused.len()) } else { String::new() };
        say!("no pictures have label {some}{rest}: a new network has no class for that");
    }
    Ok(used.into_iter().map(|(_, name)| name).collect())
}

/// The names in the file beside a data set in IDX format, if there is one: for all of its labels, and at most `classes`.
pub fn written(dir: &Path, dataset: &Dataset, classes: usize) -> Result<Option<Vec<String>>, Failure> {
    let Some((file, names)) = read_names(dir)? else { return Ok(None) };
    let (found, labelled) = (names.len(), labelled(dataset));
    if found < labelled || found > classes {
        let expected = if found < labelled { labelled } else { classes };
        return Err(DataError::Names { file, found, expected }.into());
    }
    Ok(Some(names))
}

/// The file with the names of the classes, and what is in it: beside the data, or in the folder given.
fn read_names(dir: &Path) -> Result<Option<(String, Vec<String>)>, Failure> {
    let place = data::find_idx(dir)?.unwrap_or_else(|| dir.to_owned());
    for path in [place.join(NAMES_FILE), dir.join(NAMES_FILE)] {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
        };
        // Some editors begin a file with a mark.
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = lines.map(str::to_owned).collect();
        let file = path.display().to_string();
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(DataError::SameName { file, name: name.clone() }.into());
        }
        return Ok(Some((file, names)));
    }
    Ok(None)
}

/// One more than the largest label.
fn labelled(dataset: &Dataset) -> usize {
    dataset.labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
}
