//! Where files in MNIST's format lie, and what they are called: the layouts in which people publish and unpack them.
//!
//! | layout | where it comes from |
//! |---|---|
//! | `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, … | Yann LeCun |
//! | a dot for the last hyphen but one, `train-images.idx3-ubyte`; `.gz` | mirrors |
//! | `emnist-letters-train-images-idx3-ubyte`, `test` for `t10k` | EMNIST |
//! | `train-images-idx3-ubyte/train-images-idx3-ubyte` | Kaggle's archives |
//! | all of that one or two folders below, `MNIST/raw/` | torchvision |

use super::idx::{parse_images, parse_labels};
use super::left_out::LeftOut;
use super::listing::{Listing, entries, holds_pictures};
use super::{DataError, Dataset, Split};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// So many folders below the one given are searched.
const DEPTH: usize = 2;
/// Why pictures are left out.
const BESIDE: &str = "beside the IDX files";

/// Reads half of MNIST, or of a data set that looks like it, from a directory: labels below `classes`, one channel.
///
/// # Errors
/// [`DataError`]: a file is missing, unreadable, not what its name says, or the two do not fit together.
pub fn load_idx(directory: &Path, split: Split, classes: usize) -> Result<Dataset, DataError> {
    let place = find_idx(directory)?.unwrap_or_else(|| directory.to_owned());
    let prefix = one_prefix(&place)?;
    let [images_path, labels_path] = [find(&place, &prefix, split, "images")?, find(&place, &prefix, split, "labels")?];
    let (images_file, labels_file) = (images_path.display().to_string(), labels_path.display().to_string());
    let (images, [count, height, width]) = parse_images(open(&images_path, &images_file)?, &images_file)?;
    let labels = parse_labels(open(&labels_path, &labels_file)?, &labels_file, classes)?;
    if labels.len() != count {
        return Err(DataError::Count { images_file, images: count, labels_file, labels: labels.len() });
    }
    Ok(Dataset { images, labels, height, width, channels: 1 })
}

/// The folder that holds a data set in IDX format: the one given or one below it; nothing if there is none.
///
/// # Errors
/// Several data sets, none of which lies nearer than the others.
pub fn find_idx(directory: &Path) -> Result<Option<PathBuf>, DataError> {
    let mut level = vec![directory.to_owned()];
    for depth in 0..=DEPTH {
        let found: Vec<&PathBuf> = level.iter().filter(|folder| holds_images(folder)).collect();
        match found[..] {
            [] if depth == DEPTH => break,
            [] => {
                // What cannot be listed holds nothing that could be read.
                let below = level.iter().flat_map(|folder| entries(folder).unwrap_or_default());
                level = below.filter(|path| path.is_dir()).collect();
            }
            [place] => return Ok(Some(place.clone())),
            _ => {
                let found = found.iter().map(|place| place.display().to_string()).collect();
                return Err(DataError::SeveralIdx { directory: directory.display().to_string(), found });
            }
        }
    }
    Ok(None)
}

fn holds_images(directory: &Path) -> bool {
    named(directory).iter().any(|(name, _)| name.what == "images")
}

/// What the names of a data set's files begin with, which is mostly nothing.
fn one_prefix(directory: &Path) -> Result<String, DataError> {
    let files = named(directory);
    let images = files.iter().filter(|(name, _)| name.what == "images");
    let prefixes: BTreeSet<&str> = images.map(|(name, _)| name.prefix.as_str()).collect();
    if prefixes.len() > 1 {
        let called = |prefix: &&str| match *prefix {
            "" => "those without a prefix".to_owned(),
            prefix => format!("{prefix}…"),
        };
        let found = prefixes.iter().map(called).collect();
        return Err(DataError::SeveralIdx { directory: directory.display().to_string(), found });
    }
    Ok(prefixes.first().map_or(String::new(), |prefix| (*prefix).to_owned()))
}

/// The file of a data set with one half's images or labels.
fn find(directory: &Path, prefix: &str, split: Split, what: &'static str) -> Result<PathBuf, DataError> {
    candidates(directory, prefix, split, what).into_iter().next().ok_or_else(|| {
        let (half, split) = match split {
            Split::Train => ("train", "training"),
            Split::Test if prefix.is_empty() => ("t10k", "test"),
            Split::Test => ("test", "test"),
        };
        let axes = if what == "images" { 3 } else { 1 };
        let names = ["-", "."].map(|dot| format!("{prefix}{half}-{what}{dot}idx{axes}-ubyte"));
        let names = names.map(|name| format!("{name}, {name}.gz")).join(", ");
        DataError::Missing { directory: directory.display().to_string(), split, what, names }
    })
}

/// All files that may be meant, the plainest name first.
fn candidates(directory: &Path, prefix: &str, split: Split, what: &str) -> Vec<PathBuf> {
    let wanted = |name: &Name| name.prefix == prefix && name.split == split && name.what == what;
    let mut found: Vec<(Name, PathBuf)> = named(directory).into_iter().filter(|(name, _)| wanted(name)).collect();
    found.sort_by_key(|(name, _)| (name.dot, name.zipped));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Whether anything in a folder goes by the name of a file in IDX format.
pub(super) fn has_names(directory: &Path) -> bool {
    !named(directory).is_empty()
}

/// What lies beside one half of a data set in IDX format and is not part of it: the same under another name, and pictures, from the
/// folder given down to that of the files.
///
/// # Errors
/// As [`find_idx`]; files of several data sets.
pub fn beside_idx(directory: &Path, split: Split) -> Result<LeftOut, DataError> {
    let mut left_out = LeftOut::default();
    let Some(place) = find_idx(directory)? else { return Ok(left_out) };
    let prefix = one_prefix(&place)?;
    let name = |path: &Path| path.strip_prefix(&place).unwrap_or(path).display().to_string();
    for what in ["images", "labels"] {
        let found = candidates(&place, &prefix, split, what);
        for other in found.iter().skip(1) {
            left_out.named(name(other), format!("{} is taken", name(&found[0])));
        }
    }
    for above in place.ancestors().take_while(|above| above.starts_with(directory)) {
        // What cannot be looked at is no part of the data.
        let listing = Listing::of(above).unwrap_or_default();
        left_out.add(listing.left_out.of_folders());
        listing.pictures.iter().for_each(|(path, _)| left_out.file(path, BESIDE.to_owned()));
        let others = listing.folders.iter().filter(|folder| !place.starts_with(folder) && holds_pictures(folder));
        others.for_each(|folder| left_out.folder(folder, BESIDE.to_owned()));
    }
    Ok(left_out)
}

/// What the name of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    /// What stands before the half, with its hyphen.
    prefix: String,
    split: Split,
    what: &'static str,
    dot: bool,
    zipped: bool,
}

impl Name {
    fn of(file: &str) -> Option<Self> {
        let file = file.to_lowercase();
        let (rest, zipped) = file.strip_suffix(".gz").map_or((file.as_str(), false), |rest| (rest, true));
        let kinds = [("images", "-idx3-ubyte", ".idx3-ubyte"), ("labels", "-idx1-ubyte", ".idx1-ubyte")];
        let (what, rest, dot) = kinds.into_iter().find_map(|(what, hyphen, dot)| {
            let part = rest.strip_suffix(hyphen).map(|rest| (rest, false));
            let (rest, is_dot) = part.or_else(|| rest.strip_suffix(dot).map(|rest| (rest, true)))?;
            Some((what, rest.strip_suffix(what)?.strip_suffix('-')?, is_dot))
        })?;
        let halves = [("train", Split::Train), ("t10k", Split::Test), ("test", Split::Test)];
        let (prefix, split) = halves.into_iter().find_map(|(half, split)| Some((rest.strip_suffix(half)?, split)))?;
        let is_word = prefix.is_empty() || prefix.ends_with(['-', '_']);
        is_word.then(|| Self { prefix: prefix.to_owned(), split, what, dot, zipped })
    }
}

/// The files of a directory that go by such names, or lie in a folder of their own that does.
fn named(directory: &Path) -> Vec<(Name, PathBuf)> {
    let name = |path: &Path| Name::of(path.file_name()?.to_str()?);
    let files = |path: PathBuf| -> Vec<(Name, PathBuf)> {
        let Some(outer) = name(&path) else { return Vec::new() };
        if path.is_file() {
            return vec![(outer, path)];
        }
        let same = |inner: &Name| (&inner.prefix, inner.split, inner.what) == (&outer.prefix, outer.split, outer.what);
        let inside = entries(&path).unwrap_or_default().into_iter().filter(|path| path.is_file());
        inside.filter_map(|path| Some((name(&path).filter(same)?, path))).collect()
    };
    entries(directory).unwrap_or_default().into_iter().flat_map(files).collect()
}

/// Opens a file for reading what it holds; whether it is gzipped its first two bytes tell, not its name.
fn open(path: &Path, file: &str) -> Result<Box<dyn Read>, DataError> {
    let attempt = || {
        let mut start = Vec::new();
        File::open(path)?.take(2).read_to_end(&mut start)?;
        let reader = BufReader::new(File::open(path)?);
        Ok(if start == [0x1f, 0x8b] {
            Box::new(MultiGzDecoder::new(reader)) as Box<dyn Read>
        } else {
            Box::new(reader)
        })
    };
    attempt().map_err(|source| DataError::Io { file: file.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name =
            |prefix: &str, split, what, dot, zipped| Name { prefix: prefix.to_owned(), split, what, dot, zipped };
        let known = [
            ("train-images-idx3-ubyte", name("", Split::Train, "images", false, false)),
            ("t10k-labels.idx1-ubyte.gz", name("", Split::Test, "labels", true, true)),
            ("emnist-letters-test-labels-idx1-ubyte", name("emnist-letters-", Split::Test, "labels", false, false)),
        ];
        for (file, expected) in known {
            assert_eq!(Name::of(file), Some(expected), "{file}");
        }
        for file in [
            "strain-images-idx3-ubyte",
            "train-images-idx1-ubyte",
            "train-idx3-ubyte",
            "digits-idx3-ubyte",
            "train-images",
        ] {
            assert_eq!(Name::of(file), None, "{file}");
        }
    }
}
