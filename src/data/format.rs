//! What kind of picture a file holds: its first bytes tell, not its name.

/// A kind of picture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, in a JFIF or Exif file.
    Jpeg,
    /// GIF87a and GIF89a.
    Gif,
    /// WebP, in a RIFF file.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// TIFF, which many cameras' raw files are, too.
    Tiff,
    /// AVIF.
    Avif,
    /// HEIF and HEIC.
    Heic,
    /// JPEG XL, bare or in a box.
    JpegXl,
    /// JPEG 2000, bare or in a box.
    Jpeg2000,
    /// PBM, PGM, PPM and PAM.
    Pnm,
    /// SVG, unless compressed.
    Svg,
    /// Photoshop.
    Psd,
    /// Windows icon.
    Ico,
    /// Quite OK Image.
    Qoi,
    /// OpenEXR.
    OpenExr,
    /// Radiance HDR.
    Hdr,
    /// DirectDraw surface.
    Dds,
    /// JPEG XR.
    JpegXr,
    /// Truevision TGA, which no first bytes tell.
    Tga,
}

/// So many bytes from a file's beginning tell its format.
pub const START: usize = 1024;

impl Format {
    /// The format of a file that begins with these bytes, [`START`] of them or the whole file.
    pub fn of(start: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 20] = [
            (b"\x89PNG\r\n\x1a\n", Self::Png),
            (b"\xff\xd8\xff", Self::Jpeg),
            (b"GIF87a", Self::Gif),
            (b"GIF89a", Self::Gif),
            (b"II*\0", Self::Tiff),
            (b"MM\0*", Self::Tiff),
            (b"II+\0", Self::Tiff),
            (b"MM\0+", Self::Tiff),
            (b"II\xbc", Self::JpegXr),
            (b"\xff\x0a", Self::JpegXl),
            (b"\0\0\0\x0cJXL \r\n\x87\n", Self::JpegXl),
            (b"\xff\x4f\xff\x51", Self::Jpeg2000),
            (b"\0\0\0\x0cjP  \r\n\x87\n", Self::Jpeg2000),
            (b"8BPS", Self::Psd),
            (b"qoif", Self::Qoi),
            (b"\x76\x2f\x31\x01", Self::OpenExr),
            (b"#?RADIANCE", Self::Hdr),
            (b"#?RGBE", Self::Hdr),
            (b"DDS ", Self::Dds),
            (b"P7\n", Self::Pnm),
        ];
        let magic = magics.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| *format);
        magic.or_else(|| Self::by_structure(start))
    }

    /// Those that no constant at the very beginning tells.
    fn by_structure(start: &[u8]) -> Option<Self> {
        let at = |i: usize| start.get(i).copied().unwrap_or(0);
        if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
            return Some(Self::WebP);
        }
        // Two letters are little: the header's length must be one that there is.
        if start.starts_with(b"BM")
            && start.get(14..18).is_some_and(|b| matches!(b, [12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
        {
            return Some(Self::Bmp);
        }
        // An icon or a pointer holds some; without any it is more likely a TGA.
        if matches!(start, [0, 0, 1 | 2, 0, low, high, ..] if (*low, *high) != (0, 0)) {
            return Some(Self::Ico);
        }
        if at(0) == b'P' && (b'1'..=b'6').contains(&at(1)) && (at(2).is_ascii_whitespace() || at(2) == b'#') {
            return Some(Self::Pnm);
        }
        if start.get(4..8) == Some(b"ftyp") {
            // The brand and those it is compatible with.
            let end = (u32::from_be_bytes([at(0), at(1), at(2), at(3)]) as usize).clamp(12, 256).min(start.len());
            let brands = || start[8..end].chunks_exact(4);
            let any = |names: &[&[u8; 4]]| brands().any(|brand| names.iter().any(|name| brand == *name));
            if any(&[b"avif", b"avis"]) {
                return Some(Self::Avif);
            }
            return any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
                .then_some(Self::Heic);
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let is_svg = text.starts_with(b"<") && text.windows(4).any(|part| part == b"<svg");
        is_svg.then_some(Self::Svg)
    }

    /// The format that a file's name ends in, in small letters: for files that do not tell, or are damaged.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "png" | "apng" => Self::Png,
            "jpg" | "jpeg" | "jpe" | "jfif" | "jif" => Self::Jpeg,
            "gif" => Self::Gif,
            "webp" => Self::WebP,
            "bmp" | "dib" => Self::Bmp,
            "tif" | "tiff" => Self::Tiff,
            "avif" | "avifs" => Self::Avif,
            "heic" | "heif" | "hif" => Self::Heic,
            "jxl" => Self::JpegXl,
            "jp2" | "j2k" | "jpf" | "jpx" | "j2c" => Self::Jpeg2000,
            "pbm" | "pgm" | "ppm" | "pnm" | "pam" => Self::Pnm,
            "svg" | "svgz" => Self::Svg,
            "psd" | "psb" => Self::Psd,
            "ico" | "cur" => Self::Ico,
            "qoi" => Self::Qoi,
            "exr" => Self::OpenExr,
            "hdr" => Self::Hdr,
            "dds" => Self::Dds,
            "jxr" | "wdp" | "hdp" => Self::JpegXr,
            "tga" | "icb" | "vda" | "vst" => Self::Tga,
            _ => return None,
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::JpegXl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Pnm => "PNM",
            Self::Svg => "SVG",
            Self::Psd => "Photoshop",
            Self::Ico => "ICO",
            Self::Qoi => "QOI",
            Self::OpenExr => "OpenEXR",
            Self::Hdr => "Radiance HDR",
            Self::Dds => "DDS",
            Self::JpegXr => "JPEG XR",
            Self::Tga => "TGA",
        }
    }

    /// Whether the command line reads such files; of the others it says how many there are.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Gif | Self::WebP | Self::Bmp)
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn the_first_bytes_tell_the_format() {
        let known: [(&[u8], Format); 21] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Format::Png),
            (b"\xff\xd8\xff\xe1", Format::Jpeg),
            (b"GIF87a", Format::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8L", Format::WebP),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Format::Bmp),
            (b"II*\0\x08\0\0\0", Format::Tiff),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", Format::Avif),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Format::Avif),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Format::Heic),
            (b"\xff\x0a\0\0", Format::JpegXl),
            (b"\0\0\0\x0cJXL \r\n\x87\n", Format::JpegXl),
            (b"\0\0\0\x0cjP  \r\n\x87\n", Format::Jpeg2000),
            (b"P5 8 8 255\n", Format::Pnm),
            (b"P7\nWIDTH 1", Format::Pnm),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Format::Svg),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg>", Format::Svg),
            (b"8BPS\0\x01", Format::Psd),
            (b"\0\0\x01\0\x01\0", Format::Ico),
            (b"qoif\0\0\0\x01", Format::Qoi),
            (b"\x76\x2f\x31\x01", Format::OpenExr),
            (b"#?RADIANCE\n", Format::Hdr),
        ];
        for (bytes, format) in known {
            assert_eq!(Format::of(bytes), Some(format), "{}", bytes.escape_ascii());
        }
        let foreign: [&[u8]; 11] = [
            b"",
            b"\0\0\x02\0\0\0\0\0\0\0\0\0\x04\0\x04\0\x18\x20",
            b"\0\0\x02\0",
            b"\xff\xd8",
            b"BM is a text",
            b"P5x",
            b"RIFF\x10\0\0\0WAVEfmt ",
            b"<html>",
            b"Hello",
            b"\0\0\0\x18ftypisom\0\0\0\0mp42isom",
            b"\0\0\0\x18ftyp",
        ];
        for bytes in foreign {
            assert_eq!(Format::of(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_format_has_an_ending() {
        let endings =
            ["png", "jpe", "gif", "webp", "dib", "tif", "avif", "heif", "jxl", "jp2", "pam", "svg", "psd", "ico"];
        let formats = endings.map(|ending| Format::of_extension(ending).expect("an ending"));
        assert_eq!(formats.iter().filter(|format| format.is_read()).count(), 5);
        assert_eq!(formats.map(Format::name)[7..10], ["HEIC", "JPEG XL", "JPEG 2000"]);
        assert_eq!(Format::of_extension("txt"), None);
    }
}
