//! The models that ship: `weights/models.json`, one entry per folder beside it.

use serde::Deserialize;

/// The list's name, in the folder of the models.
pub const MODELS_FILE: &str = "models.json";

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
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_ships_is_one() {
        let entries = parse(include_str!("../../weights/models.json")).expect("a list of models");
        assert_eq!(entries[0].name, crate::web::settings::Settings::default().model);
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
            (twice, "\"a\" is in it twice"),
        ] {
            let problem = parse(text).expect_err("a refusal");
            assert!(problem.contains(why), "{problem}");
        }
    }
}
