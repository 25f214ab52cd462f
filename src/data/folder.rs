//! A folder of pictures as a data set: PNG and JPEG files of any size, in sub-folders if they have classes.
//!
//! | what lies in the folder | what it means |
//! |---|---|
//! | pictures | a data set without classes |
//! | sub-folders of pictures | one class each, numbered in the order of their names |
//! | `train/` and `test/`, each one of the above | the two halves |
//!
//! A lone `train/` or `test/` is refused, unless there are other classes beside it: there may be trains among them. So are
//! folders below a class. Without `train/` and `test/`, every 20th picture of each class, in the order of their names, is kept back as the test half.

use super::picture;
use super::{DataError, Dataset, Split};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Of so many pictures of a class, the last is a test picture.
const TEST_EVERY: usize = 20;
/// What parts of a data set are called, here or elsewhere.
const HALVES: [&str; 5] = ["train", "test", "val", "valid", "validation"];
/// Labels are bytes.
const MAX_CLASSES: usize = 256;
/// The largest data set accepted, in bytes of pixels.
const MAX_BYTES: usize = 1 << 31;

/// One half of a folder of pictures, listed but not yet decoded.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    directory: PathBuf,
    classes: Vec<String>,
    /// Each picture and its class.
    files: Vec<(PathBuf, u8)>,
}

impl ImageFolder {
    /// Lists one half of a folder.
    ///
    /// # Errors
    /// [`DataError`]: nothing there, an empty class, a picture outside the classes, a format that is not read.
    pub fn open(directory: &Path, split: Split) -> Result<Self, DataError> {
        let [train, test] = ["train", "test"].map(|half| directory.join(half));
        if train.is_dir() && test.is_dir() {
            no_third(directory)?;
            let half = Self::list(&train, "training images")?;
            if split == Split::Train {
                return Ok(half);
            }
            let classes = half.classes;
            let mut half = Self::list(&test, "test images")?;
            half.number_as(&classes)?;
            return Ok(half);
        }
        one_half(directory)?;
        let mut folder = Self::list(directory, "training images")?;
        let mut before = vec![0usize; folder.classes.len().max(1)];
        folder.files.retain(|(_, class)| {
            let count = &mut before[usize::from(*class)];
            *count += 1;
            count.is_multiple_of(TEST_EVERY) == (split == Split::Test)
        });
        if folder.files.is_empty() {
            return Err(DataError::TooFew { directory: directory.display().to_string(), every: TEST_EVERY });
        }
        Ok(folder)
    }

    /// Lists all pictures of a folder, in the order of the names of classes and files.
    fn list(directory: &Path, what: &'static str) -> Result<Self, DataError> {
        let (folders, pictures) = entries(directory)?;
        let name = || directory.display().to_string();
        let mut list = Self { directory: directory.to_owned(), classes: Vec::new(), files: Vec::new() };
        if folders.is_empty() {
            list.files = pictures.into_iter().map(|path| (path, 0)).collect();
            return if list.is_empty() { Err(DataError::NoPictures { directory: name(), what }) } else { Ok(list) };
        }
        if let Some(stray) = pictures.first() {
            return Err(DataError::Stray { file: stray.display().to_string() });
        }
        if folders.len() > MAX_CLASSES {
            return Err(DataError::TooManyClasses { directory: name(), found: folders.len(), max: MAX_CLASSES });
        }
        for (label, folder) in folders.into_iter().enumerate() {
            let (nested, pictures) = entries(&folder)?;
            let class = folder.file_name().unwrap_or_default().to_str().map(str::to_owned);
            let class = class.ok_or_else(|| DataError::ClassName { directory: folder.display().to_string() })?;
            if let Some(nested) = nested.first() {
                return Err(DataError::Nested { directory: nested.display().to_string(), class });
            }
            if pictures.is_empty() {
                return Err(DataError::EmptyClass { directory: folder.display().to_string() });
            }
            list.files.extend(pictures.into_iter().map(|path| (path, label as u8)));
            list.classes.push(class);
        }
        Ok(list)
    }

    /// The names of the classes, by number; empty if the pictures have none.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none; never after [`ImageFolder::open`].
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Numbers the classes as a list of names does, of which a folder need not have all.
    ///
    /// # Errors
    /// A class that the list does not have; no classes at all where there are names.
    pub fn number_as(&mut self, names: &[String]) -> Result<(), DataError> {
        let number = |class: &String| {
            let unknown = || DataError::UnknownClass {
                directory: self.directory.join(class).display().to_string(),
                classes: names.to_vec(),
            };
            names.iter().position(|name| name == class).map(|i| i as u8).ok_or_else(unknown)
        };
        if self.classes.is_empty() && !names.is_empty() {
            let directory = self.directory.display().to_string();
            return Err(DataError::NoClasses { directory, classes: names.to_vec() });
        }
        let numbers = self.classes.iter().map(number).collect::<Result<Vec<u8>, _>>()?;
        for (_, class) in &mut self.files {
            *class = numbers.get(usize::from(*class)).copied().unwrap_or(0);
        }
        self.classes = names.to_vec();
        Ok(())
    }

    /// Height and width if all pictures have the same, and whether all are grey; reads the headers only.
    ///
    /// # Errors
    /// A picture that does not decode.
    pub fn survey(&self) -> Result<(Option<[usize; 2]>, bool), DataError> {
        let found = self.files.par_iter().map(|(path, _)| picture::probe(path)).collect::<Vec<_>>();
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        let size = found.first().map(|(size, _)| *size).filter(|size| found.iter().all(|(other, _)| other == size));
        Ok((size, found.iter().all(|(_, grey)| *grey)))
    }

    /// Decodes the pictures, cropped and resized to height and width, in grey (`channels` = 1) or RGB (3).
    ///
    /// # Errors
    /// The first picture, in the order of their names, that does not decode; more pixels than fit.
    ///
    /// # Panics
    /// If `channels` is neither 1 nor 3.
    pub fn load(&self, size: [usize; 2], channels: usize) -> Result<Dataset, DataError> {
        assert!(matches!(channels, 1 | 3), "a picture has 1 or 3 channels");
        let [height, width] = size;
        let bytes = self.files.len().saturating_mul(height * width * channels);
        if bytes > MAX_BYTES {
            let reason = format!("{} pictures of {height}×{width} take {bytes} bytes of memory", self.files.len());
            return Err(DataError::Picture { file: self.directory.display().to_string(), reason });
        }
        let pictures = self.files.par_iter().map(|(path, _)| picture::load(path, size, channels)).collect::<Vec<_>>();
        let mut images = Vec::with_capacity(bytes);
        for picture in pictures {
            images.extend(picture?);
        }
        let labels = self.files.iter().map(|(_, class)| *class).collect();
        Ok(Dataset { images, labels, height, width, channels })
    }
}

/// Refuses a folder in which one half of a data set lies without the other.
fn one_half(directory: &Path) -> Result<(), DataError> {
    let (folders, _) = entries(directory)?;
    let names: Vec<_> = folders.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let only_halves = names.iter().all(|name| HALVES.contains(name));
    for (found, missing) in [("train", "test"), ("test", "train")] {
        if only_halves && names.contains(&found) && !names.contains(&missing) {
            return Err(DataError::OneHalf { directory: directory.display().to_string(), found, missing });
        }
    }
    Ok(())
}

/// Refuses a folder with two halves and something else, which would be neither.
fn no_third(directory: &Path) -> Result<(), DataError> {
    let (folders, _) = entries(directory)?;
    match folders.iter().find(|path| !HALVES.iter().any(|half| path.ends_with(half))) {
        None => Ok(()),
        Some(third) => Err(DataError::Third { directory: third.display().to_string() }),
    }
}

/// The sub-folders and the pictures in a folder, sorted; hidden entries and files of other kinds are passed over.
fn entries(directory: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let failed = |source| DataError::Io { file: directory.display().to_string(), source };
    let paths = fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    let (mut folders, mut pictures) = (Vec::new(), Vec::new());
    for path in paths {
        // A link to nowhere may have been a class.
        let kind = fs::metadata(&path).map_err(|source| DataError::Io { file: path.display().to_string(), source })?;
        if kind.is_dir() {
            folders.push(path);
            continue;
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("png" | "jpg" | "jpeg") if kind.is_file() => pictures.push(path),
            // Whoever reads a pipe waits.
            Some("png" | "jpg" | "jpeg") => return Err(DataError::Format { file: path.display().to_string() }),
            Some("gif" | "webp" | "bmp" | "tif" | "tiff" | "avif" | "heic" | "svg") => {
                return Err(DataError::Format { file: path.display().to_string() });
            }
            _ => {}
        }
    }
    Ok((folders, pictures))
}
