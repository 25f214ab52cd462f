//! One picture from a file, made to fit: decoded, turned upright, laid on white, cropped around its centre, resized.

use super::DataError;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, Limits, Rgb, RgbImage};
use std::path::Path;

/// The largest height and width of a file that is decoded.
const MAX_SIDE: u32 = 1 << 14;

/// Height and width of a picture and whether it is grey, from its header.
pub(super) fn probe(path: &Path) -> Result<([usize; 2], bool), DataError> {
    let header = || -> ImageResult<_> {
        let mut decoder = open(path)?;
        let (width, height) = decoder.dimensions();
        let size = match decoder.orientation()? {
            Orientation::Rotate90 | Orientation::Rotate270 => [width, height],
            Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => [width, height],
            _ => [height, width],
        };
        Ok((size.map(|side| side as usize), !decoder.color_type().has_color()))
    };
    header().map_err(|error| undecodable(path, error))
}

/// The bytes `[H, W, C]` of a picture of any size, C = 1 or 3.
pub(super) fn load(path: &Path, size: [usize; 2], channels: usize) -> Result<Vec<u8>, DataError> {
    let decode = || -> ImageResult<_> {
        let mut decoder = open(path)?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = decode().map_err(|error| undecodable(path, error))?;
    let fitted = fit(&on_white(&image), size);
    Ok(if channels == 1 { DynamicImage::from(fitted).into_luma8().into_raw() } else { fitted.into_raw() })
}

fn open(path: &Path) -> ImageResult<impl ImageDecoder> {
    // What a file is, its first bytes tell and not its name.
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    reader.into_decoder()
}

/// What is wrong with a picture: that it is none, or that it could not be read at all.
fn undecodable(path: &Path, error: image::ImageError) -> DataError {
    let file = path.display().to_string();
    match error {
        // A decoder that comes to the end of a file says so without a number of the system's.
        image::ImageError::IoError(source) if source.raw_os_error().is_some() => DataError::Io { file, source },
        image::ImageError::Limits(_) => {
            let reason = format!("expected at most {MAX_SIDE} pixels a side, and no more than memory holds");
            DataError::Picture { file, reason }
        }
        error => DataError::Picture { file, reason: error.to_string() },
    }
}

/// What is transparent becomes white; must happen before resizing, which would mix in colours that nobody sees.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

/// The largest part around the centre that has the wanted proportions, in the wanted size.
fn fit(image: &RgbImage, [height, width]: [usize; 2]) -> RgbImage {
    let (height, width) = (height as u32, width as u32);
    let (h, w) = (u64::from(image.height()), u64::from(image.width()));
    let crop_w = (h * u64::from(width) / u64::from(height)).clamp(1, w) as u32;
    let crop_h = (w * u64::from(height) / u64::from(width)).clamp(1, h) as u32;
    let (left, top) = ((image.width() - crop_w) / 2, (image.height() - crop_h) / 2);
    let part = imageops::crop_imm(image, left, top, crop_w, crop_h).to_image();
    if (crop_h, crop_w) == (height, width) {
        return part;
    }
    imageops::resize(&part, width, height, FilterType::Lanczos3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    #[test]
    fn the_centre_is_kept_and_nothing_is_resampled_without_need() {
        // 5 wide, 2 high: the middle columns 1 and 2 (of an odd remainder the smaller half lies left).
        let image = RgbImage::from_fn(5, 2, |x, y| Rgb([x as u8, y as u8, 7]));
        let part = fit(&image, [2, 2]);
        assert_eq!(part.as_raw(), &[1, 0, 7, 2, 0, 7, 1, 1, 7, 2, 1, 7]);
        let tall = RgbImage::from_fn(3, 9, |_, y| Rgb([y as u8; 3]));
        assert_eq!(fit(&tall, [3, 3]).as_raw()[..3], [3; 3]);
        assert_eq!(fit(&tall, [3, 3]).as_raw()[24..], [5; 3]);
    }

    #[test]
    fn a_reduced_picture_keeps_its_mean_and_its_sides() {
        let image = RgbImage::from_fn(64, 64, |x, _| Rgb([if x < 32 { 200 } else { 40 }; 3]));
        let small = fit(&image, [8, 16]);
        assert_eq!((small.height(), small.width()), (8, 16));
        assert_eq!((small.get_pixel(2, 3).0, small.get_pixel(13, 3).0), ([200; 3], [40; 3]));
        let wide = fit(&RgbImage::from_pixel(1, 1, Rgb([9, 8, 7])), [4, 6]);
        assert!(wide.pixels().all(|p| p.0 == [9, 8, 7]) && wide.dimensions() == (6, 4));
    }

    #[test]
    fn transparency_is_white() {
        let image = RgbaImage::from_fn(3, 1, |x, _| Rgba([10, 20, 30, [0, 128, 255][x as usize]]));
        let white = on_white(&DynamicImage::from(image));
        assert_eq!(white.as_raw(), &[255, 255, 255, 132, 137, 142, 10, 20, 30]);
    }
}
