//! A folder of pictures as a data set: files of any size, known by their content, in sub-folders if they have classes.
//!
//! | what lies in the folder | what it means |
//! |---|---|
//! | pictures | a data set without classes |
//! | sub-folders of pictures | one class each, numbered in the order of their names |
//! | `train/` and `test/`, each one of the above | the two halves |
//!
//! The halves go by other names, too, in whatever capitals ([`Half`]). One of them alone is refused, unless there are other classes
//! beside it: there may be trains among them. So are folders below a class. Without halves, every 20th picture of each class, in the
//! order of their names, is kept back as the test half. Names of classes are text: however an é is written, it is the same class.

use super::format::Format;
use super::halves::Half;
use super::idx_files;
use super::left_out::LeftOut;
use super::listing::{self, Listing};
use super::names::same_name;
use super::picture;
use super::{DataError, Dataset, Split};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// Of so many pictures of a class, the last is a test picture.
const TEST_EVERY: usize = 20;
/// Labels are bytes.
const MAX_CLASSES: usize = 256;
/// The largest data set accepted, in bytes of pixels.
const MAX_BYTES: usize = 1 << 31;

/// One half of a folder of pictures, listed but not yet decoded.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    directory: PathBuf,
    split: Split,
    /// Whether the half is a part of a folder that does not divide its pictures.
    is_kept_back: bool,
    classes: Vec<String>,
    /// Classes of several folders, and how many.
    merged: Vec<(String, usize)>,
    files: Vec<Entry>,
    left_out: LeftOut,
}

/// A picture of a folder.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    format: Format,
    class: u8,
}

/// Whether a folder without images in IDX format is one of pictures: there is anything that could be some, or folders of them, or
/// nothing goes by the name of an IDX file.
pub fn is_folder_of_pictures(directory: &Path) -> bool {
    // What cannot be listed is told when it is opened.
    let has_some = |it: Listing| !it.folders.is_empty() || !it.pictures.is_empty() || it.left_out.has_pictures();
    !idx_files::has_names(directory) || Listing::of(directory).map_or(true, has_some)
}

impl ImageFolder {
    /// Lists one half of a folder.
    ///
    /// # Errors
    /// [`DataError`]: nothing there, an empty class, a picture outside the classes, halves that are not clear.
    pub fn open(directory: &Path, split: Split) -> Result<Self, DataError> {
        if let Some(([train, test], left_out)) = halves(directory)? {
            let mut half = Self::list(&train, Split::Train, false)?;
            if split == Split::Test {
                let classes = half.classes;
                half = Self::list(&test, Split::Test, false)?;
                half.number_as(&classes)?;
            }
            half.left_out.add(left_out);
            return Ok(half);
        }
        let mut folder = Self::list(directory, split, true)?;
        let mut before = vec![0usize; folder.classes.len().max(1)];
        folder.files.retain(|entry| {
            let count = &mut before[usize::from(entry.class)];
            *count += 1;
            count.is_multiple_of(TEST_EVERY) == (split == Split::Test)
        });
        if folder.files.is_empty() {
            return Err(DataError::TooFew { directory: directory.display().to_string(), every: TEST_EVERY });
        }
        folder.is_kept_back = true;
        Ok(folder)
    }

    /// Lists all pictures of a folder, in the order of the names of classes and files; whether it is the one given.
    fn list(directory: &Path, split: Split, is_given: bool) -> Result<Self, DataError> {
        let Listing { folders, pictures, left_out } = Listing::of(directory)?;
        let name = || directory.display().to_string();
        let (place, directory) = (directory, directory.to_owned());
        let (classes, merged, files) = (Vec::new(), Vec::new(), Vec::new());
        let mut list = Self { directory, split, is_kept_back: false, classes, merged, files, left_out };
        if folders.is_empty() {
            list.add(pictures, 0);
            let what = if split == Split::Train { "training images" } else { "test images" };
            return match list.is_empty() {
                true => Err(DataError::NoPictures { directory: name(), what, left_out: list.left_out }),
                false => Ok(list),
            };
        }
        if let Some((stray, _)) = pictures.first() {
            return Err(DataError::Stray { file: stray.display().to_string() });
        }
        // Two folders are one class if only the bytes of their names differ.
        let mut classes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for folder in folders {
            let class = folder.file_name().unwrap_or_default().to_str().map(|name| name.nfc().collect());
            let class = class.ok_or_else(|| DataError::ClassName { directory: folder.display().to_string() })?;
            classes.entry(class).or_default().push(folder);
        }
        if classes.len() > MAX_CLASSES {
            return Err(DataError::TooManyClasses { directory: name(), found: classes.len(), max: MAX_CLASSES });
        }
        for (label, (class, folders)) in classes.into_iter().enumerate() {
            if folders.len() > 1 {
                list.merged.push((class.clone(), folders.len()));
            }
            for folder in folders {
                let directory = || folder.display().to_string();
                let Listing { folders: nested, pictures, left_out } = Listing::of(&folder)?;
                if let Some(nested) = nested.first() {
                    let instead =
                        if is_given { meant(place)?.map(|folder| folder.display().to_string()) } else { None };
                    return Err(DataError::Nested { directory: nested.display().to_string(), class, instead });
                }
                if pictures.is_empty() {
                    return Err(DataError::EmptyClass { directory: directory(), left_out });
                }
                list.add(pictures, label as u8);
                list.left_out.add(left_out);
            }
            list.classes.push(class);
        }
        Ok(list)
    }

    fn add(&mut self, pictures: Vec<(PathBuf, Format)>, class: u8) {
        self.files.extend(pictures.into_iter().map(|(path, format)| Entry { path, format, class }));
    }

    /// What the half consists of, in words: how many pictures of what kind from where, then what was left out and why, if anything.
    pub fn summary(&self) -> (String, Option<String>) {
        let mut formats: BTreeMap<Format, usize> = BTreeMap::new();
        self.files.iter().for_each(|entry| *formats.entry(entry.format).or_default() += 1);
        let formats = formats.iter().map(|(format, count)| format!("{count} {}", format.name())).collect::<Vec<_>>();
        let half = if self.split == Split::Train { "training" } else { "test" };
        let pictures = if self.len() == 1 { "picture" } else { "pictures" };
        let division = match (self.is_kept_back, self.split) {
            (false, _) => String::new(),
            (true, Split::Train) => format!(", all but every {TEST_EVERY}th{}", self.of_a_class()),
            (true, Split::Test) => format!(", every {TEST_EVERY}th{}", self.of_a_class()),
        };
        let (directory, formats) = (self.directory.display(), formats.join(", "));
        let merged = |(class, count): &(String, usize)| {
            format!("; the class {class} is {count} folders, whose names differ only in how accents are written")
        };
        let merged: String = self.merged.iter().map(merged).collect();
        let (count, classes) = (self.len(), self.in_classes());
        let text = format!("{count} {half} {pictures}{classes} from {directory}{division}: {formats}{merged}");
        (text, (!self.left_out.is_empty()).then(|| self.left_out.to_string()))
    }

    fn in_classes(&self) -> String {
        let classes: BTreeSet<u8> = self.files.iter().map(|entry| entry.class).collect();
        match classes.len() {
            _ if self.classes.is_empty() => String::new(),
            1 => " in 1 class".to_owned(),
            count => format!(" in {count} classes"),
        }
    }

    fn of_a_class(&self) -> &'static str {
        if self.classes.is_empty() { "" } else { " of a class" }
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
            let directory = || self.directory.join(class).display().to_string();
            let unknown = || DataError::UnknownClass { directory: directory(), classes: names.to_vec() };
            let label = names.iter().position(|name| same_name(name, class)).ok_or_else(unknown)?;
            u8::try_from(label).map_err(|_| DataError::LargeLabel { file: directory(), name: class.clone(), label })
        };
        if self.classes.is_empty() && !names.is_empty() {
            let directory = self.directory.display().to_string();
            return Err(DataError::NoClasses { directory, classes: names.to_vec() });
        }
        let numbers = self.classes.iter().map(number).collect::<Result<Vec<u8>, _>>()?;
        for Entry { class, .. } in &mut self.files {
            *class = numbers.get(usize::from(*class)).copied().unwrap_or(0);
        }
        self.classes = names.to_vec();
        Ok(())
    }

    /// Height and width if all pictures have the same, and whether all are grey; which is known without decoding them.
    ///
    /// # Errors
    /// A picture that does not decode.
    pub fn survey(&self) -> Result<(Option<[usize; 2]>, bool), DataError> {
        let found = self.files.par_iter().map(|entry| picture::probe(&entry.path)).collect::<Vec<_>>();
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
        let pictures =
            self.files.par_iter().map(|entry| picture::load(&entry.path, size, channels)).collect::<Vec<_>>();
        let mut images = Vec::with_capacity(bytes);
        for picture in pictures {
            images.extend(picture?);
        }
        let labels = self.files.iter().map(|entry| entry.class).collect();
        Ok(Dataset { images, labels, height, width, channels })
    }
}

/// The folder below this one that may have been meant: the only one that there is, however deep, or the only one of two halves.
fn meant(directory: &Path) -> Result<Option<PathBuf>, DataError> {
    let mut place = directory.to_owned();
    loop {
        let Listing { folders, pictures, .. } = Listing::of(&place)?;
        let is_divided = |folder: &&PathBuf| matches!(halves(folder), Ok(Some(_)));
        let divided = folders.iter().filter(is_divided).collect::<Vec<_>>();
        place = match (&divided[..], &folders[..]) {
            ([only], _) => return Ok(Some((*only).clone())),
            ([], [only]) if pictures.is_empty() && !Listing::of(only)?.folders.is_empty() => only.clone(),
            _ => return Ok(Some(place).filter(|place| place != directory)),
        };
    }
}

/// The folders of the two halves, and folders that are neither; nothing if a folder is not divided.
///
/// # Errors
/// One half without the other, two folders for the same half, or something beside them.
fn halves(directory: &Path) -> Result<Option<([PathBuf; 2], LeftOut)>, DataError> {
    let paths = listing::entries(directory)?.into_iter().filter(|path| path.is_dir()).collect::<Vec<_>>();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let half = |path: &PathBuf| Half::of(&name(path));
    let of = |wanted: Half| paths.iter().filter(|path| half(path) == Some(wanted)).collect::<Vec<_>>();
    let [train, test, validation] = [Half::Train, Half::Test, Half::Validation].map(of);
    let (judged, unused) = if test.is_empty() { (validation, Vec::new()) } else { (test, validation) };
    let third = paths.iter().find(|path| half(path).is_none());
    let place = || directory.display().to_string();
    for (half, found) in [("training", &train), ("test", &judged)] {
        if let [one, other, ..] = found[..]
            && (third.is_none() || !train.is_empty() && !judged.is_empty())
        {
            let found = [one, other].map(|path| name(path));
            return Err(DataError::TwoOfAHalf { directory: place(), half, found });
        }
    }
    let names = |train: &Path, test: &Path| [train, test].map(&name);
    match (train.first(), judged.first(), third) {
        (Some(train), Some(test), Some(third)) => {
            Err(DataError::Third { directory: third.display().to_string(), halves: names(train, test) })
        }
        (Some(train), Some(test), None) => {
            let [train_name, test_name] = names(train, test);
            let mut left_out = LeftOut::default();
            unused
                .iter()
                .for_each(|path| left_out.folder(path, format!("{train_name}/ and {test_name}/ are the halves")));
            let beside = Listing::of(directory)?;
            left_out.add(beside.left_out);
            beside.pictures.iter().for_each(|(path, _)| left_out.file(path, "beside the halves".to_owned()));
            Ok(Some(([train, test].map(|path| (*path).clone()), left_out)))
        }
        (Some(found), None, None) => {
            Err(DataError::OneHalf { directory: place(), found: name(found), missing: "test" })
        }
        (None, Some(found), None) => {
            Err(DataError::OneHalf { directory: place(), found: name(found), missing: "train" })
        }
        _ => Ok(None),
    }
}
