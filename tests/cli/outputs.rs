//! Where results go: never over links, inputs or each other.

use super::program::{Folder, fail, golden_dir, noisette};
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

/// Where a result cannot go is found out before anything is computed, which may take hours.
#[test]
fn a_place_that_takes_no_file_is_refused_before_the_work() {
    let folder = Folder::new();
    let (data, grey) = (folder.data(10), golden_dir("grey"));
    let input = golden::dir("grey").join("gradients.safetensors").display().to_string();
    fs::write(folder.path("file"), "").expect("a file");
    fs::create_dir(folder.path("there")).expect("a folder");
    let name = "x".repeat(300);
    for (place, part) in [
        ("file/x", "file"),
        ("there", "is a folder"),
        ("new/", "new/ is the name of a folder, expected that of a file"),
        ("there/..", "there/.. is the name of a folder, expected that of a file"),
        (name.as_str(), "cannot create"),
    ] {
        let place = folder.text(place);
        for command in [
            format!("sample --weights {grey} --count 1 --steps 2 --trace {place}"),
            format!("sample --weights {grey} --count 1 --steps 2 --raw {place}"),
            format!("sample --weights {grey} --count 1 --steps 2 --out {place}"),
            format!("predict --weights {grey} --input {input} --out {place}"),
            format!("gradients --weights {grey} --input {input} --out {place}"),
            format!("evaluate --weights {grey} --data {data} --out {place}"),
        ] {
            let output = noisette(&format!("{command} --engine cpu"));
            let error = output.stderr;
            assert!(!output.success && error.contains(part) && !error.contains("engine:"), "{command}\n{error}");
        }
    }
    let config = golden::dir("grey").join("config.json").display().to_string();
    let train = format!("train --data {data} --config {config} --steps 1 --engine cpu --out");
    for (place, part) in [("file", "is a file, expected a folder"), ("file/x", "cannot create")] {
        let output = noisette(&format!("{train} {}", folder.text(place)));
        let error = output.stderr;
        assert!(!output.success && error.contains(part) && !error.contains("engine:"), "{place}\n{error}");
    }
    fail(
        &format!("export --weights {grey} --dtype f16 --out {}", folder.text("file")),
        &["is a file, expected a folder for the model"],
    );
    assert!(!folder.path("new").exists());
    // One file by two names is one place.
    let two = [folder.text("there/two"), folder.text("there/../there/two")];
    fail(&format!("sample --weights {grey} --count 1 --raw {} --out {}", two[0], two[1]), &["two results would go to"]);
}

/// Whoever measures a run does not write over what it needs to go on.
#[test]
fn the_files_of_a_run_are_not_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("run")).expect("a folder");
    for file in ["config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(golden::dir("grey").join(file), folder.path("run").join(file)).expect("a copy");
    }
    let evaluate = format!("evaluate --weights {} --data {} --engine cpu --out", folder.text("run"), folder.data(10));
    for file in ["run/recipe.toml", "run/metrics.jsonl"] {
        fs::write(folder.path(file), "precious").expect("it can be written");
        fail(&format!("{evaluate} {}", folder.text(file)), &["is what this works from: write the result elsewhere"]);
    }
}
