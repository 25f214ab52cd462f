//! JSON as it is found: with a byte order mark before it, and with the numbers that Python adds to it.

use serde_json::Value;
use std::borrow::Cow;

/// What Python writes for numbers that JSON does not have; the longer before the one it ends with.
const PYTHONS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads JSON. A number that JSON does not have becomes text, `"-Infinity"`, which no setting takes for a number.
///
/// # Errors
/// What the parser found, with line and column.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let bytes = without_mark(bytes);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16 text, expected UTF-8".to_owned());
    }
    // Most files are plain, and errors in them should be told at their own place.
    serde_json::from_slice(bytes).or_else(|plain| match quote_numbers(bytes) {
        Cow::Borrowed(_) => Err(plain.to_string()),
        Cow::Owned(quoted) => serde_json::from_slice(&quoted).map_err(|error| error.to_string()),
    })
}

/// The text without the byte order mark that some editors begin a file with.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Puts [`PYTHONS`] numbers into quotes, but for those that are part of a text or of a word.
fn quote_numbers(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(b));
    let mut out = Cow::Borrowed(bytes);
    let (mut at, mut copied, mut in_text) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            _ if !in_text && !is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) => {
                let found = PYTHONS.iter().find(|word| bytes[at..].starts_with(word.as_bytes()));
                if let Some(word) = found.filter(|word| !is_word(bytes.get(at + word.len()))) {
                    if let Cow::Borrowed(_) = out {
                        out = Cow::Owned(Vec::with_capacity(bytes.len() + 16));
                    }
                    let quoted = out.to_mut();
                    quoted.extend(&bytes[copied..at]);
                    quoted.extend([b"\"", word.as_bytes(), b"\""].concat());
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if let Cow::Owned(quoted) = &mut out {
        quoted.extend(&bytes[copied..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_python_adds_become_text() {
        let text = br#"{"a": [NaN, -Infinity,Infinity], "NaN": "an \" Infinity, NaN", "b": 1}"#;
        let expected = json!({"a": ["NaN", "-Infinity", "Infinity"], "NaN": "an \" Infinity, NaN", "b": 1});
        assert_eq!(parse(text).unwrap(), expected);
        for bad in ["[NaNs]", "[xInfinity]", "[--Infinity]", "[1NaN]", "[-NaN]", "[NaN", "\"\\", "[Infinity_]"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        assert_eq!(parse(b"\xef\xbb\xbf{}").unwrap(), json!({}));
        assert_eq!(parse(b"\xef\xbb\xbf[NaN]").unwrap(), json!(["NaN"]));
        assert!(parse(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
        assert_eq!(parse(b"\xff\xfe{\0}\0").unwrap_err(), "it is UTF-16 text, expected UTF-8");
        assert!(parse(b"\xef\xbb").is_err() && parse(b"").is_err());
    }

    #[test]
    fn errors_are_told_at_their_place() {
        assert_eq!(parse(b"{\"a\": 1,\n  }").unwrap_err(), "trailing comma at line 2 column 3");
        assert!(parse(b"{\"a\": NaN,\n  }").unwrap_err().contains("line 2 column 3"));
    }
}
