//! A PNG (ISO/IEC 15948) of eight bits a channel, grey or of three colours, with texts.

use super::deflate::zlib;
use super::raster::Raster;

/// What every PNG begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// A picture as a PNG, with texts in UTF-8 under keywords of 1 to 79 Latin letters: `Title`, `Description`, `Source` and the like.
/// It has no pixel more than 2³¹ in a row or column.
pub fn encode(raster: &Raster, texts: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let mut header = Vec::new();
    header.extend((raster.width as u32).to_be_bytes());
    header.extend((raster.height as u32).to_be_bytes());
    let colour = if raster.channels == 3 { 2 } else { 0 };
    // Eight bits; deflate, the five filters, no interlacing.
    header.extend([8, colour, 0, 0, 0]);
    chunk(&mut bytes, b"IHDR", &header);
    for (keyword, text) in texts {
        // Neither compressed nor in a language with a name.
        chunk(&mut bytes, b"iTXt", &[keyword.as_bytes(), &[0; 5], text.as_bytes()].concat());
    }
    chunk(&mut bytes, b"IDAT", &zlib(&filtered(raster)));
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

/// Rows, each after the number of its filter: one like the row above is 0 (filter 2, Up), of others each pixel is what it
/// differs from the one before by (filter 1, Sub).
fn filtered(raster: &Raster) -> Vec<u8> {
    let (row, channels) = (raster.width * raster.channels, raster.channels);
    let mut bytes = Vec::with_capacity((row + 1) * raster.height);
    let mut above: &[u8] = &[];
    for now in raster.bytes.chunks_exact(row.max(1)) {
        if now == above {
            bytes.push(2);
            bytes.resize(bytes.len() + row, 0);
        } else {
            bytes.push(1);
            let before = std::iter::repeat_n(&0, channels).chain(now);
            bytes.extend(now.iter().zip(before).map(|(byte, before)| byte.wrapping_sub(*before)));
        }
        above = now;
    }
    bytes
}

fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    bytes.extend((data.len() as u32).to_be_bytes());
    let start = bytes.len();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(data);
    let sum = crc32(&bytes[start..]);
    bytes.extend(sum.to_be_bytes());
}

/// The checksum of a chunk.
fn crc32(data: &[u8]) -> u32 {
    let bit = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
    !data.iter().fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), bit))
}
