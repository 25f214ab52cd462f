//! A picture made to fit a model: laid on white, cropped around its centre, resized by Lanczos's filter, in grey or in colour.
//!
//! Training's pictures and a visitor's go this one way, so that both give the same x_0. It is arithmetic on bytes, the same to the
//! bit on every target; who decodes the file is not its business. Filter and grey are those of the crate `image`, in its order of
//! operations, so that data sets keep their bytes.

use crate::diffusion::forward::from_pixel;

/// Half the width of the filter, in pixels of the coarser side.
const LOBES: f32 = 3.0;
/// What red, green and blue add to the luminance Y (Rec. 709: 0.2126, 0.7152, 0.0722), with the digits that the crate `image`
/// derives of its primaries.
const LUMINANCE: [f32; 3] = [0.212_647_84, 0.715_179_2, 0.072_173_04];

/// A decoded picture, upright.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    bytes: &'a [u8],
    height: usize,
    width: usize,
    channels: usize,
}

impl<'a> Pixels<'a> {
    /// Bytes `[H, W, C]` of height and width `size`; C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA), and alpha is not multiplied
    /// in. Nothing if the bytes are not that many, or none.
    pub fn new(bytes: &'a [u8], [height, width]: [usize; 2], channels: usize) -> Option<Self> {
        let len = height.checked_mul(width)?.checked_mul(channels)?;
        let fits = len > 0 && len == bytes.len() && channels <= 4;
        fits.then_some(Self { bytes, height, width, channels })
    }

    /// Values of a pixel without alpha.
    fn colours(&self) -> usize {
        if self.channels < 3 { 1 } else { 3 }
    }

    /// A pixel's values where nothing is transparent. Must happen before resizing, which would mix in colours that nobody sees.
    fn on_white(&self, y: usize, x: usize) -> impl Iterator<Item = u8> {
        let pixel = &self.bytes[(y * self.width + x) * self.channels..][..self.channels];
        let (colours, alpha) = pixel.split_at(self.colours());
        let alpha = u32::from(alpha.first().copied().unwrap_or(255));
        colours.iter().map(move |&c| match alpha {
            255 => c,
            a => ((u32::from(c) * a + 255 * (255 - a) + 127) / 255) as u8,
        })
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Rows above it.
    pub top: usize,
    /// Columns at its left.
    pub left: usize,
    /// Its rows.
    pub height: usize,
    /// Its columns.
    pub width: usize,
}

/// The largest part around the centre of a picture of height and width `picture` that has the proportions of `size`. Of an odd
/// remainder the smaller half lies above and left.
pub fn part([height, width]: [usize; 2], size: [usize; 2]) -> Part {
    let [h, w] = [height, width].map(|side| side as u64);
    let [to_h, to_w] = size.map(|side| (side as u64).max(1));
    let part_w = (h * to_w / to_h).clamp(1, w.max(1)) as usize;
    let part_h = (w * to_h / to_w).clamp(1, h.max(1)) as usize;
    let left = width.saturating_sub(part_w) / 2;
    let top = height.saturating_sub(part_h) / 2;
    Part { top, left, height: part_h, width: part_w }
}

/// The picture as bytes `[H, W, C]` of height and width `size`: RGB for three channels, else its luminance in each channel.
pub fn fit(picture: &Pixels, size: [usize; 2], channels: usize) -> Vec<u8> {
    scaled(picture, part([picture.height, picture.width], size), size, channels)
}

/// The same as x_0, `[H, W, C]` in [−1, 1].
pub fn x_0(picture: &Pixels, size: [usize; 2], channels: usize) -> Vec<f32> {
    fit(picture, size, channels).into_iter().map(from_pixel).collect()
}

/// A picture of which only its [`part`] is here, as bytes `[H, W, C]`. Of that nothing more may be cropped: proportions of whole pixels
/// are not exact.
pub fn fit_part(picture: &Pixels, size: [usize; 2], channels: usize) -> Vec<u8> {
    let part = Part { top: 0, left: 0, height: picture.height, width: picture.width };
    scaled(picture, part, size, channels)
}

fn scaled(picture: &Pixels, part: Part, size: [usize; 2], channels: usize) -> Vec<u8> {
    let colours = picture.colours();
    let fitted = match [part.height, part.width] == size {
        true => copied(picture, part),
        false => resized(picture, part, size),
    };
    let mut bytes = Vec::with_capacity(size[0] * size[1] * channels);
    for pixel in fitted.chunks_exact(colours) {
        match (channels, pixel) {
            (3, &[r, g, b]) => bytes.extend([r, g, b]),
            (n, &[r, g, b]) => bytes.extend(std::iter::repeat_n(luminance([r, g, b]), n)),
            (n, _) => bytes.extend(std::iter::repeat_n(pixel[0], n)),
        }
    }
    bytes
}

/// The brightness of a colour: Y' of Rec. 709, of the values as they are stored.
fn luminance(rgb: [u8; 3]) -> u8 {
    let y = rgb.iter().zip(LUMINANCE).fold(0.0, |sum, (&c, share)| f32::from(c) * (1.0 / 255.0) * share + sum);
    (y * 255.0).round() as u8
}

fn copied(picture: &Pixels, part: Part) -> Vec<u8> {
    let rows = part.top..part.top + part.height;
    let pixels = rows.flat_map(|y| (part.left..part.left + part.width).map(move |x| (y, x)));
    pixels.flat_map(|(y, x)| picture.on_white(y, x)).collect()
}

/// Columns first, then rows.
fn resized(picture: &Pixels, part: Part, [height, width]: [usize; 2]) -> Vec<u8> {
    let colours = picture.colours();
    let len = part.width * colours;
    let mut tall = vec![0.0f32; height * len];
    let mut source = vec![0.0f32; len];
    let rows = taps(part.height, height);
    // Row by row of the picture, so that each is looked at once.
    for y in 0..part.height {
        for (x, values) in source.chunks_exact_mut(colours).enumerate() {
            let pixel = picture.on_white(part.top + y, part.left + x);
            values.iter_mut().zip(pixel).for_each(|(value, c)| *value = f32::from(c));
        }
        for ((first, weights), sums) in rows.iter().zip(tall.chunks_exact_mut(len)) {
            if let Some(weight) = y.checked_sub(*first).and_then(|k| weights.get(k)) {
                sums.iter_mut().zip(&source).for_each(|(sum, value)| *sum += value * weight);
            }
        }
    }
    let mut bytes = Vec::with_capacity(height * width * colours);
    let columns = taps(part.width, width);
    for row in tall.chunks_exact(len) {
        for (first, weights) in &columns {
            for c in 0..colours {
                let values = row[first * colours..].iter().skip(c).step_by(colours);
                let sum = values.zip(weights).fold(0.0, |sum, (value, weight)| sum + value * weight);
                bytes.push(sum.clamp(0.0, 255.0).round() as u8);
            }
        }
    }
    bytes
}

/// For each of `to` pixels the first of `from` that it is made of, and the weights of that and the next ones, which add up to 1.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = from as f32 / to as f32;
    // Enlarged, the filter is as wide as the pixels there are.
    let scale = ratio.max(1.0);
    let one = |i: usize| {
        let centre = (i as f32 + 0.5) * ratio;
        let first = ((centre - LOBES * scale).floor().max(0.0) as usize).min(from - 1);
        let last = ((centre + LOBES * scale).ceil() as usize).clamp(first + 1, from);
        let mut weights: Vec<f32> = (first..last).map(|k| lanczos((k as f32 - (centre - 0.5)) / scale)).collect();
        let sum: f32 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        weights.iter_mut().for_each(|weight| *weight /= sum);
        (first, weights)
    };
    (0..to).map(one).collect()
}

/// Lanczos's filter of three lobes: sinc(x)·sinc(x/3) within them.
fn lanczos(x: f32) -> f32 {
    let sinc = |x: f32| {
        let a = x * std::f32::consts::PI;
        if x == 0.0 { 1.0 } else { libm::sinf(a) / a }
    };
    if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_kept_and_nothing_is_resampled_without_need() {
        // 5 wide, 2 high: the middle columns 1 and 2 (of an odd remainder the smaller half lies left).
        let rgb: Vec<u8> = (0..10).flat_map(|i| [i % 5, i / 5, 7]).collect();
        let picture = Pixels::new(&rgb, [2, 5], 3).expect("a picture");
        assert_eq!(fit(&picture, [2, 2], 3), [1, 0, 7, 2, 0, 7, 1, 1, 7, 2, 1, 7]);
        let tall: Vec<u8> = (0..27).map(|i| i / 3).collect();
        let tall = Pixels::new(&tall, [9, 3], 1).expect("a picture");
        assert_eq!(fit(&tall, [3, 3], 1), [3, 3, 3, 4, 4, 4, 5, 5, 5]);
        assert_eq!(part([9, 4], [3, 3]), Part { top: 2, left: 0, height: 4, width: 4 });
        assert_eq!(part([1, 1], [4, 6]), Part { top: 0, left: 0, height: 1, width: 1 });
        assert_eq!(x_0(&Pixels::new(&[0, 255], [1, 2], 1).expect("a picture"), [1, 2], 1), [-1.0, 1.0]);
    }

    #[test]
    fn a_reduced_picture_keeps_its_mean_and_its_sides() {
        let image: Vec<u8> = (0..64 * 64).map(|i| if i % 64 < 32 { 200 } else { 40 }).collect();
        let small = fit(&Pixels::new(&image, [64, 64], 1).expect("a picture"), [8, 16], 1);
        assert_eq!((small.len(), small[3 * 16 + 2], small[3 * 16 + 13]), (128, 200, 40));
        let wide = fit(&Pixels::new(&[9, 8, 7], [1, 1], 3).expect("a picture"), [4, 6], 3);
        assert!(wide.chunks(3).all(|p| p == [9, 8, 7]) && wide.len() == 72);
    }

    #[test]
    fn transparency_is_white_and_grey_is_luminance() {
        let rgba = [10, 20, 30, 0, 10, 20, 30, 128, 10, 20, 30, 255];
        let picture = Pixels::new(&rgba, [1, 3], 4).expect("a picture");
        assert_eq!(fit(&picture, [1, 3], 3), [255, 255, 255, 132, 137, 142, 10, 20, 30]);
        // 0.2126·10 + 0.7152·20 + 0.0722·30 = 18.6.
        assert_eq!(fit(&picture, [1, 3], 1), [255, 136, 19]);
        let grey = Pixels::new(&[7, 0, 7, 255], [1, 2], 2).expect("a picture");
        assert_eq!(fit(&grey, [1, 2], 3), [255, 255, 255, 7, 7, 7]);
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]].map(luminance);
        assert_eq!(colours, [54, 182, 18, 255]);
        assert!((0..=255).all(|v| luminance([v; 3]) == v), "a grey is itself");
    }

    #[test]
    fn what_is_no_picture_is_none() {
        for (len, size, channels) in [(0, [0, 3], 1), (5, [2, 3], 1), (5, [1, 1], 5), (7, [2, 3], 1), (0, [1, 1], 0)] {
            assert!(Pixels::new(&vec![0; len], size, channels).is_none(), "{len} bytes of {size:?}×{channels}");
        }
        assert!(Pixels::new(&[0], [usize::MAX, 2], 2).is_none());
    }
}
