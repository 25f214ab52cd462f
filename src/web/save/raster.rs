//! Sheets of pictures as the pixels of one picture, enlarged by whole factors: every pixel becomes a square.

use crate::web::sheet::Sheet;

/// Pixels that the longer side of a picture is to have, about.
const SIDE: usize = 192;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Pixels side by side.
    pub width: usize,
    /// Rows of them.
    pub height: usize,
    /// Bytes of a pixel: 1, grey, or 3, red, green and blue.
    pub channels: usize,
    /// Row by row.
    pub bytes: Vec<u8>,
}

/// By how much the pictures of a sheet are enlarged: to 128 to 256 pixels, if they are smaller than that.
pub fn factor(sheet: &Sheet) -> usize {
    let side = sheet.size[0].max(sheet.size[1]).max(1);
    ((SIDE + side / 2) / side).max(1)
}

impl Raster {
    /// A sheet, enlarged. Cells without an image are white.
    pub fn of(sheet: &Sheet, factor: usize) -> Self {
        let [h, w, channels] = sheet.size;
        let (small, rows) = (sheet.columns * w * channels, sheet.rows());
        let mut plain = vec![255; small * rows * h];
        for (i, image) in sheet.bytes.chunks_exact((h * w * channels).max(1)).enumerate() {
            let (top, left) = (i / sheet.columns * h, i % sheet.columns * w * channels);
            for (y, row) in image.chunks_exact(w * channels).enumerate() {
                let at = (top + y) * small + left;
                plain[at..at + row.len()].copy_from_slice(row);
            }
        }
        let mut bytes = Vec::with_capacity(plain.len() * factor * factor);
        for row in plain.chunks_exact(small.max(1)) {
            let start = bytes.len();
            row.chunks_exact(channels).for_each(|pixel| (0..factor).for_each(|_| bytes.extend_from_slice(pixel)));
            let end = bytes.len();
            (1..factor).for_each(|_| bytes.extend_from_within(start..end));
        }
        Self { width: sheet.columns * w * factor, height: rows * h * factor, channels, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn every_pixel_becomes_a_square_and_an_empty_cell_is_white() {
        let sheet = Sheet::new(vec![1, 2, 3, 4, 5, 6], Shape::new(1, 1, 2, 1), 2);
        let raster = Raster::of(&sheet, 2);
        let rows = [[1, 1, 2, 2, 3, 3, 4, 4], [5, 5, 6, 6, 255, 255, 255, 255]];
        let expected: Vec<u8> = rows.iter().flat_map(|row| [row, row]).flatten().copied().collect();
        assert_eq!(raster, Raster { width: 8, height: 4, channels: 1, bytes: expected });
        let colour = Raster::of(&Sheet::new(vec![1, 2, 3], Shape::new(1, 1, 1, 3), 1), 2);
        assert_eq!((colour.width, colour.channels, colour.bytes), (2, 3, [1, 2, 3].repeat(4)));
    }

    #[test]
    fn pictures_of_any_size_come_out_neither_tiny_nor_huge() {
        for side in 1..=256 {
            let large = side * factor(&Sheet::blank(Shape::new(1, side, side / 2, 1)));
            assert!((128..=256).contains(&large), "{side} becomes {large}");
        }
        assert_eq!(factor(&Sheet::blank(Shape::new(1, 1000, 10, 3))), 1);
    }
}
