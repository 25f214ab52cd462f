//! What lies in a folder of pictures and is not part of the data set: counted and named, so that nothing is passed over in silence.

use std::collections::BTreeMap;
use std::fmt;

/// Files that are not part of a data set: what they are called, why they are not, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<(What, String), usize>);

/// What is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    target_arch = "wasm32",
    expect(dead_code, reason = "there are no folders that anything could be left out of")
)]
enum What {
    /// Files whose names end so, with the dot.
    Ending(String),
    /// Files whose names have no ending.
    Bare,
    /// A file of this name.
    Named(String),
    /// A folder of this name.
    Folder(String),
}

impl LeftOut {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are pictures among it.
    pub fn has_pictures(&self) -> bool {
        self.0.keys().any(|(_, why)| why != NO_PICTURE && why != NO_FILE)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl LeftOut {
    pub(super) fn folder(&mut self, folder: &std::path::Path, why: String) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.insert((What::Folder(name), why), 1);
    }

    /// One file by its name.
    pub(super) fn named(&mut self, name: String, why: String) {
        self.0.insert((What::Named(name), why), 1);
    }

    /// What of it are folders.
    pub(super) fn of_folders(mut self) -> Self {
        self.0.retain(|(what, _), _| matches!(what, What::Folder(_)));
        self
    }

    pub(super) fn add(&mut self, more: Self) {
        for (key, count) in more.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub(super) fn file(&mut self, path: &std::path::Path, why: String) {
        let ending = path.extension().map_or(What::Bare, |end| What::Ending(format!(".{}", end.to_string_lossy())));
        *self.0.entry((ending, why)).or_default() += 1;
    }
}

/// "3 .jxl files (JPEG XL cannot be read), 1 .txt file (no picture)"
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ((what, why), count)) in self.0.iter().take(MOST).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let files = if *count == 1 { "file" } else { "files" };
            match what {
                What::Folder(name) => write!(f, "{comma}{name}/ ({why})")?,
                What::Named(name) => write!(f, "{comma}{name} ({why})")?,
                What::Bare => write!(f, "{comma}{count} {files} without an ending ({why})")?,
                What::Ending(ending) => write!(f, "{comma}{count} {ending} {files} ({why})")?,
            }
        }
        let rest: usize = self.0.values().skip(MOST).sum();
        if rest > 0 {
            write!(f, ", and {rest} more of other kinds")?;
        }
        Ok(())
    }
}

/// So many kinds are named.
const MOST: usize = 12;
/// Why most files are left out.
pub(super) const NO_PICTURE: &str = "no picture";
/// Why pipes and the like are left out.
pub(super) const NO_FILE: &str = "no file";

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::LeftOut;
    use std::path::Path;

    #[test]
    fn a_few_kinds_are_named_and_the_rest_is_counted() {
        let mut left_out = LeftOut::default();
        for name in ["a.txt", "b.txt", "c", "d.jxl"] {
            left_out.file(Path::new(name), "no picture".to_owned());
        }
        let some = "1 .jxl file (no picture), 2 .txt files (no picture), 1 file without an ending (no picture)";
        assert_eq!(left_out.to_string(), some);
        (100..115).for_each(|i| left_out.file(&Path::new("x").with_extension(i.to_string()), "no picture".to_owned()));
        let text = left_out.to_string();
        assert!(
            text.starts_with("1 .100 file (no picture), ") && text.ends_with(", and 7 more of other kinds"),
            "{text}"
        );
    }
}
