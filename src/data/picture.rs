//! One picture from a file, made to fit: decoded, turned upright, laid on white, cropped around its centre, resized.

use super::format::Format;
use super::whole::{self, Header, MAX_DECODED};
use super::{DataError, listing};
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits, Rgb, RgbImage};
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
    let fitted = fit(&on_white(image), size);
    Ok(if channels == 1 { DynamicImage::from(fitted).into_luma8().into_raw() } else { fitted.into_raw() })
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

/// What is transparent becomes white; must happen before resizing, which would mix in colours that nobody sees.
fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
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
    let part = imageops::crop_imm(image, left, top, crop_w, crop_h);
    if (crop_h, crop_w) == (height, width) {
        return part.to_image();
    }
    imageops::resize(&*part, width, height, FilterType::Lanczos3)
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
        let white = on_white(DynamicImage::from(image));
        assert_eq!(white.as_raw(), &[255, 255, 255, 132, 137, 142, 10, 20, 30]);
    }
}
