//! `class-names.txt`: what the labels of a data set in IDX format are called, and which of a model's classes they are.

use super::{Failure, listed};
use crate::data::names::{UsedNames, are_among, numbers, parse_names};
use crate::data::{self, Dataset, Split};
use crate::model::config::UnetConfig;
use std::path::Path;
use std::{fs, io};

/// So many labels without pictures are named.
const MOST: usize = 10;
/// File beside IDX files with the name of each class on a line of its own.
pub const NAMES_FILE: &str = "class-names.txt";

/// One half of a data set in IDX format, its labels numbered as the model's classes: by name where the model's classes are called as
/// the labels are.
pub fn load_idx(dir: &Path, config: &UnetConfig, split: Split) -> Result<Dataset, Failure> {
    let (labels, classes) = (config.data_labels(), config.data_names());
    let names = shared(dir, config)?.filter(|names| !names.starts_with(classes));
    let Some(names) = names else { return Ok(data::load_idx(dir, split, labels)?) };
    let mut dataset = data::load_idx(dir, split, 256)?;
    dataset.renumber(&names, classes, &dir.display().to_string())?;
    Ok(dataset)
}

/// What the labels 0, 1, … of a data set in IDX format are called, if all of the model's classes are among them.
pub fn shared(dir: &Path, config: &UnetConfig) -> Result<Option<Vec<String>>, Failure> {
    let names = read_names(dir)?.map_or_else(|| numbers(256), |(_, names)| names);
    let classes: Vec<&str> = config.named_labels().map(|(_, name)| name).collect();
    Ok(are_among(&classes, &names).then_some(names))
}

/// The names of the classes of a data set in IDX format, from a file beside it or the labels' numbers: of those with pictures.
pub fn of_new_network(dir: &Path, dataset: &Dataset) -> Result<Vec<String>, Failure> {
    let UsedNames { names, unused } = dataset.used_names(written(dir, dataset, 256)?);
    if !unused.is_empty() {
        let all = if unused.len() > MOST { format!(" ({} in all)", unused.len()) } else { String::new() };
        say!("no pictures have label {}{all}: a new network has no class for that", listed(&unused, MOST));
    }
    Ok(names)
}

/// The names in the file beside a data set in IDX format, if there is one: for all of its labels, and at most `classes`.
pub fn written(dir: &Path, dataset: &Dataset, classes: usize) -> Result<Option<Vec<String>>, Failure> {
    let Some((file, names)) = read_names(dir)? else { return Ok(None) };
    dataset.check_names(&names, classes, &file)?;
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
        let file = path.display().to_string();
        let names = parse_names(&text, &file)?;
        return Ok(Some((file, names)));
    }
    Ok(None)
}
