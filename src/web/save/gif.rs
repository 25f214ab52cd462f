//! A GIF (89a) that moves. Greys are exact; of colours there are 252, each pixel has the nearest.

use super::lzw;
use super::raster::Raster;

/// Levels of red, green and blue: the eye sees green best.
const LEVELS: [usize; 3] = [6, 7, 6];
/// Bytes of text in a block.
const BLOCK: usize = 255;

/// Pictures of one size, one after the other and over and over, each with the hundredths of a second for which it is shown; and a
/// text, of which ASCII is kept. `None` without a picture, or if it is larger than GIF's 65 535 pixels. A picture of another size
/// than the first is left out.
pub fn encode(frames: impl IntoIterator<Item = (Raster, u16)>, text: &str) -> Option<Vec<u8>> {
    let mut frames = frames.into_iter().peekable();
    let (first, _) = frames.peek()?;
    let (sides, channels) = ([first.width, first.height], first.channels);
    let [width, height] = sides.map(|side| u16::try_from(side).ok().map(u16::to_le_bytes));
    let size = [width?, height?].concat();
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend_from_slice(&size);
    // A palette of 2^8 colours for all pictures; its first is the ground.
    bytes.extend([0b1111_0111, 0, 0]);
    bytes.extend(palette(channels));
    bytes.extend(b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\x00\x00\x00");
    if !text.is_empty() {
        bytes.extend([0x21, 0xFE]);
        blocks(&mut bytes, text.bytes().filter(u8::is_ascii).collect::<Vec<_>>().as_slice());
    }
    for (raster, delay) in frames {
        if ([raster.width, raster.height], raster.channels) != (sides, channels) {
            continue;
        }
        // It stays until the next one lies over it.
        bytes.extend([0x21, 0xF9, 4, 0b100]);
        bytes.extend(delay.to_le_bytes());
        bytes.extend([0, 0, 0x2C, 0, 0, 0, 0]);
        bytes.extend_from_slice(&size);
        bytes.extend([0, lzw::PIXEL]);
        blocks(&mut bytes, &lzw::encode(&indices(raster)));
    }
    bytes.push(0x3B);
    Some(bytes)
}

/// 256 colours: the greys, or a lattice of colours.
fn palette(channels: usize) -> Vec<u8> {
    if channels == 1 {
        return (0..=255).flat_map(|grey| [grey; 3]).collect();
    }
    let [reds, greens, blues] = LEVELS;
    let level = |i: usize, of: usize| ((i * 255 + (of - 1) / 2) / (of - 1)) as u8;
    let colour = |i: usize| {
        let [red, green, blue] = [i / (greens * blues), i / blues % greens, i % blues];
        [level(red, reds), level(green, greens), level(blue, blues)]
    };
    let mut bytes: Vec<u8> = (0..reds * greens * blues).flat_map(colour).collect();
    bytes.resize(3 * 256, 0);
    bytes
}

/// The colour of every pixel, by its number in the palette.
fn indices(raster: Raster) -> Vec<u8> {
    if raster.channels == 1 {
        return raster.bytes;
    }
    let nearest = |value: u8, of: usize| (usize::from(value) * (of - 1) + 127) / 255;
    let index = |pixel: &[u8]| {
        pixel.iter().zip(LEVELS).fold(0, |index, (&value, levels)| index * levels + nearest(value, levels)) as u8
    };
    raster.bytes.chunks_exact(raster.channels).map(index).collect()
}

/// Data in blocks, each after its length; an empty one ends them.
fn blocks(bytes: &mut Vec<u8>, data: &[u8]) {
    for block in data.chunks(BLOCK) {
        bytes.push(block.len() as u8);
        bytes.extend_from_slice(block);
    }
    bytes.push(0);
}
