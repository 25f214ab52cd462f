//! MNIST's IDX files, plain or gzipped: a big-endian magic number and extents, then bytes.
//!
//! | file | magic | extents | bytes |
//! |---|---|---|---|
//! | images | 0x00000803 | N, H, W | N·H·W pixels |
//! | labels | 0x00000801 | N | N classes |

use super::DataError;
use std::io::Read;

/// The largest data accepted, 2 GiB: the training images of MNIST are 45 MiB.
const MAX_BYTES: u64 = 1 << 31;
/// The largest height or width accepted.
const MAX_SIDE: u32 = 4096;

/// Reads images from an IDX stream: bytes `[N, H, W]`, then N, H, W. `file` names it in errors.
///
/// # Errors
/// [`DataError`], for anything that is not exactly such a file.
pub fn parse_images(reader: impl Read, file: &str) -> Result<(Vec<u8>, [usize; 3]), DataError> {
    let (bytes, extents) = parse::<3>(reader, file, "images", 0x803)?;
    Ok((bytes, extents.map(|extent| extent as usize)))
}

/// Reads labels from an IDX stream and checks that each is below `classes`. `file` names it in errors.
///
/// # Errors
/// [`DataError`], for anything that is not exactly such a file.
pub fn parse_labels(reader: impl Read, file: &str, classes: usize) -> Result<Vec<u8>, DataError> {
    let (labels, _) = parse::<1>(reader, file, "labels", 0x801)?;
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(index) => Err(DataError::Label { file: file.into(), index, found: labels[index], classes }),
        None => Ok(labels),
    }
}

fn parse<const AXES: usize>(
    mut reader: impl Read,
    file: &str,
    what: &'static str,
    magic: u32,
) -> Result<(Vec<u8>, [u32; AXES]), DataError> {
    let mut header = Vec::new();
    let header_len = 4 + 4 * AXES as u64;
    read_up_to(&mut reader, header_len, &mut header, file)?;
    let mut words = header.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    // A short foreign file is foreign first.
    let found = words.next().unwrap_or(magic);
    if found != magic {
        return Err(DataError::Magic { file: file.into(), what, expected: magic, found });
    }
    let truncated = |part, expected, found| DataError::Truncated { file: file.into(), part, expected, found };
    if (header.len() as u64) < header_len {
        return Err(truncated("header", header_len, header.len() as u64));
    }
    let extents: [u32; AXES] = std::array::from_fn(|_| words.next().unwrap_or(0));
    let expected = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(u64::from(extent)));
    let Some(expected) =
        expected.filter(|&n| (1..=MAX_BYTES).contains(&n) && extents[1..].iter().all(|&e| e <= MAX_SIDE))
    else {
        let found = extents.map(|extent| extent.to_string()).join("×");
        return Err(DataError::Extents { file: file.into(), found, max: MAX_BYTES, max_side: MAX_SIDE });
    };
    // Memory grows with what is really there, never with what the header claims.
    let mut bytes = Vec::new();
    read_up_to(&mut reader, expected + 1, &mut bytes, file)?;
    match bytes.len() as u64 {
        found if found < expected => Err(truncated("data", expected, found)),
        found if found > expected => Err(DataError::Oversized { file: file.into(), expected }),
        _ => Ok((bytes, extents)),
    }
}

fn read_up_to(reader: &mut impl Read, limit: u64, bytes: &mut Vec<u8>, file: &str) -> Result<(), DataError> {
    reader.take(limit).read_to_end(bytes).map_err(|source| DataError::Io { file: file.into(), source })?;
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
mod files {
    use super::{parse_images, parse_labels};
    use crate::data::{DataError, Dataset, Split};
    use flate2::read::MultiGzDecoder;
    use std::fs::File;
    use std::io::{BufReader, Read};
    use std::path::{Path, PathBuf};

    /// Reads MNIST, or a data set that looks like it, from a directory: ten classes, one channel.
    ///
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` (or `t10k-…`) are looked for as they are, with a dot for the last
    /// hyphen but one (`train-images.idx3-ubyte`), and each with `.gz`.
    ///
    /// # Errors
    /// [`DataError`]: a file is missing, unreadable, not what its name says, or the two do not fit together.
    pub fn load_idx(directory: &Path, split: Split) -> Result<Dataset, DataError> {
        load_idx_classes(directory, split, 10)
    }

    /// [`load_idx`] for a data set of another number of classes, 1…256.
    ///
    /// # Errors
    /// As [`load_idx`].
    pub fn load_idx_classes(directory: &Path, split: Split, classes: usize) -> Result<Dataset, DataError> {
        let (images_path, labels_path) = (find(directory, split, "images", 3)?, find(directory, split, "labels", 1)?);
        let (images_file, labels_file) = (images_path.display().to_string(), labels_path.display().to_string());
        let (images, [count, height, width]) = parse_images(open(&images_path, &images_file)?, &images_file)?;
        let labels = parse_labels(open(&labels_path, &labels_file)?, &labels_file, classes)?;
        if labels.len() != count {
            return Err(DataError::Count { images_file, images: count, labels_file, labels: labels.len() });
        }
        Ok(Dataset { images, labels, height, width, channels: 1 })
    }

    /// Whether a directory holds a file that goes by one of MNIST's names.
    pub fn is_idx(directory: &Path) -> bool {
        let halves = [Split::Train, Split::Test];
        halves.into_iter().any(|split| find(directory, split, "images", 3).is_ok())
    }

    /// The first file of the directory that has one of the names MNIST's files go by.
    fn find(directory: &Path, split: Split, what: &'static str, axes: usize) -> Result<PathBuf, DataError> {
        let (prefix, split) = match split {
            Split::Train => ("train", "training"),
            Split::Test => ("t10k", "test"),
        };
        let names = ["-", "."].map(|dot| format!("{prefix}-{what}{dot}idx{axes}-ubyte"));
        let names = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
        let names: Vec<String> = names.collect();
        let found = names.iter().map(|name| directory.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| DataError::Missing {
            directory: directory.display().to_string(),
            split,
            what,
            names: names.join(", "),
        })
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
}
#[cfg(not(target_arch = "wasm32"))]
pub use files::{is_idx, load_idx, load_idx_classes};
