//! Reading one of diffusers' JSON configs key by key, so that nothing in it is silently ignored.

use super::json;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// A config file that this program cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON at all.
    #[error("{file} is not valid JSON: {detail}")]
    Syntax {
        /// Name of the file.
        file: &'static str,
        /// What the parser found, with line and column.
        detail: String,
    },
    /// JSON, but with settings this program does not support; every one is named.
    #[error("{file} is not supported: {}", list(.problems))]
    Unsupported {
        /// Name of the file.
        file: &'static str,
        /// One clause for each setting: key, value found, values supported.
        problems: Vec<String>,
    },
}

/// Joins at most ten entries and says how many there are in all.
pub(crate) fn list(entries: &[String]) -> String {
    let shown = entries.iter().take(10).cloned().collect::<Vec<_>>().join("; ");
    if entries.len() > 10 { format!("{shown}; … ({} in all)", entries.len()) } else { shown }
}

/// Largest config file that is read, in bytes; real ones have about a thousand.
const MAX_BYTES: usize = 1 << 20;

/// The keys of a config that have not been read yet, and what was wrong with those that have.
pub(crate) struct Fields {
    file: &'static str,
    map: Map<String, Value>,
    problems: Vec<String>,
}

impl Fields {
    /// Parses the object in `bytes`.
    pub fn parse(file: &'static str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let syntax = |detail: String| ConfigError::Syntax { file, detail };
        if bytes.len() > MAX_BYTES {
            return Err(syntax(format!("it has {} bytes, expected at most {MAX_BYTES}", bytes.len())));
        }
        match json::parse(bytes).map_err(syntax)? {
            Value::Object(map) => Ok(Self::of(file, map)),
            other => Err(syntax(format!("found {}, expected an object {{…}}", show(&other)))),
        }
    }

    /// The keys of an object that was read from something else than JSON.
    pub fn of(file: &'static str, map: Map<String, Value>) -> Self {
        Self { file, map, problems: Vec::new() }
    }

    /// Whether nothing was found wrong so far.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Says what is wrong with the config as a whole.
    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// Whether the config has this key and it has not been read yet.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Reads `key`: `default` where it is missing, a problem where `read` does not understand it.
    pub fn value<T>(&mut self, key: &str, default: T, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> T {
        let Some(value) = self.map.remove(key) else { return default };
        read(&value).unwrap_or_else(|| {
            self.problem(format!("`{key}` is {}, expected {expected}", show(&value)));
            default
        })
    }

    /// A whole number in `range`.
    pub fn integer(&mut self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(key, default, &expected, |v| integer(v).filter(|n| range.contains(n)))
    }

    /// A whole number in `range`, or null.
    pub fn optional_integer(
        &mut self,
        key: &str,
        default: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let expected = format!("null or a whole number from {} to {}", range.start(), range.end());
        self.value(key, default, &expected, |v| match v {
            Value::Null => Some(None),
            v => integer(v).filter(|n| range.contains(n)).map(Some),
        })
    }

    /// A number in `range`.
    pub fn number(&mut self, key: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.value(key, default, &expected, |v| v.as_f64().filter(|x| range.contains(x)))
    }

    /// True or false.
    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.value(key, default, "true or false", Value::as_bool)
    }

    /// One of these words, each with its meaning.
    pub fn choice<T: Copy>(&mut self, key: &str, default: T, choices: &[(&str, T)]) -> T {
        let expected = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        self.value(key, default, &expected, |v| {
            choices.iter().find(|(word, _)| v.as_str() == Some(word)).map(|&(_, meaning)| meaning)
        })
    }

    /// A setting of which one value is supported; missing is that value.
    pub fn only(&mut self, key: &str, supported: Value) {
        let same = |v: &Value| *v == supported || (v.is_number() && v.as_f64() == supported.as_f64());
        self.value(key, (), &show(&supported), |v| same(v).then_some(()));
    }

    /// Settings that change nothing here.
    pub fn ignore(&mut self, keys: &[&str]) {
        for &key in keys {
            self.map.remove(key);
        }
    }

    /// Ends the reading: every key that nobody read is a problem, but those of others (`_…`).
    pub fn finish(mut self) -> Result<(), ConfigError> {
        for (key, value) in std::mem::take(&mut self.map) {
            if !key.starts_with('_') {
                self.problem(format!("`{}` (here {}) is not a known setting", shorten(&key), show(&value)));
            }
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Unsupported { file: self.file, problems: self.problems })
    }
}

/// A whole number, also when it is written `8.0`.
pub(crate) fn integer(value: &Value) -> Option<usize> {
    let whole = |x: f64| (x.fract() == 0.0 && (0.0..=u32::MAX as f64).contains(&x)).then_some(x as usize);
    value.as_f64().and_then(whole)
}

fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}
