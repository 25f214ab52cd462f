//! What can be wrong with a data set on disk: one sentence for each, with the file's name.

use super::halves::Half;
use super::left_out::LeftOut;
use std::io;

/// What is wrong with a data set's files.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The directory has none of the names the file may have.
    #[error("{directory} holds no {split} {what}: looked for {names}")]
    Missing {
        /// The directory.
        directory: String,
        /// "training" or "test".
        split: &'static str,
        /// "images" or "labels".
        what: &'static str,
        /// The names that would do.
        names: String,
    },
    /// The file cannot be read or its compression is damaged.
    #[error("{file} cannot be read: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{file} is no IDX file of {what}: expected magic number {expected:#010x}, found {found:#010x}")]
    Magic {
        /// The file.
        file: String,
        /// "images" or "labels".
        what: &'static str,
        /// The right magic number.
        expected: u32,
        /// The file's first four bytes.
        found: u32,
    },
    /// The header's extents are zero or absurd.
    #[error("{file} announces {found}, expected 1 to {max} bytes with no side beyond {max_side} pixels")]
    Extents {
        /// The file.
        file: String,
        /// The extents as N×H×W.
        found: String,
        /// The largest size accepted.
        max: u64,
        /// The largest height and width accepted.
        max_side: u32,
    },
    /// Fewer bytes than the header announces.
    #[error("{file} is truncated: expected {expected} bytes of {part}, found {found}")]
    Truncated {
        /// The file.
        file: String,
        /// "header" or "data".
        part: &'static str,
        /// Bytes announced.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// More bytes than the header announces.
    #[error("{file} goes on after the {expected} bytes of data its header announces")]
    Oversized {
        /// The file.
        file: String,
        /// Bytes announced.
        expected: u64,
    },
    /// A class the data set does not have.
    #[error("{file} has label {found} at index {index}, expected 0 to {}", .classes - 1)]
    Label {
        /// The file.
        file: String,
        /// Which label.
        index: usize,
        /// Its value.
        found: u8,
        /// Number of classes.
        classes: usize,
    },
    /// As many labels as images there must be.
    #[error("{images_file} has {} but {labels_file} has {}", counted(*.images, "image"), counted(*.labels, "label"))]
    Count {
        /// The file of images.
        images_file: String,
        /// Their number.
        images: usize,
        /// The file of labels.
        labels_file: String,
        /// Their number.
        labels: usize,
    },
    /// A picture that is none, or damaged.
    #[error("{file} does not decode: {reason}")]
    Picture {
        /// The file.
        file: String,
        /// What the decoder says.
        reason: String,
    },
    /// Something else that goes by the name of a picture.
    #[error("{file} is no file: expected a picture, or take it out")]
    NoFile {
        /// What it is called.
        file: String,
    },
    /// A folder without a single picture.
    #[error(
        "{directory} holds no {what}: expected MNIST's IDX files, or {KINDS} files, or sub-folders of them, one for each class; \
         found {}",
        found(.left_out)
    )]
    NoPictures {
        /// The folder.
        directory: String,
        /// "training images" or "test images".
        what: &'static str,
        /// What lies there.
        left_out: LeftOut,
    },
    /// Too few pictures for one of each `every` to be kept back.
    #[error(
        "{directory} holds no test images: of {every} pictures of a class one is kept back, and no class has so many"
    )]
    TooFew {
        /// The folder.
        directory: String,
        /// Of so many pictures one is a test picture.
        every: usize,
    },
    /// A class without pictures.
    #[error("the class folder {directory} is empty: expected {KINDS} files in it; found {}", found(.left_out))]
    EmptyClass {
        /// The folder.
        directory: String,
        /// What lies there.
        left_out: LeftOut,
    },
    /// A folder in a class folder.
    #[error("{directory} is a folder inside a class folder, expected pictures only{}", advice(.class, .instead.as_deref()))]
    Nested {
        /// The folder.
        directory: String,
        /// The name of the class.
        class: String,
        /// A folder that may have been meant instead of the one given.
        instead: Option<String>,
    },
    /// One half of a data set, as it seems.
    #[error(
        "{directory} has {found}/ but no {missing}/: expected both halves, or neither, when every 20th picture is a test picture"
    )]
    OneHalf {
        /// The folder.
        directory: String,
        /// The half that is there.
        found: String,
        /// The one that is not.
        missing: &'static str,
    },
    /// Two folders that may each be the same half of a data set.
    #[error("{directory} has both {}/, either of which may be the {half} half: take one of them out", .found.join("/ and "))]
    TwoOfAHalf {
        /// The folder.
        directory: String,
        /// "training" or "test".
        half: &'static str,
        /// What the two are called.
        found: [String; 2],
    },
    /// A folder beside the two halves of a data set.
    #[error("{directory} lies beside {}/, and would be passed over: move it into them, or take it out", .halves.join("/ and "))]
    Third {
        /// The folder.
        directory: String,
        /// What the two halves are called.
        halves: [String; 2],
    },
    /// Several data sets in IDX format, none of which is meant.
    #[error("{directory} holds several data sets in IDX format: expected one, found {}", .found.join(", "))]
    SeveralIdx {
        /// The folder.
        directory: String,
        /// Where they lie, or what their files' names begin with.
        found: Vec<String>,
    },
    /// A label whose name the model does not have.
    #[error("{file} has label {found} at index {index}, expected one of the model's classes, {}", expected(.classes))]
    UnknownLabel {
        /// The file.
        file: String,
        /// Which label.
        index: usize,
        /// Its value.
        found: u8,
        /// The classes there are.
        classes: Vec<String>,
    },
    /// The name of a class that is no text.
    #[error("the name of the class folder {directory} is no Unicode text: rename it")]
    ClassName {
        /// The folder, as far as it can be shown.
        directory: String,
    },
    /// Pictures that belong to no class beside folders that are classes.
    #[error("{file} lies beside the class folders: move it into one of them, or take it out")]
    Stray {
        /// The first such file.
        file: String,
    },
    /// A class that the training half, or the model, does not have.
    #[error("the class folder {directory} is unknown: expected {}", expected(.classes))]
    UnknownClass {
        /// The folder.
        directory: String,
        /// The classes there are.
        classes: Vec<String>,
    },
    /// Pictures without classes where classes are expected.
    #[error("{directory} has no class folders, expected some of {}", expected(.classes))]
    NoClasses {
        /// The folder.
        directory: String,
        /// The classes there are.
        classes: Vec<String>,
    },
    /// More classes than a label can tell apart.
    #[error("{directory} has {found} class folders, expected at most {max}")]
    TooManyClasses {
        /// The folder.
        directory: String,
        /// Their number.
        found: usize,
        /// What the model or the format of the labels allows.
        max: usize,
    },
    /// A class that goes by the name of another.
    #[error("{file} calls two classes {name:?}, expected a name for each")]
    SameName {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// A class of a model with more classes than a label can tell apart.
    #[error("{file} has pictures of the model's class {name}, whose label is {label}: data have labels up to 255")]
    LargeLabel {
        /// The file or folder.
        file: String,
        /// What the class is called.
        name: String,
        /// Its label.
        label: usize,
    },
    /// Names of classes that do not fit the labels.
    #[error("{file} has {found} names for {expected} classes, expected one a line")]
    Names {
        /// The file.
        file: String,
        /// Lines.
        found: usize,
        /// Classes.
        expected: usize,
    },
}

/// What somebody may have meant by a class of this name, or by another folder.
fn advice(class: &str, instead: Option<&str>) -> String {
    if let Some(instead) = instead {
        return format!(": give {instead} instead");
    }
    match Half::of(class) {
        Some(Half::Train) => format!(": as a half of a data set, {class}/ needs test/ beside it"),
        Some(Half::Test | Half::Validation) => format!(": as a half of a data set, {class}/ needs train/ beside it"),
        None => String::new(),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The files that are read.
const KINDS: &str = "PNG, JPEG, GIF, WebP or BMP";

fn found(left_out: &LeftOut) -> String {
    if left_out.is_empty() { "nothing".to_owned() } else { left_out.to_string() }
}

fn expected(classes: &[String]) -> String {
    let mut names = classes.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
    if classes.len() > 20 {
        names += ", …";
    }
    if names.is_empty() { "pictures without classes".to_owned() } else { names }
}
