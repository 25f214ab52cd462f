//! The names that the two halves of a data set go by.

/// The part of a data set that a folder of this name holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What a model learns from.
    Train,
    /// What it is judged on.
    Test,
    /// What it is judged on, too, unless there is a folder for tests.
    Validation,
}

impl Half {
    /// The half that a folder's name says, in whatever capitals, and with or without `set` behind it.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        match name.strip_suffix("set").map_or(name.as_str(), |word| word.trim_end_matches(['_', '-', ' '])) {
            "train" | "training" => Some(Self::Train),
            "test" | "testing" => Some(Self::Test),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            _ => None,
        }
    }
}
