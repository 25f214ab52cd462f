//! Whether the file of a picture is whole, and how large the picture is: read off the structure, without decoding it.
//!
//! Decoders, and browsers, make something of half a file. That would be trained on, or shown, as if it were the picture.
//!
//! | format | it is whole if it comes to |
//! |---|---|
//! | PNG | its IEND chunk, with image data before it |
//! | JPEG | its end-of-image marker, with a scan of every component before it; that of a thumbnail in a segment does not count |
//! | GIF | its trailer, with a frame before it |
//! | WebP | the length in its RIFF header |
//! | BMP | the end of its rows |
//!
//! Bytes after that are nobody's concern: many cameras append something.

use super::format::{Format, START};

/// The most that one picture may take in memory, in bytes, four for each pixel (RGBA). A file of some kilobytes can hold gigabytes.
pub const MAX_DECODED: u64 = 512 << 20;

/// What a file says of its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of file.
    pub format: Format,
    /// Height and width in pixels, as stored: an orientation in Exif is not applied. Both at least 1.
    pub size: [usize; 2],
}

/// Why a file's picture is not to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The first bytes are of no format in [`Format`].
    #[error("it is no picture of a known kind")]
    Unknown,
    /// A format that is not read here; a browser may know it.
    #[error("{} files cannot be read", .0.name())]
    Unread(Format),
    /// The file stops before the picture does.
    #[error("the file ends in the middle: expected {expected}, found the end after {found} bytes")]
    Cut {
        /// What a whole file comes to.
        expected: String,
        /// Length of the file.
        found: usize,
    },
    /// The file does not say what a file of its kind must.
    #[error("the {} file is damaged: {what}", .format.name())]
    Damaged {
        /// The kind of file.
        format: Format,
        /// What is wrong.
        what: &'static str,
    },
    /// The picture is too large to be decoded.
    #[error(
        "its {}×{} pixels take {} MiB of memory decoded, expected at most {} MiB",
        .size[0], .size[1], pixel_bytes(*.size).div_ceil(1 << 20), MAX_DECODED >> 20
    )]
    Large {
        /// Height and width.
        size: [usize; 2],
    },
}

/// Checks that a file holds a whole picture in one of the formats that are read, of no more than [`MAX_DECODED`] bytes.
///
/// # Errors
/// [`Flaw`], one sentence.
pub fn check(bytes: &[u8]) -> Result<Header, Flaw> {
    let format = Format::of(&bytes[..bytes.len().min(START)]).ok_or(Flaw::Unknown)?;
    let file = File { format, bytes, at: 0 };
    let size = match format {
        Format::Png => png(file)?,
        Format::Jpeg => jpeg(file)?,
        Format::Gif => gif(file)?,
        Format::WebP => webp(file)?,
        Format::Bmp => bmp(file)?,
        other => return Err(Flaw::Unread(other)),
    };
    if size.contains(&0) {
        return Err(Flaw::Damaged { format, what: "the picture has no height or no width" });
    }
    let size = size.map(|side| side as usize);
    if pixel_bytes(size) > MAX_DECODED {
        return Err(Flaw::Large { size });
    }
    Ok(Header { format, size })
}

fn pixel_bytes([height, width]: [usize; 2]) -> u64 {
    (height as u64).saturating_mul(width as u64).saturating_mul(4)
}

/// A file on the way from its beginning to its end.
struct File<'a> {
    format: Format,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> File<'a> {
    fn cut(&self) -> Flaw {
        let expected = match self.format {
            Format::Png => "the IEND chunk",
            Format::Jpeg => "the end-of-image marker",
            Format::Gif => "the trailer",
            _ => "the whole header",
        };
        Flaw::Cut { expected: expected.to_owned(), found: self.bytes.len() }
    }

    fn damaged(&self, what: &'static str) -> Flaw {
        Flaw::Damaged { format: self.format, what }
    }

    /// The next bytes.
    fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let part = self.bytes[self.at..].get(..count).ok_or_else(|| self.cut())?;
        self.at += count;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(self.array::<1>()?[0])
    }

    /// A number of two bytes, the higher first.
    fn be16(&mut self) -> Result<u32, Flaw> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    /// A number of two bytes, the lower first.
    fn le16(&mut self) -> Result<u32, Flaw> {
        Ok(u16::from_le_bytes(self.array()?).into())
    }

    fn le32(&mut self) -> Result<u32, Flaw> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Whether the file has so many bytes.
    fn reaches(&self, end: u64) -> Result<(), Flaw> {
        match self.bytes.len() {
            found if (found as u64) < end => Err(Flaw::Cut { expected: format!("{end} bytes"), found }),
            _ => Ok(()),
        }
    }
}

/// Chunks of a length, a name of four letters, data and a checksum.
fn png(mut file: File) -> Result<[u32; 2], Flaw> {
    file.take(8)?;
    let (mut size, mut has_data) = ([0; 2], false);
    loop {
        let length = u32::from_be_bytes(file.array()?) as usize;
        let name: [u8; 4] = file.array()?;
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return Err(file.damaged("a chunk has no name"));
        }
        let data = file.take(length)?;
        file.take(4)?;
        match &name {
            b"IHDR" if length == 13 => {
                size = [4, 0].map(|i| u32::from_be_bytes([data[i], data[i + 1], data[i + 2], data[i + 3]]));
            }
            b"IDAT" => has_data = true,
            b"IEND" if has_data => return Ok(size),
            b"IEND" => return Err(file.damaged("it holds no image data")),
            _ => {}
        }
    }
}

/// Segments that begin with a marker, 0xff and its number, and after each header of a scan its data.
fn jpeg(mut file: File) -> Result<[u32; 2], Flaw> {
    file.take(2)?;
    let mut size = [0; 2];
    // The frame's components, and those of them that a scan has brought.
    let (mut components, mut seen) = (Vec::new(), Vec::new());
    loop {
        // Whatever is no marker is passed over: the data of a scan, in which 0 follows each 0xff, and fillings.
        if file.byte()? != 0xff {
            continue;
        }
        let mut marker = file.byte()?;
        while marker == 0xff {
            marker = file.byte()?;
        }
        match marker {
            // Stuffed; marks inside a scan; one for private use.
            0x00 | 0xd0..=0xd7 | 0x01 => continue,
            0xd8 => return Err(file.damaged("another picture begins in its middle")),
            0xd9 if components.is_empty() || !components.iter().all(|id| seen.contains(id)) => {
                return Err(file.damaged("a part of the picture is missing"));
            }
            0xd9 => return Ok(size),
            _ => {}
        }
        let length = file.be16()? as usize;
        let length = length.checked_sub(2).ok_or_else(|| file.damaged("a segment has no length"))?;
        let data = file.take(length)?;
        let at = |i: usize| data.get(i).copied().unwrap_or(0);
        let number = |i: usize| u32::from(at(i)) << 8 | u32::from(at(i + 1));
        match marker {
            // A frame: precision, height, width, and three bytes for each component.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                size = [number(1), number(3)];
                components = (0..usize::from(at(5))).map(|i| at(6 + 3 * i)).collect();
            }
            // The height, where the frame leaves it open.
            0xdc if size[0] == 0 => size[0] = number(0),
            // A scan: two bytes for each component.
            0xda => seen.extend((0..usize::from(at(0))).map(|i| at(1 + 2 * i))),
            _ => {}
        }
    }
}

/// Blocks that each say what they are, of sub-blocks that each say how long they are.
fn gif(mut file: File) -> Result<[u32; 2], Flaw> {
    file.take(6)?;
    let (width, height, flags) = (file.le16()?, file.le16()?, file.byte()?);
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    file.take(2 + colours(flags))?;
    let mut has_frame = false;
    loop {
        match file.byte()? {
            // Fillings.
            0 => continue,
            b'!' => file.take(1)?,
            b',' => {
                has_frame = true;
                let flags = file.take(9)?[8];
                file.take(colours(flags) + 1)?
            }
            b';' if has_frame => return Ok([height, width]),
            b';' => return Err(file.damaged("it holds no frame")),
            _ => return Err(file.damaged("a block is of no known kind")),
        };
        loop {
            let length = file.byte()?;
            if length == 0 {
                break;
            }
            file.take(length.into())?;
        }
    }
}

/// A RIFF file: its length, and chunks of a name, a length and data. The first says how large the picture is.
fn webp(mut file: File) -> Result<[u32; 2], Flaw> {
    file.take(4)?;
    let end = u64::from(file.le32()?) + 8;
    // Some writers count the last byte of an odd length, and leave it out.
    file.reaches(end - end % 2)?;
    file.take(4)?;
    let name: [u8; 4] = file.array()?;
    file.take(4)?;
    match &name {
        b"VP8X" => {
            let d: [u8; 10] = file.array()?;
            let side = |i: usize| u32::from_le_bytes([d[i], d[i + 1], d[i + 2], 0]) + 1;
            let size = [side(7), side(4)];
            let mut chunks = &file.bytes[file.at..(end as usize).min(file.bytes.len())];
            while let Some((head, rest)) = chunks.split_at_checked(8) {
                if matches!(&head[..4], b"VP8 " | b"VP8L" | b"ANMF") {
                    return Ok(size);
                }
                let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
                chunks = rest.get(length.saturating_add(length % 2)..).unwrap_or(&[]);
            }
            Err(file.damaged("it holds no image data"))
        }
        b"VP8L" => {
            let [_, bits @ ..] = file.array::<5>()?;
            let bits = u32::from_le_bytes(bits);
            Ok([(bits >> 14 & 0x3fff) + 1, (bits & 0x3fff) + 1])
        }
        b"VP8 " => {
            file.take(6)?;
            let (width, height) = (file.le16()? & 0x3fff, file.le16()? & 0x3fff);
            Ok([height, width])
        }
        _ => Err(file.damaged("it holds no image data")),
    }
}

/// A header that says where the rows begin and how long they are.
fn bmp(mut file: File) -> Result<[u32; 2], Flaw> {
    file.take(2)?;
    let (length, _, begin, header) = (file.le32()?, file.le32()?, file.le32()?, file.le32()?);
    let (width, height) = match header {
        12 => (file.le16()?, file.le16()?),
        // A negative height means rows from the top.
        _ => (file.le32()?, (file.le32()? as i32).unsigned_abs()),
    };
    file.take(2)?;
    let bits = file.le16()?;
    let (compression, stored) = if header < 40 { (0, 0) } else { (file.le32()?, file.le32()?) };
    let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let end = match compression {
        0 | 3 | 6 => row.saturating_mul(height.into()).saturating_add(begin.into()),
        _ if stored == 0 => length.into(),
        _ => u64::from(begin) + u64::from(stored),
    };
    file.reaches(end)?;
    Ok([height, width])
}
