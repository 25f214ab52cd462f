//! What lies in a folder: folders, pictures by content, and what is left out of a data set and why.

use super::DataError;
use super::format::{Format, START};
use super::left_out::{LeftOut, NO_FILE, NO_PICTURE};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What operating systems and archives leave in folders, in small letters. Hidden entries, which begin with a dot, are passed over, too.
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
        let paths = entries(directory)?;
        let kinds = paths.par_iter().map(|path| kind(path)).collect::<Vec<_>>();
        let mut listing = Self::default();
        for (path, kind) in paths.into_iter().zip(kinds) {
            match kind? {
                Kind::Folder => listing.folders.push(path),
                Kind::Picture(format) => listing.pictures.push((path, format)),
                Kind::LeftOut(why) => listing.left_out.file(&path, why),
            }
        }
        Ok(listing)
    }
}

/// The paths in a folder, sorted, without litter.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Io { file: directory.display().to_string(), source };
    let paths = fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        !name.starts_with('.') && !LITTER.contains(&name.as_str())
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
