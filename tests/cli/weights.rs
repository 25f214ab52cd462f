//! `--weights` and `--from`: what every command says about a model that is not all there, or not where it was named.

use super::program::{Folder, fail, golden_dir, json, noisette, succeed};
use crate::support::golden;
use noisette::checkpoint::{SchedulerConfig, WEIGHTS_FILE};
use noisette::diffusion::{BetaSchedule, Prediction};
use std::fs;

/// A pipeline of the grey net with a schedule that is not the default, and data for it.
fn pipeline(folder: &Folder) {
    for dir in ["pipe/unet", "pipe/scheduler"] {
        fs::create_dir_all(folder.path(dir)).expect("a folder");
    }
    for file in ["config.json", WEIGHTS_FILE] {
        fs::copy(golden::dir("grey").join(file), folder.path("pipe/unet").join(file)).expect("a copy");
    }
    let cosine = SchedulerConfig {
        beta_schedule: BetaSchedule::SquaredcosCapV2,
        prediction_type: Prediction::VPrediction,
        ..SchedulerConfig::default()
    };
    fs::write(folder.path("pipe/scheduler/scheduler_config.json"), cosine.to_json()).expect("it can be written");
}

#[test]
fn every_command_takes_the_schedule_beside_a_unet_or_warns() {
    let folder = Folder::new();
    pipeline(&folder);
    let (data, unet) = (folder.data(20), folder.text("pipe/unet"));
    let [input, step] = ["predict.safetensors", "gradients.safetensors"].map(|file| golden::dir("grey").join(file));
    let (input, step) = (input.display(), step.display());
    let out = |name: &str| folder.text(name);
    let commands = |weights: &str, turn: &str| {
        let at = |name: &str| out(&format!("{turn}-{name}"));
        [
            format!("evaluate --weights {weights} --data {data} --bound-images 0 --out {} --engine cpu", at("e.json")),
            format!("predict --weights {weights} --input {input} --out {} --engine cpu", at("p.safetensors")),
            format!("gradients --weights {weights} --input {step} --out {} --engine cpu", at("g.safetensors")),
            format!("sample --weights {weights} --count 1 --steps 2 --raw {} --engine cpu", at("s.safetensors")),
            format!("export --weights {weights} --out {} --dtype f32", at("export")),
            format!("train --from {weights} --data {data} --out {} --steps 1 --batch 2 --engine cpu", at("run")),
        ]
    };
    let said = |weights: &str, turn: &str| commands(weights, turn).map(|command| succeed(&command).stderr);
    let whole = said(&out("pipe"), "whole");
    assert!(whole.iter().all(|text| !text.contains("schedule") && !text.contains("warning")), "{whole:?}");
    for text in said(&unet, "part") {
        assert!(
            text.contains("the noise schedule is ") && text.contains("pipe/scheduler/scheduler_config.json"),
            "{text}"
        );
    }
    let file = |name: &str| fs::read(folder.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let results =
        ["e.json", "g.safetensors", "s.safetensors", "export/scheduler_config.json", "run/scheduler_config.json"];
    for name in results {
        assert_eq!(file(&format!("whole-{name}")), file(&format!("part-{name}")), "{name}");
    }
    fs::remove_dir_all(folder.path("pipe/scheduler")).expect("it was there");
    for text in said(&unet, "lone") {
        let warnings = text.lines().filter(|line| line.starts_with("warning: ") && line.contains("assumed")).count();
        assert!(warnings == 1 && text.contains("linear noise"), "{text}");
    }
    for name in results {
        assert_ne!(file(&format!("whole-{name}")), file(&format!("lone-{name}")), "{name}");
    }
}

#[test]
fn the_files_of_a_pipeline_are_not_replaced() {
    let folder = Folder::new();
    pipeline(&folder);
    let (pipe, unet, input) =
        (folder.text("pipe"), folder.text("pipe/unet"), golden::dir("grey").join("predict.safetensors"));
    let predict = format!("predict --weights {pipe} --input {} --engine cpu --out", input.display());
    fail(&format!("{predict} {unet}/{WEIGHTS_FILE}"), &["is what this works from"]);
    fail(&format!("export --weights {pipe} --out {unet} --dtype f16 --replace"), &["is what this works from"]);
    let (data, place) = (folder.data(20), folder.text("pipe/scheduler/scheduler_config.json"));
    fail(&format!("evaluate --weights {unet} --data {data} --out {place}"), &["is what this works from"]);
    succeed(&format!("{predict} {unet}/eps.safetensors"));
    succeed(&format!("{predict} {unet}/eps.safetensors"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let folder = Folder::new();
    fs::create_dir(folder.path("mixed")).expect("a folder");
    for (net, file) in [("rgb", "config.json"), ("grey", WEIGHTS_FILE), ("grey", "scheduler_config.json")] {
        fs::copy(golden::dir(net).join(file), folder.path("mixed").join(file)).expect("a copy");
    }
    let (mixed, data, input) = (folder.text("mixed"), folder.data(20), golden::dir("rgb").join("predict.safetensors"));
    let out = folder.text("out");
    for command in [
        format!("predict --weights {mixed} --input {} --out {out}", input.display()),
        format!("sample --weights {mixed} --out {out}"),
        format!("export --weights {mixed} --out {out} --dtype f16"),
        format!("train --from {mixed} --data {data} --out {out}"),
    ] {
        fail(&command, &[&format!("{mixed}/{WEIGHTS_FILE}: the weights do not fit the config"), "missing"]);
    }
    assert!(!folder.path("out").exists());
}

#[test]
fn dropout_is_nothing_to_samples_and_said_to_who_trains() {
    let folder = Folder::new();
    let (grey, data) = (golden_dir("grey"), folder.data(20));
    fs::create_dir(folder.path("model")).expect("a folder");
    for file in [WEIGHTS_FILE, "scheduler_config.json"] {
        fs::copy(golden::dir("grey").join(file), folder.path("model").join(file)).expect("a copy");
    }
    let config = fs::read_to_string(golden::dir("grey").join("config.json")).expect("the config");
    let config = config.replace("\"dropout\": 0.0", "\"dropout\": 0.1");
    fs::write(folder.path("model/config.json"), format!("\u{feff}{config}")).expect("it can be written");
    let (model, of) = (folder.text("model"), |dir: &str| {
        json(&fs::read_to_string(folder.path(dir).join("config.json")).expect("a config"))["dropout"].clone()
    });
    let sample = |weights: &str, name: &str| {
        let raw = folder.text(name);
        let said = succeed(&format!("sample --weights {weights} --count 2 --steps 3 --engine cpu --raw {raw}")).stderr;
        assert!(!said.contains("dropout"), "{said}");
        folder.read(name)
    };
    assert_eq!(sample(&model, "a.safetensors"), sample(&grey, "b.safetensors"));
    succeed(&format!("export --weights {model} --out {} --dtype f32", folder.text("copy")));
    assert_eq!(of("copy"), 0.1, "a copy is as the model was");
    let train = format!("train --data {data} --batch 2 --engine cpu --out");
    for (run, start) in [("on", format!("--from {model}")), ("new", format!("--config {model}"))] {
        let said = succeed(&format!("{train} {} {start} --steps 1", folder.text(run))).stderr;
        assert!(said.contains("dropout 0.1") && said.contains("without it"), "{said}");
        assert_eq!(of(run), 0.0, "what was trained without says so");
    }
    // A byte order mark is no part of any JSON.
    let saved = fs::read_to_string(folder.path("on/training.json")).expect("the progress");
    fs::write(folder.path("on/training.json"), format!("\u{feff}{saved}")).expect("it can be written");
    succeed(&format!("{train} {} --resume --steps 2", folder.text("on")));
    let input = golden::dir("grey").join("gradients.safetensors");
    let gradients =
        format!("gradients --input {} --out {} --engine cpu", input.display(), folder.text("g.safetensors"));
    assert!(succeed(&format!("{gradients} --weights {model}")).stderr.contains("dropout 0.1"));
    assert!(!succeed(&format!("{gradients} --weights {grey}")).stderr.contains("dropout"));
    // A recipe cannot ask for what there is not.
    let asked = noisette(&format!("{train} {} --set net.dropout=0.1", folder.text("asked")));
    assert!(!asked.success && asked.stderr.contains("`dropout` is not a known setting"), "{}", asked.stderr);
}

#[test]
fn a_file_that_is_named_is_the_file_that_is_read() {
    let folder = Folder::new();
    fs::create_dir(folder.path("model")).expect("a folder");
    for file in ["config.json", "scheduler_config.json", WEIGHTS_FILE] {
        fs::copy(golden::dir("grey").join(file), folder.path("model").join(file)).expect("a copy");
    }
    fs::copy(golden::dir("grey").join(WEIGHTS_FILE), folder.path("model/weights.old")).expect("a copy");
    for file in ["grid.png", "recipe.toml"] {
        fs::write(folder.path("model").join(file), "none of a model's files").expect("it can be written");
    }
    let model = folder.text("model");
    let raw = folder.text("raw.safetensors");
    let sample = |file: &str| format!("sample --weights {model}/{file} --count 1 --steps 1 --engine cpu --raw {raw}");
    for file in ["grid.png", "recipe.toml"] {
        fail(&sample(file), &[&format!("{model}/{file}: not a usable safetensors file")]);
    }
    for file in ["config.json", "weights.old", WEIGHTS_FILE, ""] {
        succeed(&sample(file));
    }
    let train = format!("train --data {} --out {}", folder.data(10), folder.text("run"));
    fail(&format!("{train} --config {model}/recipe.toml"), &[&format!("{model}/recipe.toml: config.json is not")]);
}
