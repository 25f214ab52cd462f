//! Where results go: never over links, inputs or each other.

use super::program::{Folder, fail, golden_dir};
use crate::support::golden;
use std::fs;

/// What is written replaces files, but neither links nor devices.
#[cfg(unix)]
#[test]
fn results_do_not_replace_links() {
    let folder = Folder::new();
    fs::write(folder.path("target"), "precious").expect("a file");
    std::os::unix::fs::symlink(folder.path("target"), folder.path("link")).expect("a link");
    let link = folder.text("link");
    fail(
        &format!(
            "sample --weights {} --count 1 --sampler ddim --steps 2 --engine cpu --out {link}",
            golden_dir("grey")
        ),
        &["link", "a device, a pipe or a link"],
    );
    assert_eq!(fs::read_to_string(folder.path("link")).expect("the link's target"), "precious");
    // Nor do they replace what they are made from, or each other.
    let input = folder.text("in.safetensors");
    let golden = golden::dir("grey").join("predict.safetensors");
    fs::copy(&golden, folder.path("in.safetensors")).expect("a copy");
    let grey = golden_dir("grey");
    fail(
        &format!("predict --weights {grey} --input {input} --out {input}"),
        &["in.safetensors is what this works from"],
    );
    assert!(fs::read(&golden).expect("the golden") == fs::read(&input).expect("the copy"));
    fail(
        &format!("sample --weights {grey} --count 1 --raw {grey}/config.json"),
        &["config.json is what this works from"],
    );
    let two = folder.text("two");
    fail(&format!("sample --weights {grey} --count 1 --raw {two} --out {two}"), &["two results would go to"]);
}
