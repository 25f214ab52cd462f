//! Bits as bytes, the lowest of a byte first, as deflate and GIF have them.

/// Bits, and those that do not fill a byte yet.
#[derive(Default)]
pub struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl Bits {
    /// None, after some bytes.
    pub fn after(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), ..Self::default() }
    }

    /// A number of at most 16 bits, its lowest bit first.
    pub fn push(&mut self, value: u32, bits: u32) {
        self.pending |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            (self.pending, self.count) = (self.pending >> 8, self.count - 8);
        }
    }

    /// All bytes, the last one filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        self.push(0, (8 - self.count) % 8);
        self.bytes
    }
}
