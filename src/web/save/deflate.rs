//! The compression of PNG: a zlib stream (RFC 1950) of one deflate block (RFC 1951) with the fixed code, in which only runs of
//! a byte are shortened. Enlarged pictures whose rows are filtered consist of little else.

use super::bits::Bits;

/// The longest run that one pair of codes stands for, and the shortest.
const RUN: std::ops::RangeInclusive<usize> = 3..=258;
/// The shortest run of every length code from 257 on, and how many bits say by how much it is longer (RFC 1951, 3.2.5).
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// What is said in the fixed code.
struct Codes(Bits);

impl Codes {
    /// A Huffman code, its highest bit first.
    fn code(&mut self, code: u32, bits: u32) {
        self.0.push(code.reverse_bits() >> (32 - bits), bits);
    }

    /// A symbol of the fixed code (RFC 1951, 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xC0 + symbol - 280, 8),
        }
    }

    /// The byte before, so many times more, [`RUN`] of them.
    fn run(&mut self, length: usize) {
        let code = LENGTHS.partition_point(|(least, _)| *least <= length) - 1;
        let (least, extra) = LENGTHS[code];
        self.symbol(257 + code as u32);
        self.0.push((length - least) as u32, extra);
        // A distance of 1.
        self.code(0, 5);
    }
}

/// Bytes as a zlib stream.
pub fn zlib(data: &[u8]) -> Vec<u8> {
    // Deflate with a window of 32 KiB; the header is a multiple of 31.
    let mut codes = Codes(Bits::after(&[0x78, 0x01]));
    // The last block, of the fixed code.
    codes.0.push(0b011, 3);
    for run in data.chunk_by(|a, b| a == b) {
        let mut rest = run.len() - 1;
        codes.symbol(u32::from(run[0]));
        while rest >= *RUN.start() {
            let length = rest.min(*RUN.end());
            codes.run(length);
            rest -= length;
        }
        (0..rest).for_each(|_| codes.symbol(u32::from(run[0])));
    }
    codes.symbol(256);
    let mut bytes = codes.0.finish();
    bytes.extend(adler32(data).to_be_bytes());
    bytes
}

/// The checksum at a zlib stream's end.
fn adler32(data: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    let sums = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % PRIME;
        (a, (b + a) % PRIME)
    };
    let (a, b) = data.iter().fold((1, 0), sums);
    b << 16 | a
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use std::io::Read;

    /// What flate2 reads of it, whose checksum it tests.
    fn read(bytes: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut data).expect("a zlib stream");
        data
    }

    #[test]
    fn what_is_compressed_is_read_again() {
        let every: Vec<u8> = (0..=255).cycle().take(1000).collect();
        assert_eq!(read(&zlib(&every)), every, "every byte");
        assert_eq!(read(&zlib(&[])), [0; 0]);
        for length in (1..=600).chain([65_536, 100_000]) {
            let run = vec![200; length];
            assert_eq!(read(&zlib(&run)), run, "{length}");
        }
        assert!(zlib(&vec![0; 100_000]).len() < 1000);
        let adler = zlib(b"Wikipedia");
        assert_eq!(adler[adler.len() - 4..], 0x11E6_0398_u32.to_be_bytes());
    }
}
