//! What lies in a folder: folders, pictures by content, and what is left out of a data set and why.

use super::DataError;
use super::format::{Format, START};
use super::left_out::{LeftOut, NO_FILE, NO_PICTURE};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why folders that begin with a dot are left out.
const HIDDEN: &str = "hidden";
/// So many folders below one are searched for pictures.
const DEPTH: usize = 3;

/// What operating systems and archives leave in folders, in small letters. Hidden entries, which begin with a dot, are passed over, too,
/// but folders of pictures among them are told.
const LITTER: [&str; 9] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
];

/// The entries of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sub-folders, sorted.
    pub folders: Vec<PathBuf>,
    /// Files that are pictures, or that go by a picture's name and are none, sorted.
    pub pictures: Vec<(PathBuf, Format)>,
    /// Everything else.
    pub left_out: LeftOut,
}

/// What a file is.
enum Kind {
    Folder,
    Picture(Format),
    LeftOut(String),
}

impl Listing {
    /// Looks at each entry of a folder, and into each file.
    pub(super) fn of(directory: &Path) -> Result<Self, DataError> {
        let (hidden, paths): (Vec<_>, Vec<_>) = all(directory)?.into_iter().partition(|path| is_hidden(path));
        let kinds = paths.par_iter().map(|path| kind(path)).collect::<Vec<_>>();
        let mut listing = Self::default();
        for (path, kind) in paths.into_iter().zip(kinds) {
            match kind? {
                Kind::Folder => listing.folders.push(path),
                Kind::Picture(format) => listing.pictures.push((path, format)),
                Kind::LeftOut(why) => listing.left_out.file(&path, why),
            }
        }
        for folder in hidden.iter().filter(|path| holds_pictures(path)) {
            listing.left_out.folder(folder, HIDDEN.to_owned());
        }
        Ok(listing)
    }
}

/// Whether there are pictures in a folder, or in folders below it. What cannot be looked at holds none.
pub(super) fn holds_pictures(directory: &Path) -> bool {
    holds_pictures_within(directory, DEPTH)
}

fn holds_pictures_within(directory: &Path, depth: usize) -> bool {
    let is_picture = |path: &PathBuf| path.is_file() && matches!(kind(path), Ok(Kind::Picture(_)));
    let paths = if directory.is_dir() { entries(directory).unwrap_or_default() } else { Vec::new() };
    paths.iter().any(is_picture) || depth > 0 && paths.iter().any(|path| holds_pictures_within(path, depth - 1))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().unwrap_or_default().to_string_lossy().starts_with('.')
}

/// The paths in a folder, sorted, without litter and what is hidden.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(all(directory)?.into_iter().filter(|path| !is_hidden(path)).collect())
}

/// The paths in a folder, sorted, without what systems leave there.
fn all(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Io { file: directory.display().to_string(), source };
    let paths = fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        !name.starts_with("._") && !LITTER.contains(&name.as_str())
    });
    paths.sort();
    Ok(paths)
}

fn kind(path: &Path) -> Result<Kind, DataError> {
    let file = || path.display().to_string();
    // A link to nowhere may have been a class.
    let found = fs::metadata(path).map_err(|source| DataError::Io { file: file(), source })?;
    if found.is_dir() {
        return Ok(Kind::Folder);
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let named = extension.as_deref().and_then(Format::of_extension);
    if !found.is_file() {
        // Whoever reads a pipe waits.
        return match named {
            Some(_) => Err(DataError::NoFile { file: file() }),
            None => Ok(Kind::LeftOut(NO_FILE.to_owned())),
        };
    }
    // What cannot be opened goes by its name, and is told when it is to be decoded.
    let format = start(path).ok().and_then(|start| Format::of(&start)).or(named);
    Ok(match format {
        Some(format) if format.is_read() => Kind::Picture(format),
        Some(format) => Kind::LeftOut(format!("{} cannot be read", format.name())),
        None => Kind::LeftOut(NO_PICTURE.to_owned()),
    })
}

/// The first bytes of a file.
fn start(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(START as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// All bytes of a file, or one more than `max`.
pub(super) fn contents(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
