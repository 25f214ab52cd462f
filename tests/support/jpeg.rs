//! JPEG files that no encoder at hand writes: blocks of one colour each, in the order of scans that a test asks for.

/// How the scans of a file are ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scans {
    /// Baseline, one scan with everything.
    Interleaved,
    /// Baseline, one scan for each component.
    Separate,
    /// Progressive: the means of the blocks, then what each component has besides, which is nothing.
    Progressive,
}

/// A picture of `columns` × n blocks of 8×8 pixels, each of one brightness, blue and red difference (Y, Cb, Cr). Decoders give these back
/// without error: the one coefficient of a block is stored exactly.
pub fn blocks(columns: usize, blocks: &[[u8; 3]], scans: Scans) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut segment = |marker: u8, data: &[u8]| {
        file.extend([0xff, marker]);
        file.extend((data.len() as u16 + 2).to_be_bytes());
        file.extend(data);
    };
    segment(0xdb, &[[0].as_slice(), &[8; 64]].concat());
    let [height, width] = [blocks.len() / columns * 8, columns * 8].map(|side| (side as u16).to_be_bytes());
    let frame = [[8].as_slice(), &height, &width, &[3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]].concat();
    segment(if scans == Scans::Progressive { 0xc2 } else { 0xc0 }, &frame);
    // Twelve codes of four bits for the sizes of differences; one of one bit: nothing more in this block.
    segment(0xc4, &[[0, 0, 0, 0, 12].as_slice(), &[0; 12], &(0..12).collect::<Vec<u8>>()].concat());
    segment(0xc4, &[[0x10, 1].as_slice(), &[0; 15], &[0]].concat());
    let ids = [1, 2, 3];
    let scan = |ids: &[u8], range: [u8; 3], bits: Vec<bool>| {
        let header: Vec<u8> = ids.iter().flat_map(|&id| [id, 0]).collect();
        let mut bytes =
            [[0xff, 0xda, 0, 6 + 2 * ids.len() as u8, ids.len() as u8].as_slice(), &header, &range].concat();
        for byte in bits.chunks(8) {
            let byte = (0..8).fold(0, |sum, i| sum << 1 | u8::from(byte.get(i).copied().unwrap_or(true)));
            bytes.push(byte);
            // Else it would be a marker.
            bytes.extend((byte == 0xff).then_some(0));
        }
        bytes
    };
    match scans {
        Scans::Interleaved => file.extend(scan(&ids, [0, 63, 0], means(blocks, &ids, true))),
        Scans::Separate => ids.iter().for_each(|&id| file.extend(scan(&[id], [0, 63, 0], means(blocks, &[id], true)))),
        Scans::Progressive => {
            file.extend(scan(&ids, [0, 0, 0], means(blocks, &ids, false)));
            ids.iter().for_each(|&id| file.extend(scan(&[id], [1, 63, 0], vec![false; blocks.len()])));
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

/// The differences of the means from block to block, each followed by the end of its block if that belongs to the scan.
fn means(blocks: &[[u8; 3]], ids: &[u8], ends: bool) -> Vec<bool> {
    let (mut bits, mut before) = (Vec::new(), [0; 3]);
    for block in blocks {
        for c in ids.iter().map(|&id| usize::from(id) - 1) {
            let mean = i32::from(block[c]) - 128;
            let difference = mean - std::mem::replace(&mut before[c], mean);
            let size = 32 - difference.unsigned_abs().leading_zeros();
            let value = if difference < 0 { difference + (1 << size) - 1 } else { difference };
            bits.extend((0..4).rev().map(|i| size >> i & 1 == 1));
            bits.extend((0..size).rev().map(|i| value >> i & 1 == 1));
            bits.extend(ends.then_some(false));
        }
    }
    bits
}
