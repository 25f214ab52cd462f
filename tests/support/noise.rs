//! One number that stands for many drawn numbers, so that a test in a browser can compare with a test outside.

use noisette::rng::Rng;

/// [`fingerprint`] on every machine.
pub const FINGERPRINT: u64 = 8_901_605_624_007_358_528;

/// FNV-1a of the bits of a thousand normals, and of what every other way of drawing gives.
pub fn fingerprint() -> u64 {
    let mut rng = Rng::stream(42, 3);
    let mut words: Vec<u32> = rng.normals(1001).iter().map(|v| v.to_bits()).collect();
    words.extend((0..100).map(|_| rng.u32()));
    words.extend((0..100).map(|_| (rng.uniform() * 2.0f64.powi(32)) as u32));
    words.extend((1..100).map(|n| rng.below(n) as u32));
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
