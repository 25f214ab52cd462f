//! A drawing as bytes, and as text that a link can hold: a number of the format, then the bytes, all of it in base64 of the alphabet
//! for addresses (RFC 4648, section 5) without padding.
//!
//! A stroke is the number of its points (two bytes, the lower first), its radius, its ink (0 pen, 1 rubber, 2 a colour, of which red,
//! green and blue follow), and its points.

use super::stroke::{Drawing, Ink, Stroke};

/// Characters of the longest text: some links are cut beyond.
pub const LONGEST: usize = 2000;
/// The format's number.
const FORMAT: u8 = 1;
/// The widest stroke's radius.
const WIDEST: u8 = 64;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of a drawing that is in a link. It is a drawing's, or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn(String);

impl Drawn {
    /// That of a drawing; empty without strokes, or with more than a link can hold.
    pub fn of(drawing: &Drawing) -> Self {
        let mut bytes = vec![FORMAT];
        to_bytes(drawing, &mut bytes);
        let text = to_base64(&bytes);
        Self(if bytes.len() == 1 || text.len() > LONGEST { String::new() } else { text })
    }

    /// The text of a link, if it is that of a drawing.
    pub fn from_text(text: &str) -> Option<Self> {
        read(text).map(|_| Self(text.to_owned()))
    }

    /// It.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The drawing.
    pub fn drawing(&self) -> Option<Drawing> {
        read(&self.0)
    }
}

fn read(text: &str) -> Option<Drawing> {
    let bytes = from_base64(text).filter(|_| text.len() <= LONGEST)?;
    let (format, strokes) = bytes.split_first()?;
    from_bytes(strokes).filter(|_| *format == FORMAT && !strokes.is_empty())
}

/// Writes the strokes that are to be seen.
pub fn to_bytes(drawing: &Drawing, bytes: &mut Vec<u8>) {
    for stroke in drawing.strokes() {
        bytes.extend((stroke.points.len() as u16).to_le_bytes());
        bytes.push(stroke.radius);
        match stroke.ink {
            Ink::Pen => bytes.push(0),
            Ink::Rubber => bytes.push(1),
            Ink::Colour([r, g, b]) => bytes.extend([2, r, g, b]),
        }
        bytes.extend(stroke.points.as_flattened());
    }
}

/// Reads them; `None` if they are no strokes.
pub fn from_bytes(mut bytes: &[u8]) -> Option<Drawing> {
    let mut strokes = Vec::new();
    while let [low, high, radius, ink, rest @ ..] = bytes {
        let (ink, rest) = match (ink, rest) {
            (0, rest) => (Ink::Pen, rest),
            (1, rest) => (Ink::Rubber, rest),
            (2, [r, g, b, rest @ ..]) => (Ink::Colour([*r, *g, *b]), rest),
            _ => return None,
        };
        let (points, rest) = rest.split_at_checked(2 * usize::from(u16::from_le_bytes([*low, *high])))?;
        if points.is_empty() || !(1..=WIDEST).contains(radius) {
            return None;
        }
        let points = points.chunks_exact(2).map(|point| [point[0], point[1]]).collect();
        strokes.push(Stroke { points, radius: *radius, ink });
        bytes = rest;
    }
    bytes.is_empty().then(|| Drawing::of(strokes))
}

/// Bytes as text.
pub fn to_base64(bytes: &[u8]) -> String {
    let group = |part: &[u8]| {
        let bits = part.iter().enumerate().fold(0, |bits, (i, &byte)| bits | u32::from(byte) << (16 - 8 * i));
        (0..=part.len()).map(move |i| char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]))
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// The bytes of a text; `None` if it is none of [`to_base64`].
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // What is left over is less than a letter, and nothing.
    (count < 6 && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn bytes_survive_as_text_and_other_text_is_refused() {
        let mut rng = Rng::new(3);
        for len in 0..200 {
            let bytes: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
            let text = to_base64(&bytes);
            assert_eq!(from_base64(&text), Some(bytes));
            assert_eq!(text.len(), (4 * len as usize).div_ceil(3));
        }
        assert_eq!(to_base64(&[0xFB, 0xEF, 0xFF, 0x66]), "--__Zg");
        for text in ["A", "AB=", "A+BC", "ABé", "AAAAB", "AB", "ABD"] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn a_drawing_survives_and_one_that_is_too_long_or_none_is_no_text() {
        let mut rng = Rng::new(5);
        let mut stroke = |points: usize, ink| {
            let points = (0..points).map(|_| [rng.below(256) as u8, rng.below(256) as u8]).collect();
            Stroke { points, radius: 1 + rng.below(64) as u8, ink }
        };
        for points in [1, 2, 40, 130, 200] {
            let inks = [Ink::Pen, Ink::Rubber, Ink::Colour([1, 2, 250])];
            let drawing = Drawing::of(inks.map(|ink| stroke(points, ink)).to_vec());
            let drawn = Drawn::of(&drawing);
            assert_eq!(drawn.drawing().as_ref(), Some(&drawing));
            assert_eq!(Drawn::from_text(drawn.text()), Some(drawn.clone()));
            assert!(drawn.text().len() <= 8 * points + 32, "{points}: {}", drawn.text().len());
        }
        assert_eq!(Drawn::of(&Drawing::of(vec![stroke(800, Ink::Pen)])), Drawn::default());
        assert_eq!(Drawn::of(&Drawing::default()), Drawn::default());
        // What was cleared away does not travel.
        let mut cleared = Drawing::of(vec![stroke(9, Ink::Pen)]);
        cleared.clear();
        cleared.begin(stroke(4, Ink::Pen));
        assert_eq!(Drawn::of(&cleared).drawing().map(|drawing| drawing.strokes().count()), Some(1));
    }

    #[test]
    fn what_is_no_drawing_is_refused_whatever_it_is() {
        let point = |radius, ink| vec![Stroke { points: vec![[7, 8]], radius, ink }];
        let text = |format: u8, strokes: Vec<Stroke>| {
            let mut bytes = vec![format];
            to_bytes(&Drawing::of(strokes), &mut bytes);
            to_base64(&bytes)
        };
        let good = text(FORMAT, point(8, Ink::Pen));
        assert!(Drawn::from_text(&good).is_some());
        let empty = vec![Stroke { points: vec![], radius: 8, ink: Ink::Pen }];
        for bad in [
            String::new(),
            "drawing".to_owned(),
            text(2, point(8, Ink::Pen)),
            text(FORMAT, vec![]),
            text(FORMAT, empty),
            text(FORMAT, point(0, Ink::Pen)),
            text(FORMAT, point(65, Ink::Pen)),
            format!("{good}AA"),
            format!("{good}="),
            good[1..].to_owned(),
            "_".repeat(400),
            text(FORMAT, (0..2000).flat_map(|_| point(8, Ink::Pen)).collect()),
            // More points than there are bytes; an ink that there is none of; a stroke of two bytes.
            to_base64(&[1, 2, 0, 8, 0, 1, 1]),
            to_base64(&[1, 1, 0, 8, 3, 1, 1]),
            to_base64(&[1, 1, 0]),
        ] {
            assert_eq!(Drawn::from_text(&bad), None, "{bad}");
        }
        let mut rng = Rng::new(8);
        for _ in 0..2000 {
            let noise: String = (0..rng.below(60)).map(|_| char::from(ALPHABET[rng.below(64)])).collect();
            if let Some(drawing) = read(&noise) {
                assert_eq!(Drawn::of(&drawing).text(), noise, "there is one text for a drawing and no other");
            }
        }
    }
}
