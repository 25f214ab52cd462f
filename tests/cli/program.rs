//! The program as a script runs it, and folders for its files.

use crate::support::golden;
use noisette::checkpoint::{self, TensorFile};
use noisette::rng::Rng;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a command left behind.
pub struct Output {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program; arguments are separated by spaces.
pub fn noisette(arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_noisette")).args(arguments.split_whitespace()).output();
    let output = output.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "noisette {arguments}\n{stderr}");
    assert!(output.status.code().is_some(), "noisette {arguments} ended by a signal\n{stderr}");
    Output { success: output.status.success(), stdout, stderr }
}

/// Runs a command that has to succeed.
#[track_caller]
pub fn succeed(arguments: &str) -> Output {
    let output = noisette(arguments);
    assert!(output.success, "noisette {arguments}\n{}", output.stderr);
    output
}

/// Runs a command that has to fail, with one sentence in which all of `parts` occur.
#[track_caller]
pub fn fail(arguments: &str, parts: &[&str]) {
    let output = noisette(arguments);
    assert!(!output.success, "noisette {arguments} succeeded");
    let error = output.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>();
    // What a graphics driver has to say may come first.
    let error = error.iter().rev().find(|line| line.starts_with("error: ")).copied().unwrap_or_default();
    let text = format!("{error}\n{}", output.stderr);
    assert!(!error.is_empty(), "noisette {arguments} gives no error\n{text}");
    for part in parts {
        assert!(text.contains(part), "noisette {arguments}: {part:?} is not in\n{text}");
    }
}

/// A folder for a test's files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, file: &TensorFile) -> String {
        checkpoint::write_tensors(self.path(name), file).expect("it can be written");
        self.text(name)
    }

    pub fn read(&self, name: &str) -> TensorFile {
        checkpoint::read_tensors(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A data set in MNIST's format: `count` pictures of 8×8 for training, and half as many to test.
    pub fn data(&self, count: usize) -> String {
        self.data_of(count, 8)
    }

    /// [`Folder::data`] of pictures with sides of another length.
    pub fn data_of(&self, count: usize, side: usize) -> String {
        let mut rng = Rng::new(4);
        for (prefix, count) in [("train", count), ("t10k", count / 2)] {
            let mut images = [0x803, count as u32, side as u32, side as u32].map(u32::to_be_bytes).concat();
            images.extend((0..count * side * side).map(|_| rng.below(256) as u8));
            let mut labels = [0x801, count as u32].map(u32::to_be_bytes).concat();
            labels.extend((0..count).map(|i| (i % 10) as u8));
            fs::write(self.path(&format!("{prefix}-images-idx3-ubyte")), images).expect("it can be written");
            fs::write(self.path(&format!("{prefix}-labels-idx1-ubyte")), labels).expect("it can be written");
        }
        self.0.path().display().to_string()
    }
}

pub fn golden_dir(name: &str) -> String {
    golden::dir(name).display().to_string()
}

pub fn f32s<'a>(file: &'a TensorFile, name: &str, shape: &[usize]) -> &'a [f32] {
    let (found, values) = file.f32(name, shape.len()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found, shape, "{name}");
    values
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The names in a folder, in order.
pub fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("a plain name")).collect();
    names.sort();
    names
}
