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
