//! Files of pictures cut at every place, and what their headers say of them.
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/jpeg.rs"]
mod jpeg;

use image::{DynamicImage, ExtendedColorType, ImageFormat, RgbImage};
use jpeg::Scans;
use noisette::data::format::Format;
use noisette::data::whole::{Flaw, Header, MAX_DECODED, check};

/// A picture that compresses badly, 23 high and 31 wide.
fn picture() -> DynamicImage {
    let noisy = |x: u32, y: u32| (x * 7919 + y * 104_729 + x * y * 31) % 251;
    RgbImage::from_fn(31, 23, |x, y| image::Rgb([noisy(x, y), noisy(y, x), x * 8].map(|v| v as u8))).into()
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture().write_to(&mut bytes, format).expect("it can be encoded");
    bytes.into_inner()
}

/// A file whose every part is written out here, that of an animation and with all kinds of extras.
fn parts(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A segment of Exif with a whole JPEG as thumbnail, put behind the beginning of another.
fn with_thumbnail(file: &[u8]) -> Vec<u8> {
    let thumbnail = jpeg::blocks(1, &[[9, 128, 128]], Scans::Interleaved);
    let length = (thumbnail.len() as u16 + 8).to_be_bytes();
    parts(&[&file[..2], b"\xff\xe1", &length, b"Exif\0\0", &thumbnail, &file[2..]])
}

/// One whole file of each kind with what its header says.
fn whole_files() -> Vec<(&'static str, Vec<u8>, Header)> {
    let of = |format, height, width| Header { format, size: [height, width] };
    let blocks: Vec<[u8; 3]> = (0..12).map(|i| [i * 20, 100 + i, 255 - 21 * i]).collect();
    let jpeg = encoded(ImageFormat::Jpeg);
    let webp = encoded(ImageFormat::WebP);
    let riff = |chunks: &[u8]| parts(&[b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes(), b"WEBP", chunks]);
    // A canvas of 7×5 with a colour profile, and a frame behind it.
    let extended =
        riff(&parts(&[b"VP8X\x0a\0\0\0\x20\0\0\0\x06\0\0\x04\0\0ICCP\x03\0\0\0abc\0ALPH\0\0\0\0VP8 \x02\0\0\0xy"]));
    let lossy = riff(b"VP8 \x0c\0\0\0\x30\x01\0\x9d\x01\x2a\x07\0\x05\0xy");
    // Two frames with tables of two colours, an extension, and a filling.
    let frame: &[u8] = b",\0\0\0\0\x03\0\x02\0\x80abcdef\x02\x01\x44\x02\x45\x46\0";
    let gif = parts(&[b"GIF89a\x07\0\x05\0\x80\0\0abcdef!\xf9\x04\0\0\0\0\0", frame, b"\0!\xfe\x03;;;\0", frame, b";"]);
    // Compressed by run lengths: 4 bytes at 54.
    let runs = parts(&[
        b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x07\0\0\0\xfb\xff\xff\xff\x01\0\x08\0\x01\0\0\0\x04\0\0\0",
        &[0; 16],
        b"\x07\x01\0\x01",
    ]);
    let old = parts(&[b"BM\0\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x09\0\x02\0\x01\0\x01\0", &[0; 8]]);
    vec![
        ("PNG", encoded(ImageFormat::Png), of(Format::Png, 23, 31)),
        ("JPEG", jpeg.clone(), of(Format::Jpeg, 23, 31)),
        ("JPEG with a thumbnail", with_thumbnail(&jpeg), of(Format::Jpeg, 23, 31)),
        ("progressive JPEG", jpeg::blocks(4, &blocks, Scans::Progressive), of(Format::Jpeg, 24, 32)),
        ("JPEG of three scans", jpeg::blocks(4, &blocks, Scans::Separate), of(Format::Jpeg, 24, 32)),
        ("GIF", encoded(ImageFormat::Gif), of(Format::Gif, 23, 31)),
        ("animated GIF", gif, of(Format::Gif, 5, 7)),
        ("WebP", webp, of(Format::WebP, 23, 31)),
        ("extended WebP", extended, of(Format::WebP, 5, 7)),
        ("lossy WebP", lossy, of(Format::WebP, 5, 7)),
        ("BMP", encoded(ImageFormat::Bmp), of(Format::Bmp, 23, 31)),
        ("compressed BMP", runs, of(Format::Bmp, 5, 7)),
        ("old BMP", old, of(Format::Bmp, 2, 9)),
    ]
}

#[test]
fn a_whole_file_says_what_it_is_and_a_cut_one_that_it_is_cut() {
    for (name, file, header) in whole_files() {
        assert_eq!(check(&file), Ok(header), "{name}");
        // Cameras append things.
        assert_eq!(check(&[&file[..], b"more"].concat()), Ok(header), "{name} and more");
        let mut cut_in_the_middle = 0;
        for length in 0..file.len() {
            match check(&file[..length]) {
                Err(Flaw::Cut { found, .. }) => {
                    assert_eq!(found, length);
                    cut_in_the_middle += 1;
                }
                // What is no file of its kind yet is unknown.
                Err(Flaw::Unknown) => assert!(length < 18, "{name}: {length} bytes are unknown"),
                other => panic!("{name}: the first {length} of {} bytes are {other:?}", file.len()),
            }
        }
        assert!(cut_in_the_middle + 18 >= file.len(), "{name}");
    }
    let text = check(&encoded(ImageFormat::Png)[..300]).expect_err("cut").to_string();
    assert_eq!(text, "the file ends in the middle: expected the IEND chunk, found the end after 300 bytes");
    let text = check(&encoded(ImageFormat::Bmp)[..300]).expect_err("cut").to_string();
    assert_eq!(text, "the file ends in the middle: expected 2262 bytes, found the end after 300 bytes");
}

/// Downloads that were given their length in advance have zeros where the rest was to come.
#[test]
fn a_file_that_is_filled_with_zeros_is_not_whole() {
    for (name, mut file, ..) in
        whole_files().into_iter().filter(|(name, ..)| !name.contains("WebP") && !name.contains("BMP"))
    {
        let middle = file.len() / 2;
        file[middle..].fill(0);
        assert!(check(&file).is_err(), "{name}");
    }
}

#[test]
fn what_is_missing_inside_is_noticed() {
    let blocks = [[10, 20, 30], [40, 50, 60]];
    let whole = jpeg::blocks(2, &blocks, Scans::Separate);
    let scans: Vec<usize> = (0..whole.len()).filter(|&i| whole[i..].starts_with(b"\xff\xda")).collect();
    let without_the_last = parts(&[&whole[..scans[2]], b"\xff\xd9"]);
    assert_eq!(
        check(&without_the_last).expect_err("two of three").to_string(),
        "the JPEG file is damaged: a part of the picture is missing"
    );
    let two = parts(&[&whole[..scans[2]], &whole]);
    assert!(check(&two).is_err_and(|flaw| flaw.to_string().contains("another picture begins")));
    for file in [
        &b"\xff\xd8\xff\xd9"[..],
        b"GIF89a\x01\0\x01\0\0\0\0;",
        b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0",
        b"RIFF\x0c\0\0\0WEBPEXIF\0\0\0\0",
    ] {
        assert!(matches!(check(file), Err(Flaw::Damaged { .. })), "{}: {:?}", file.escape_ascii(), check(file));
    }
}

#[test]
fn pictures_that_cannot_be_read_or_are_too_large_are_told_from_the_header() {
    assert_eq!(check(b"a text").expect_err("no picture").to_string(), "it is no picture of a known kind");
    assert_eq!(check(b"\xff\x0a\0").expect_err("another format").to_string(), "JPEG XL files cannot be read");
    // Black squares of many sides: some kilobytes.
    let square = |side: u32| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let row = vec![0; side as usize * side as usize];
        image::ImageEncoder::write_image(encoder, &row, side, side, ExtendedColorType::L8).expect("it can be encoded");
        bytes.into_inner()
    };
    let mut small = square(16);
    assert!(check(&small).is_ok());
    let side = (MAX_DECODED / 4).isqrt() as u32;
    small[16..20].copy_from_slice(&side.to_be_bytes());
    small[20..24].copy_from_slice(&side.to_be_bytes());
    assert!(check(&small).is_ok_and(|header| header.size == [side as usize; 2]));
    small[16..20].copy_from_slice(&16_000u32.to_be_bytes());
    small[20..24].copy_from_slice(&16_000u32.to_be_bytes());
    let text = check(&small).expect_err("too large").to_string();
    assert_eq!(text, "its 16000×16000 pixels take 977 MiB of memory decoded, expected at most 512 MiB");
    small[16..24].fill(0xff);
    assert!(matches!(check(&small), Err(Flaw::Large { .. })));
    small[16..20].fill(0);
    assert!(check(&small).is_err_and(|flaw| flaw.to_string().contains("no height or no width")));
}
