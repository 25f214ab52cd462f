//! The examples run, and the code that the README and the documentation show is theirs.
#![cfg(not(target_arch = "wasm32"))]

use noisette::checkpoint::read_dir;
use pollster::block_on;
use std::fs;
use std::path::Path;

#[allow(dead_code, reason = "each has a main")]
#[path = "../examples"]
mod examples {
    pub mod custom_op;
    pub mod from_diffusers;
    pub mod sample;
    pub mod train;
}

/// A model of 8×8 pixels that diffusers wrote.
const GREY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/grey");

#[test]
fn sample() {
    let pictures = block_on(examples::sample::sample(GREY)).expect("two pictures");
    assert_eq!(pictures.len(), 2 * 8 * 8);
    assert!(pictures.iter().all(|x| x.is_finite()));
}

#[test]
fn train() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().to_str().expect("a plain name");
    let losses = block_on(examples::train::train(folder, 50)).expect("a run");
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..10]), mean(&losses[40..]));
    assert!(last < 0.8 * first, "from {first} to {last}");
    assert_eq!(read_dir(folder).expect("a model").config.class_names, ["row", "column"]);
}

#[test]
fn custom_op() {
    let (loss, gradient) = block_on(examples::custom_op::run(&[1.0, -2.0, 3.0])).expect("a gradient");
    // L = (1⁴ + 2⁴ + 3⁴)/3 and ∂L/∂x = 4x³/3.
    let expected = [4.0, -32.0, 108.0].map(|x| x / 3.0);
    assert!((loss - 98.0 / 3.0).abs() <= 1e-5, "{loss}");
    assert!(gradient.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= 1e-5), "{gradient:?}");
    assert_eq!(gradient.len(), 3);
}

#[test]
fn from_diffusers() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = block_on(examples::from_diffusers::convert(GREY, dir.path().to_str().expect("a plain name")));
    assert!(error.expect("a copy").is_finite());
    let [original, copy] = [Path::new(GREY), dir.path()].map(|dir| read_dir(dir).expect("a model"));
    assert_eq!((&copy.config, &copy.scheduler), (&original.config, &original.scheduler));
    assert!(copy.tensors.keys().eq(original.tensors.keys()));
}

/// The paragraphs of a text's blocks of Rust: lines without comments and indentation. `language` is what opens a block.
fn shown(text: &str, language: &str) -> Vec<Vec<String>> {
    let mut paragraphs = vec![Vec::new()];
    let mut in_block = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), in_block) {
            (Some(opened), None) => in_block = Some(opened == language),
            (Some(_), Some(_)) => (in_block, paragraphs) = (None, [paragraphs, vec![Vec::new()]].concat()),
            (None, Some(true)) if line.is_empty() => paragraphs.push(Vec::new()),
            (None, Some(true)) => paragraphs.last_mut().expect("one").extend(code(line)),
            _ => {}
        }
    }
    paragraphs.retain(|lines| !lines.is_empty());
    paragraphs
}

fn code(line: &str) -> Option<String> {
    let line = line.trim();
    (!line.is_empty() && !line.starts_with("//")).then(|| line.to_owned())
}

#[test]
fn code_that_is_shown_is_that_of_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let files = fs::read_dir(root.join("examples")).expect("examples").map(|entry| entry.expect("a file").path());
    let examples: Vec<Vec<String>> = files.map(|path| read(&path).lines().filter_map(code).collect()).collect();
    assert_eq!(examples.len(), 4, "every example is run here");
    let library = read(&root.join("src/lib.rs"));
    let documentation = library.lines().filter_map(|line| line.strip_prefix("//!"));
    let documentation = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    for (place, paragraphs) in
        [("README.md", shown(&read(&root.join("README.md")), "rust")), ("src/lib.rs", shown(&documentation, ""))]
    {
        assert!(paragraphs.len() >= 3, "{place} shows {} paragraphs", paragraphs.len());
        for lines in paragraphs {
            let is_there = examples.iter().any(|example| example.windows(lines.len()).any(|window| window == lines));
            assert!(is_there, "{place} shows what no example has:\n{}", lines.join("\n"));
        }
    }
}
