//! One picture from a file: decoded, turned upright, made to fit.

use super::fit::{Pixels, fit};
use super::format::Format;
use super::whole::{self, Header, MAX_DECODED};
use super::{DataError, listing};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits, RgbImage};
use std::io::Cursor;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Pictures that take more bytes than this are decoded one at a time, however many cores there are.
const LARGE: usize = 32 << 20;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Height and width of a picture and whether it is grey; nothing is decoded, but the file is whole.
pub(super) fn probe(path: &Path) -> Result<([usize; 2], bool), DataError> {
    let (bytes, header) = read(path)?;
    let mut decoder = decoder(path, &bytes, header)?;
    let [height, width] = header.size;
    let turned = match orientation(path, &mut decoder)? {
        Orientation::Rotate90 | Orientation::Rotate270 => [width, height],
        Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => [width, height],
        _ => [height, width],
    };
    Ok((turned, !decoder.color_type().has_color()))
}

/// The bytes `[H, W, C]` of a picture of any size, C = 1 or 3.
pub(super) fn load(path: &Path, size: [usize; 2], channels: usize) -> Result<Vec<u8>, DataError> {
    let (bytes, header) = read(path)?;
    let mut decoder = decoder(path, &bytes, header)?;
    let is_large = header.size[0] * header.size[1] * 4 > LARGE;
    let _turn = is_large.then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
    let orientation = orientation(path, &mut decoder)?;
    let mut image = match header.is_in_scans {
        true => in_scans(path, &bytes)?,
        false => DynamicImage::from_decoder(decoder).map_err(|error| undecodable(path, error))?,
    };
    image.apply_orientation(orientation);
    let [height, width] = [image.height(), image.width()].map(|side| side as usize);
    let (bytes, values) = match image.color().has_alpha() {
        true => (image.into_rgba8().into_raw(), 4),
        false => (image.into_rgb8().into_raw(), 3),
    };
    let picture = Pixels::new(&bytes, [height, width], values);
    let picture = picture.ok_or_else(|| flawed(path, format!("it is {height}×{width}, expected a pixel at least")))?;
    Ok(fit(&picture, size, channels))
}

/// A file that is whole, and its header.
fn read(path: &Path) -> Result<(Vec<u8>, Header), DataError> {
    let file = || path.display().to_string();
    let bytes = listing::contents(path, MAX_DECODED).map_err(|source| DataError::Io { file: file(), source })?;
    if bytes.len() as u64 > MAX_DECODED {
        return Err(flawed(path, format!("the file is larger than {} MiB", MAX_DECODED >> 20)));
    }
    match whole::check(&bytes) {
        Ok(header) => Ok((bytes, header)),
        Err(flaw) => Err(flawed(path, flaw.to_string())),
    }
}

fn decoder<'a>(path: &Path, bytes: &'a [u8], header: Header) -> Result<impl ImageDecoder + use<'a>, DataError> {
    let format = match header.format {
        Format::Png => ImageFormat::Png,
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Gif => ImageFormat::Gif,
        Format::WebP => ImageFormat::WebP,
        Format::Bmp => ImageFormat::Bmp,
        other => return Err(flawed(path, format!("{} files cannot be read", other.name()))),
    };
    let open = || -> ImageResult<_> {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODED);
        reader.limits(limits);
        reader.into_decoder()
    };
    let decoder = open().map_err(|error| undecodable(path, error))?;
    // Sixteen bits a channel take more than the header's check allows for.
    if decoder.total_bytes() > MAX_DECODED {
        return Err(too_large(path));
    }
    Ok(decoder)
}

fn orientation(path: &Path, decoder: &mut impl ImageDecoder) -> Result<Orientation, DataError> {
    decoder.orientation().map_err(|error| undecodable(path, error))
}

/// A JPEG that brings its components in several scans without being progressive: zune-jpeg, which `image` decodes with, makes
/// garbage of many such files.
fn in_scans(path: &Path, bytes: &[u8]) -> Result<DynamicImage, DataError> {
    use jpeg_decoder::{Decoder, PixelFormat};
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(MAX_DECODED as usize);
    let pixels = decoder.decode().map_err(|error| flawed(path, error.to_string()))?;
    let info = decoder.info().ok_or_else(|| flawed(path, "it has no header".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let image = match info.pixel_format {
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    };
    image.ok_or_else(|| flawed(path, "a JPEG of several scans is read in grey, YCbCr or RGB of 8 bits only".to_owned()))
}

fn flawed(path: &Path, reason: String) -> DataError {
    DataError::Picture { file: path.display().to_string(), reason }
}

fn too_large(path: &Path) -> DataError {
    flawed(path, format!("it takes more than {} MiB of memory decoded", MAX_DECODED >> 20))
}

fn undecodable(path: &Path, error: image::ImageError) -> DataError {
    match error {
        image::ImageError::Limits(_) => too_large(path),
        error => flawed(path, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use image::imageops::{self, FilterType};
    use image::{Rgb, RgbaImage};

    /// What the library did before it had a filter of its own: all by the crate `image`.
    fn reference(image: DynamicImage, [height, width]: [usize; 2], channels: usize) -> Vec<u8> {
        let rgba = image.into_rgba8();
        let white = RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
            let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
            Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
        });
        let (height, width) = (height as u32, width as u32);
        let (h, w) = (u64::from(white.height()), u64::from(white.width()));
        let crop_w = (h * u64::from(width) / u64::from(height)).clamp(1, w) as u32;
        let crop_h = (w * u64::from(height) / u64::from(width)).clamp(1, h) as u32;
        let (left, top) = ((white.width() - crop_w) / 2, (white.height() - crop_h) / 2);
        let part = imageops::crop_imm(&white, left, top, crop_w, crop_h);
        let fitted = imageops::resize(&*part, width, height, FilterType::Lanczos3);
        if channels == 1 { DynamicImage::from(fitted).into_luma8().into_raw() } else { fitted.into_raw() }
    }

    /// Sizes from and to: kept, reduced, enlarged, cropped, odd, of one pixel.
    const SIZES: [([usize; 2], [usize; 2]); 9] = [
        ([28, 28], [28, 28]),
        ([101, 67], [32, 32]),
        ([67, 101], [28, 28]),
        ([300, 400], [32, 32]),
        ([9, 7], [32, 32]),
        ([31, 33], [32, 32]),
        ([5, 40], [16, 24]),
        ([1, 1], [4, 6]),
        ([64, 64], [8, 64]),
    ];

    #[test]
    fn pictures_are_fitted_as_the_crate_image_does_it() {
        let mut rng = Rng::new(1);
        for ([h, w], size) in SIZES {
            // Noise is the hardest case: its ripples go beyond 0 and 255. Some of it is transparent.
            let bytes: Vec<u8> = (0..h * w * 4).map(|_| rng.below(256) as u8).collect();
            let image = RgbaImage::from_raw(w as u32, h as u32, bytes.clone()).expect("a picture");
            let image = DynamicImage::from(image);
            let cases = [image.clone(), image.to_rgb8().into(), image.to_luma8().into(), image.to_luma_alpha8().into()];
            for (case, image) in cases.into_iter().enumerate() {
                for channels in [1, 3] {
                    let expected = reference(image.clone(), size, channels);
                    let pixels = Pixels::new(image.as_bytes(), [h, w], image.color().channel_count().into());
                    let found = fit(&pixels.expect("a picture"), size, channels);
                    assert_eq!(found.len(), size[0] * size[1] * channels);
                    let differences = || found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).filter(|&d| d > 0);
                    // The sine of the system's library is not ours in the last bit, which decides one value in a million.
                    assert!(
                        differences().count() <= 2 && differences().all(|d| d == 1),
                        "{:?} of {}: {h}×{w} to {size:?}×{channels}, case {case}",
                        differences().collect::<Vec<_>>(),
                        found.len()
                    );
                }
            }
        }
    }

    #[test]
    fn grey_is_that_of_the_crate_image() {
        let colours: Vec<u8> = (0..256u32)
            .step_by(3)
            .flat_map(|r| (0..256u32).step_by(5).flat_map(move |g| (0..=255).flat_map(move |b| [r as u8, g as u8, b])))
            .collect();
        let (height, width) = (86 * 52, 256);
        let image = RgbImage::from_raw(width, height, colours.clone()).expect("a picture");
        let size = [height as usize, width as usize];
        let found = fit(&Pixels::new(&colours, size, 3).expect("a picture"), size, 1);
        let expected = DynamicImage::from(image).into_luma8().into_raw();
        assert!(found == expected, "of {} colours", found.len());
    }
}
