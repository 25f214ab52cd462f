//! A training run: its folder, its loop and what is logged on the way, for every command that trains.

mod drive;
mod given;
mod learner;
mod lock;
mod metrics;
pub mod place;
mod plot;
pub mod recipe_file;
mod run_folder;
mod samples;

pub use drive::{End, drive};
pub use given::Given;
pub use learner::Learner;
pub use lock::Lock;
pub use run_folder::RunFolder;

use super::{Failure, counted};
use crate::data::Dataset;
use crate::engine::{Choice, Engine};
use crate::train::Progress;
use std::path::Path;
use std::process::ExitCode;

/// What shells expect of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The status that a command ends with; of one that was interrupted with a word on how to go on.
pub fn status(end: End, command: &str, data: &Path, out: &Path, choice: Choice, engine: &Engine) -> ExitCode {
    match end {
        End::Done => ExitCode::SUCCESS,
        End::Interrupted => {
            let [data, out] = [data, out].map(|path| quoted(&path.display().to_string()));
            let engine = if choice == Choice::Auto { "" } else { &format!(" --engine {}", engine.describe().engine) };
            say!("interrupted; to go on: noisette {command} --data {data} --out {out}{engine} --resume");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=\\".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The data of a run stay what they were.
pub fn check_data(progress: &mut Progress, data: &Dataset, dir: &Path) -> Result<(), Failure> {
    let found = data.fingerprint();
    if let Some(expected) = progress.data.as_ref().filter(|expected| **expected != found) {
        let dir = dir.display();
        return Err(format!("{dir} is not what the run was trained on: expected {expected}, found {found}").into());
    }
    progress.data = Some(found);
    Ok(())
}

/// A number of steps in words.
pub fn steps(count: u64) -> String {
    counted(count, "step")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, expected) in
            [("runs/a-1", "runs/a-1"), ("été", "été"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
