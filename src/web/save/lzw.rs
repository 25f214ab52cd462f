//! The compression of GIF: LZW with codes that grow from nine to twelve bits, for eight bits a pixel.

use super::bits::Bits;

/// Bits of a pixel.
pub const PIXEL: u8 = 8;
/// Begins a new dictionary.
const CLEAR: u16 = 1 << PIXEL;
/// Ends the data.
const END: u16 = CLEAR + 1;
/// Codes there can be.
const MOST: u16 = 4096;
/// Places in the table of strings: a power of two, twice as many as there are codes.
const PLACES: usize = 2 * MOST as usize;
/// A place where nothing is.
const EMPTY: u32 = u32::MAX;

/// The strings that have codes: each is the string of another code and a byte. Open addressing; a key is code and byte.
struct Dictionary {
    keys: Vec<u32>,
    codes: Vec<u16>,
    /// The next code that will be given.
    next: u16,
}

impl Dictionary {
    fn new() -> Self {
        Self { keys: vec![EMPTY; PLACES], codes: vec![0; PLACES], next: END + 1 }
    }

    fn clear(&mut self) {
        self.keys.fill(EMPTY);
        self.next = END + 1;
    }

    /// The code of the string of a code and a byte more, or the place where it will be.
    fn find(&self, code: u16, byte: u8) -> Result<u16, usize> {
        let key = u32::from(code) << 8 | u32::from(byte);
        let mut place = (key.wrapping_mul(0x9E37_79B1) >> 19) as usize % PLACES;
        while self.keys[place] != EMPTY {
            if self.keys[place] == key {
                return Ok(self.codes[place]);
            }
            place = (place + 1) % PLACES;
        }
        Err(place)
    }

    fn add(&mut self, place: usize, code: u16, byte: u8) {
        self.keys[place] = u32::from(code) << 8 | u32::from(byte);
        self.codes[place] = self.next;
        self.next += 1;
    }
}

/// Pixels, an index of eight bits each, as the data of a GIF's picture.
pub fn encode(pixels: &[u8]) -> Vec<u8> {
    let (mut bits, mut dictionary) = (Bits::default(), Dictionary::new());
    let mut size = u32::from(PIXEL) + 1;
    bits.push(u32::from(CLEAR), size);
    let mut code: Option<u16> = None;
    for &byte in pixels {
        let Some(prefix) = code.replace(u16::from(byte)) else { continue };
        match dictionary.find(prefix, byte) {
            Ok(longer) => code = Some(longer),
            Err(place) => {
                bits.push(u32::from(prefix), size);
                if dictionary.next == MOST {
                    bits.push(u32::from(CLEAR), size);
                    dictionary.clear();
                    size = u32::from(PIXEL) + 1;
                } else {
                    // Who reads is one code behind, and widens its codes when it has given the same.
                    if dictionary.next == 1 << size {
                        size += 1;
                    }
                    dictionary.add(place, prefix, byte);
                }
            }
        }
    }
    if let Some(code) = code {
        bits.push(u32::from(code), size);
        // Who reads gives one more code at this one.
        if dictionary.next == 1 << size && dictionary.next < MOST {
            size += 1;
        }
    }
    bits.push(u32::from(END), size);
    bits.finish()
}
