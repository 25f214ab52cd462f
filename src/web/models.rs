//! The models that ship: `weights/models.json`, one entry per folder beside it, and the fast students of some of them.

use serde::Deserialize;
use std::fmt::Display;

/// The list's name, in the folder of the models.
pub const MODELS_FILE: &str = "models.json";

/// What the name of a model's fast student has more than the model's.
const FAST: &str = "-fast";

/// Sample pictures of one model at most.
const MOST_PICTURES: usize = 10;

/// A model that ships.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its folder, and its name in links.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What each of its sample pictures shows. `samples/<name>.png` holds them in one row, squares of the model's size. A model
    /// without any gets the ten digits that are part of the program.
    #[serde(default)]
    pub pictures: Vec<String>,
    /// Whose pictures they are, and under which licence.
    #[serde(default)]
    pub credit: Option<String>,
    /// A student of few steps, distilled from it, lies beside it in the folder `<name>-fast`.
    #[serde(default)]
    pub fast: bool,
}

impl Entry {
    /// Its student's name, and folder.
    pub fn student(&self) -> String {
        format!("{}{FAST}", self.name)
    }
}

/// A model of the list, or its student: what a link calls `digits` or `digits-fast`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// The model's name in the list.
    pub name: String,
    /// Its fast student generates; the model itself does what needs any timestep.
    pub fast: bool,
}

impl Which {
    /// Which one a text means, if it can be a name.
    pub fn from_text(text: &str) -> Option<Self> {
        let (name, fast) = text.strip_suffix(FAST).map_or((text, false), |name| (name, true));
        is_name(name).then(|| Self { name: name.to_owned(), fast })
    }
}

impl Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, if self.fast { FAST } else { "" })
    }
}

/// Reads the list.
///
/// # Errors
/// Text that is no such list; an empty list; a name that no folder can have, or that is there twice; too many pictures. Each
/// is a sentence.
pub fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let wrong = |why: String| format!("the list of models, {MODELS_FILE}, cannot be used: {why}");
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if entries.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    for (i, entry) in entries.iter().enumerate() {
        if !is_name(&entry.name) {
            return Err(wrong(format!("{:?} is no name of small letters, digits and hyphens", entry.name)));
        }
        if entry.name.ends_with(FAST) {
            return Err(wrong(format!(
                "{:?} is the name of a student; its teacher's entry says that there is one",
                entry.name
            )));
        }
        if entries[..i].iter().any(|other| other.name == entry.name) {
            return Err(wrong(format!("{:?} is in it twice", entry.name)));
        }
        if entry.pictures.len() > MOST_PICTURES {
            return Err(wrong(format!("{:?} has more than {MOST_PICTURES} pictures", entry.name)));
        }
    }
    Ok(entries)
}

/// Whether this can be a model's name: it becomes part of an address.
fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_ships_is_one() {
        let entries = parse(include_str!("../../weights/models.json")).expect("a list of models");
        assert_eq!(entries[0].name, crate::web::settings::Settings::default().model.name);
    }

    #[test]
    fn what_is_no_list_is_refused_with_a_reason() {
        let twice = r#"[{"name": "a", "title": "A"}, {"name": "a", "title": "B"}]"#;
        for (text, why) in [
            ("[]", "it is empty"),
            ("digits", "expected value"),
            (r#"[{"name": "../secrets", "title": ""}]"#, "is no name of small letters"),
            (r#"[{"name": "a"}]"#, "missing field `title`"),
            (r#"[{"name": "a", "title": "A", "size": 28}]"#, "unknown field `size`"),
            (r#"[{"name": "a-fast", "title": "A"}]"#, "is the name of a student"),
            (twice, "\"a\" is in it twice"),
        ] {
            let problem = parse(text).expect_err("a refusal");
            assert!(problem.contains(why), "{problem}");
        }
    }
}
