//! What a command says of a recipe, and which of it stands in a file.

use super::super::{Failure, in_file};
use super::recipe_file;
use crate::train::Recipe;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The settings that a command names: those of a recipe's file, and over them those of its own.
pub struct Given {
    /// The file, if there is one.
    file: Option<(PathBuf, Map<String, Value>)>,
    /// All.
    pub settings: Map<String, Value>,
}

impl Given {
    /// The settings of a file, for now.
    pub fn of(path: Option<&Path>) -> Result<Self, Failure> {
        let file = path.map(|path| Ok::<_, Failure>((path.to_owned(), recipe_file::read(path)?))).transpose()?;
        let settings = file.as_ref().map(|(_, settings)| settings.clone()).unwrap_or_default();
        Ok(Self { file, settings })
    }

    /// A recipe with these settings. If the file's alone would not do, the error names it.
    pub fn over(&self, base: &Recipe) -> Result<Recipe, Failure> {
        base.with(&self.settings).map_err(|error| match &self.file {
            Some((path, settings)) if base.with(settings).is_err() => in_file(path, error.into()),
            _ => error.into(),
        })
    }

    /// A setting of the network.
    pub fn net(&self, key: &str) -> Option<&Value> {
        self.settings.get("net")?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::UnetConfig;
    use std::fs;

    #[test]
    fn an_error_names_the_file_that_it_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        let base = Recipe::new(UnetConfig::digits());
        let of = |text: &str, assignment: &str| {
            fs::write(&path, text).unwrap();
            let mut given = Given::of(Some(&path)).unwrap();
            let assigned = recipe_file::assignments(&[assignment.to_owned()]).unwrap();
            recipe_file::set(&mut given.settings, assigned).unwrap();
            given.over(&base).map_err(|error| error.to_string())
        };
        let error = of("lr = -1", "batch=x").unwrap_err();
        assert!(error.contains("mine.toml: ") && error.contains("`lr` is -1") && error.contains("`batch`"), "{error}");
        assert!(!of("lr = 1e-3", "batch=x").unwrap_err().contains("mine.toml"), "the file is well");
        assert_eq!(of("lr = -1", "lr=2e-3").unwrap().options.lr, 2e-3, "what is replaced does no harm");
    }
}
