//! `train`: from a data set to a model, and what it refuses.

use super::program::{Folder, fail, golden_dir, json, succeed};
use crate::support::golden;
use noisette::checkpoint;
use std::fs;

#[test]
fn training_refuses_what_cannot_be_and_keeps_what_is_there() {
    let folder = Folder::new();
    let data = folder.data(40);
    let config = golden::dir("grey").join("config.json").display().to_string();
    let out = folder.text("run");
    let train = format!("train --data {data} --out {out} --engine cpu");
    fail(&format!("{train} --resume"), &["there is no run to resume", "run"]);
    fail(&format!("{train} --config {config} --steps 0"), &["--steps"]);
    fail(&format!("{train} --config {config} --steps -4"), &["--steps", "-4"]);
    fail(&format!("{train} --config {config} --batch 0"), &["--batch"]);
    fail(&format!("{train} --config {config} --lr 0"), &["`lr` is 0", "1e-10"]);
    fail(&format!("{train} --config {config} --lr 1e-40"), &["`lr` is 1e-40"]);
    fail(&format!("{train} --config {config} --set lrr=1 --set batch=x"), &["`lrr` (here 1)", "`batch` is \"x\""]);
    fs::write(folder.path("bad.toml"), "steps = 3\nlr = = 2\n").expect("it can be written");
    fail(&format!("{train} --recipe {}", folder.text("bad.toml")), &["bad.toml", "line 2"]);
    fail(&format!("{train} --config {config} --lr nan"), &["--lr is NaN"]);
    for (given, parts) in [
        ("--lr 1e-3 --set lr=2e-3", ["--lr is 0.001, but --set lr is 0.002", "expected one of them"]),
        ("--steps 3 --set steps=4", ["--steps is 3", "--set steps is 4"]),
        ("--batch 3 --set batch=4", ["--batch is 3", "--set batch is 4"]),
        ("--seed 3 --set seed=4", ["--seed is 3", "--set seed is 4"]),
        ("--set loss=l1 --set loss=l2", ["--set loss is given as \"l1\" and as \"l2\"", "expected one of them"]),
    ] {
        fail(&format!("{train} --config {config} {given}"), &parts);
    }
    fail(&format!("{train} --size 12 --set net.sample_size=8"), &["--size is 12", "--set net.sample_size is 8"]);
    fail(&format!("{train} --config {config} --from {out}"), &["--from", "--config"]);
    fail(&format!("{train} --config {data}"), &["has no config.json", "t10k-images-idx3-ubyte"]);
    fail(&format!("{train} --config {data}/none.json"), &["cannot read", "none.json"]);
    fail(&format!("{train} --size 12 --steps 1"), &["8×8×1", "12×12×1"]);
    let rgb = golden::dir("rgb").join("config.json").display().to_string();
    fail(&format!("{train} --config {rgb} --steps 1"), &["8×8×1", "8×8×3"]);
    fs::write(folder.path("odd.json"), r#"{"sample_size": 8, "act_fn": "gelu"}"#).expect("it can be written");
    fail(&format!("{train} --config {} --steps 1", folder.text("odd.json")), &["act_fn", "gelu", "silu"]);
    fail(&format!("train --data {out} --out {out} --config {config}"), &["run does not exist", "folder with data"]);
    let pictures = folder.text("pictures");
    fs::create_dir_all(folder.path("pictures").join("cat")).expect("a folder");
    fail(&format!("train --data {pictures} --out {pictures}/run --steps 1"), &["pictures/run is inside", "outside"]);
    assert!(!folder.path("run").exists(), "nothing is written on failure");

    succeed(&format!("{train} --config {config} --steps 2 --batch 2 --set batch=2 --lr 1e-3 --set lr=0.001"));
    let before = fs::read(folder.path("run").join("training_state.safetensors")).expect("the state");
    fail(&format!("{train} --config {config} --steps 3"), &["--resume", "another --out"]);
    fail(&format!("{train} --resume"), &["the run has its 2 steps already: give a larger --steps to go on\n"]);
    fail(&format!("{train} --resume --steps 2 --set steps=2"), &["the run has its 2 steps already"]);
    fail(
        &format!("{train} --resume --steps 1"),
        &["has taken 2 steps already, more than the 1 that it is to have: give a larger --steps to go on\n"],
    );
    fail(
        &format!("{train} --resume --steps 4 --batch 3 --seed 9"),
        &["keeps its recipe", "`batch` is 2 in the run and 3 here", "`seed` is 0"],
    );
    fail(&format!("{train} --resume --steps 4 --config {rgb}"), &["`in_channels` is 1 in the run and 3 here"]);
    fail(&format!("{train} --resume --steps 4 --back-to 1"), &["no checkpoint of step 1 in ", "run: none was kept"]);
    fail(&format!("{train} --steps 4 --back-to 1"), &["--resume"]);
    let other = Folder::new();
    fail(
        &format!("train --data {} --out {out} --engine cpu --resume --steps 4", other.data(42)),
        &["is not what the run was trained on", "40 images of 8×8×1", "42 images of 8×8×1"],
    );
    assert!(before == fs::read(folder.path("run").join("training_state.safetensors")).expect("the state"));
    // The recipe's file decides nothing about steps already taken, nor does a new model replace a run.
    let recipe = folder.path("run").join("recipe.toml");
    let text = fs::read_to_string(&recipe).expect("the recipe");
    fs::write(&recipe, text.replace("lr = ", "lr = 1")).expect("it can be written");
    fail(&format!("{train} --resume --steps 4"), &["recipe.toml was changed", "`lr` is 0.001 in the run"]);
    fs::write(&recipe, "").expect("it can be written");
    fail(&format!("{train} --resume --steps 4"), &["recipe.toml was changed"]);
    fs::write(&recipe, text).expect("it can be written");
    let grey = golden_dir("grey");
    fail(&format!("export --weights {grey} --out {out} --dtype f16"), &["folder of a training run"]);
    fail(&format!("export --weights {out} --out {out} --dtype f16"), &["is what this works from"]);
    // A model without a run is somebody's work, too.
    fs::create_dir(folder.path("model")).expect("a folder");
    fs::write(folder.path("model").join("diffusion_pytorch_model.safetensors"), "precious").expect("a file");
    let model = format!("train --data {data} --out {} --engine cpu --config {config} --steps 1", folder.text("model"));
    fail(&model, &["diffusion_pytorch_model.safetensors already", "another --out"]);
    // A killed run had gone on after its last checkpoint; resumed, it does not log those steps twice.
    let metrics = folder.path("run").join("metrics.jsonl");
    let ahead = fs::read_to_string(&metrics).expect("metrics") + "{\"step\":3}\n{\"st";
    fs::write(&metrics, ahead).expect("it can be written");
    succeed(&format!("{train} --resume --steps 10"));
    let steps: Vec<u64> = fs::read_to_string(&metrics)
        .expect("metrics")
        .lines()
        .map(|line| json(line)["step"].as_u64().expect("a step"))
        .collect();
    assert_eq!(steps, [1, 2, 10]);
    // How samples are drawn is no part of the steps taken.
    succeed(&format!("{train} --resume --steps 11 --set clip_sample=false"));
    let scheduler = fs::read_to_string(folder.path("run").join("scheduler_config.json")).expect("the scheduler");
    assert_eq!(json(&scheduler)["clip_sample"], false);
    succeed(&format!("{train} --resume --steps 12"));
    let scheduler = fs::read_to_string(folder.path("run").join("scheduler_config.json")).expect("the scheduler");
    assert_eq!(json(&scheduler)["clip_sample"], false, "what was chosen stays");
    let again = folder.text("again");
    succeed(&format!("train --data {data} --from {out} --out {again} --engine cpu --steps 1 --set clip_sample=true"));
    let scheduler = fs::read_to_string(folder.path("again").join("scheduler_config.json")).expect("the scheduler");
    assert_eq!(json(&scheduler)["clip_sample"], true);
    let before = fs::read(folder.path("run").join("training_state.safetensors")).expect("the state");
    // A rate that no training survives ends it with a sentence; the run's files stay as they were.
    let hot = folder.text("hot");
    fail(
        &format!("train --data {data} --out {hot} --engine cpu --config {config} --steps 200 --lr 1e30"),
        &["at step", "at timestep", "lower the learning rate", "--from", "hot"],
    );
    fs::write(folder.path("run").join("training_state.safetensors"), &before[..before.len() / 2]).expect("cut");
    fail(&format!("{train} --resume --steps 14"), &["training_state.safetensors", "truncated"]);
}

/// Tiny: two blocks of eight channels.
const SMALL: &str = "--set net.block_out_channels=[8,8] --set net.down_block_types=[\"DownBlock2D\",\"DownBlock2D\"] \
                     --set net.up_block_types=[\"UpBlock2D\",\"UpBlock2D\"]";

/// From a folder of pictures to a model that knows the classes by name; and a run from before there were recipes goes on.
#[test]
fn a_folder_of_pictures_trains_a_model_with_its_classes() {
    let folder = Folder::new();
    for (class, grey) in [("dark", 30u8), ("light", 220)] {
        fs::create_dir_all(folder.path("pictures").join(class)).expect("a folder");
        for i in 0..21 {
            let picture = image::RgbImage::from_pixel(9, 8, image::Rgb([grey, grey + i, grey]));
            picture.save(folder.path("pictures").join(class).join(format!("{i:02}.png"))).expect("a PNG");
        }
    }
    let (data, out) = (folder.text("pictures"), folder.text("run"));
    let train = format!("train --data {data} --out {out} --engine cpu --batch 2");
    let output = succeed(&format!("{train} --size 8 --steps 2 {SMALL}"));
    assert!(output.stderr.contains("40 images of 8×8×3"), "{}", output.stderr);
    let said = format!("data: 40 training pictures in 2 classes from {data}, all but every 20th of a class: 40 PNG\n");
    assert!(output.stderr.contains(&said), "{}", output.stderr);
    let config = checkpoint::read_dir(&out).expect("a model").config;
    assert_eq!((config.class_names, config.null_class), (vec!["dark".to_owned(), "light".to_owned()], Some(2)));
    fs::write(folder.path("pictures/light/x.tif"), b"II*\0").expect("it can be written");
    let evaluated = succeed(&format!("evaluate --weights {out} --data {data} --engine cpu --images 2")).stderr;
    let said = format!("data: 2 test pictures in 2 classes from {data}, every 20th of a class: 2 PNG\n");
    assert!(evaluated.contains(&said), "{evaluated}");
    assert!(evaluated.contains("data: left out: 1 .tif file (TIFF cannot be read)\n"), "{evaluated}");

    // As a run was saved before there were recipes, and before data was told apart.
    fs::remove_file(folder.path("run").join("recipe.toml")).expect("a recipe");
    let old = r#"{"options": {"batch": 2, "steps": 2, "lr": 0.001, "warmup": 100, "cosine_decay": true, "beta1": 0.9,
        "beta2": 0.999, "adam_eps": 1e-8, "weight_decay": 0.0, "max_grad_norm": 1.0, "ema_decay": 0.999,
        "label_dropout": 0.1, "seed": 0}, "step": 2, "seconds": 1.5, "engine": "cpu"}"#;
    fs::write(folder.path("run").join("training.json"), old).expect("it can be written");
    succeed(&format!("{train} --resume --steps 3"));
    let recipe = fs::read_to_string(folder.path("run").join("recipe.toml")).expect("a recipe");
    assert!(recipe.contains("\nsteps = 3\n") && recipe.contains("\nbatch = 2\n"), "{recipe}");

    // A recipe that says something else than the run's own configs is noticed.
    fs::write(folder.path("run").join("recipe.toml"), recipe.replace("epsilon\"", "v_prediction\"")).expect("it");
    fail(&format!("{train} --resume --steps 4"), &["recipe.toml", "`prediction` is \"epsilon\" in the run"]);
    fs::write(folder.path("pictures").join("dark").join("07.png"), "no picture").expect("it can be written");
    fail(&format!("train --data {data} --out {out}2 --engine cpu"), &["07.png does not decode"]);
    assert!(!folder.path("run2").exists(), "nothing is written on failure");
}

#[test]
fn a_new_network_has_the_pictures_size_if_it_can() {
    let folder = Folder::new();
    for i in 0..3 {
        let picture = image::GrayImage::from_pixel(14, 14, image::Luma([i]));
        fs::create_dir_all(folder.path("pictures")).expect("a folder");
        picture.save(folder.path("pictures").join(format!("{i}.png"))).expect("a PNG");
    }
    let size = |data: &str, name: &str, arguments: &str| {
        let out = folder.text(name);
        succeed(&format!("train --data {data} --out {out} --engine cpu --batch 1 --steps 1 {arguments}"));
        checkpoint::read_dir(&out).expect("a model").config.sample_size
    };
    let pictures = folder.text("pictures");
    assert_eq!(size(&pictures, "a", SMALL), [14, 14]);
    assert_eq!(size(&pictures, "b", ""), [32, 32], "three blocks cannot halve 14 twice");
    // Pictures in IDX format are never resized.
    let data = folder.data_of(20, 14);
    assert_eq!(size(&data, "c", SMALL), [14, 14]);
    let train = format!("train --data {data} --out {} --engine cpu --steps 1", folder.text("d"));
    fail(&train, &["14×14 images", "3 blocks takes multiples of 4", "net.block_out_channels"]);
    let large = Folder::new();
    let train = format!("train --data {} --out {} --engine cpu --steps 1", large.data_of(2, 260), folder.text("d"));
    fail(&train, &["`sample_size` is 260", "256"]);
    assert!(!folder.path("d").exists());
}

/// Guidance needs a null class, which nothing is learned about unless labels are dropped.
#[test]
fn without_dropped_labels_there_is_no_guidance() {
    let folder = Folder::new();
    let (data, out) = (folder.data(20), folder.text("run"));
    let train = format!("train --data {data} --engine cpu --batch 1 --steps 1 --set label_dropout=0");
    let output = succeed(&format!("{train} --out {out} {SMALL}"));
    assert!(output.stderr.contains("label_dropout is 0") && output.stderr.contains("guidance"), "{}", output.stderr);
    let config = checkpoint::read_dir(&out).expect("a model").config;
    assert_eq!((config.null_class, config.num_class_embeds, config.class_names.len()), (None, Some(10), 10));
    let sample = format!("sample --weights {out} --engine cpu --steps 2 --count 1 --raw {out}.safetensors");
    fail(&format!("{sample} --guidance 2"), &["--guidance must be 1", "no null class"]);
    succeed(&format!("{sample} --class 9"));
    succeed(&format!("{train} --out {out}2 --recipe {out}/recipe.toml"));
    let config = golden::dir("grey").join("config.json").display().to_string();
    let asked = ["`label_dropout` is 0", "`_null_class`, here 10", "net._null_class=none"];
    fail(&format!("{train} --out {out}3 --config {config}"), &asked);
    succeed(&format!(
        "{train} --out {out}3 --config {config} --set net._null_class=none --set net.num_class_embeds=10"
    ));
    // A model that has learned what none means keeps it.
    let output = succeed(&format!("{train} --out {out}4 --from {}", golden_dir("grey")));
    assert!(output.stderr.contains("guidance may suffer"), "{}", output.stderr);
    assert_eq!(checkpoint::read_dir(folder.path("run4")).expect("a model").config.null_class, Some(10));
}

/// Files in IDX format hold no names: a model that goes on with others must not keep those of its old classes.
#[test]
fn names_of_classes_belong_to_the_data() {
    let (folder, digits, clothes) = (Folder::new(), Folder::new(), Folder::new());
    let (digits_data, clothes_data) = (digits.data(20), clothes.data(30));
    let train = |data: &str, name: &str, arguments: &str| -> (Vec<String>, String) {
        let out = folder.text(name);
        let train = format!("train --data {data} --out {out} --engine cpu --batch 1 --steps 1 {arguments}");
        let said = succeed(&train).stderr;
        (checkpoint::read_dir(&out).expect("a model").config.class_names, said)
    };
    let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"].map(str::to_owned);
    let numbers: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let named = format!("--set net._class_names={}", serde_json::to_string(&words).expect("a list").replace(' ', ""));
    assert_eq!(train(&digits_data, "digits", &format!("{SMALL} {named}")).0, words);
    let from = format!("--from {}", folder.text("digits"));
    assert_eq!(train(&digits_data, "same", &from).0, words, "the very same data");
    let (names, said) = train(&clothes_data, "other", &from);
    assert_eq!(names, numbers);
    assert!(said.contains("class-names.txt") && said.contains("net._class_names"), "{said}");
    let recipe = fs::read_to_string(folder.path("other").join("recipe.toml")).expect("the recipe");
    assert!(recipe.contains(r#"_class_names = ["0","1""#), "{recipe}");
    let names: Vec<String> = (0..10).map(|i| format!("cloth {i}")).collect();
    fs::write(clothes.path("class-names.txt"), names.join("\n")).expect("it can be written");
    assert_eq!(train(&clothes_data, "clothes", &from).0, names);
    assert_eq!(train(&clothes_data, "told", &format!("{from} {named}")).0, words, "what is said counts");
    fs::write(clothes.path("class-names.txt"), names.join("\n") + "\nmore").expect("it can be written");
    fail(
        &format!("train --data {clothes_data} --out {} --engine cpu --steps 1 {from}", folder.text("never")),
        &["class-names.txt", "11 names for 10 classes"],
    );
    succeed(&format!("train --data {clothes_data} --out {} --engine cpu --resume --steps 2", folder.text("told")));
    assert_eq!(checkpoint::read_dir(folder.path("told")).expect("a model").config.class_names, words);
}

/// EMNIST counts its letters from 1: nobody is offered a class 0 of which the network has seen nothing.
#[test]
fn a_label_without_pictures_is_no_class_of_a_new_network() {
    let folder = Folder::new();
    let write = |half: &str, labels: &[u8]| {
        let count = labels.len() as u32;
        let images = [[0x803, count, 8, 8].map(u32::to_be_bytes).concat(), vec![90; labels.len() * 64]].concat();
        let labels = [&[0x801, count].map(u32::to_be_bytes).concat(), labels].concat();
        for (name, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
            let path = folder.path(&format!("raw/emnist-letters-{half}-{name}-ubyte"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("it can be written");
        }
    };
    write("train", &[3, 1, 2, 5, 1]);
    write("test", &[5, 2]);
    let (data, out) = (folder.text(""), folder.text("run"));
    let train = format!("train --data {data} --engine cpu --batch 1");
    let said = succeed(&format!("{train} --out {out} --steps 1 {SMALL}")).stderr;
    assert!(said.contains("no pictures have label 0, 4: a new network has no class for that"), "{said}");
    assert!(
        said.contains("data: 5 training pictures of 8×8 in 4 classes from ") && said.contains("raw, in IDX format"),
        "{said}"
    );
    let config = checkpoint::read_dir(&out).expect("a model").config;
    assert_eq!((&config.class_names[..], config.null_class), (&["1", "2", "3", "5"].map(str::to_owned)[..], Some(4)));
    succeed(&format!("{train} --out {out} --resume --steps 2"));
    succeed(&format!("{train} --out {out}2 --from {out} --steps 1"));
    assert_eq!(checkpoint::read_dir(format!("{out}2")).expect("a model").config.class_names, config.class_names);
    // The last class has the label 5: a label goes by its name.
    let said = succeed(&format!("evaluate --weights {out} --data {data} --engine cpu --bound-images 0")).stderr;
    assert!(said.contains("no test pictures of 2 of the model's 4 classes: 1, 3\n"), "{said}");
    write("test", &[5, 4]);
    let evaluate = format!("evaluate --weights {out} --data {data} --engine cpu");
    fail(&evaluate, &["has label 4 at index 1", "one of the model's classes, 1, 2, 3, 5"]);
}

/// Weights that have become useless are nothing to go back to.
#[test]
fn a_ruined_run_is_told_where_to_go_back_to() {
    let folder = Folder::new();
    let data = folder.data(20);
    let out = folder.text("run");
    let train = format!("train --data {data} --engine cpu --batch 2 --steps 30 --set warmup=0 --lr 1e30 {SMALL}");
    // The run as it was before the first step.
    fail(&format!("{train} --out {out}"), &["at step 2 the", "timestep", &format!("for example with --from {out}")]);
    // What was kept after the step that ruined the weights is as bad.
    fail(&format!("{train} --out {out}2 --set checkpoint_every=1"), &["at step 2 the", "none was saved before"]);
    let from = format!("train --data {data} --engine cpu --batch 2 --steps 2 --from");
    fail(&format!("{from} {out}2/checkpoints/step-000001 --out {out}3"), &["at the first step", "are no good"]);
    succeed(&format!("{from} {out} --out {out}4"));
}

/// A run that could not be measured afterwards says so before it begins.
#[test]
fn data_without_a_test_half_are_told_before_the_run() {
    let folder = Folder::new();
    let data = folder.data(20);
    let train = |name: &str, arguments: &str| {
        let out = folder.text(name);
        succeed(&format!("train --data {data} --out {out} --engine cpu --batch 1 --steps 1 {SMALL} {arguments}")).stderr
    };
    let said = "evaluate will not be able to measure this model";
    assert!(!train("whole", "").contains(said));
    fs::remove_file(folder.path("t10k-labels-idx1-ubyte")).expect("it was there");
    let text = train("half", "");
    assert!(text.contains(said) && text.contains("holds no test labels"), "{text}");
    let none = format!("train --data {data} --out {} --engine cpu --steps 1 {SMALL}", folder.text("never"));
    fail(&format!("{none} --set net._null_class=3"), &["pictures of class 3", "null class"]);
}

#[test]
fn names_in_a_file_are_all_different_and_text() {
    let folder = Folder::new();
    let data = folder.data(20);
    let train = format!("train --data {data} --out {} --engine cpu --batch 1 --steps 1 {SMALL}", folder.text("run"));
    let write = |contents: &[u8]| fs::write(folder.path("class-names.txt"), contents).expect("it can be written");
    write(b"\xe9t\xe9\n");
    fail(&train, &["cannot read", "class-names.txt"]);
    write(b"a\nb\nc\nd\ne\nf\ng\nh\ni\nb\n");
    fail(&train, &["class-names.txt calls two classes \"b\""]);
    write("\u{feff}a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n".as_bytes());
    succeed(&train);
    assert_eq!(checkpoint::read_dir(folder.path("run")).expect("a model").config.class_names[0], "a");
}

#[test]
fn a_new_network_starts_at_zero_unless_told_not_to() {
    let folder = Folder::new();
    let data = folder.data(8);
    let config = golden::dir("grey").join("config.json").display().to_string();
    // A rate that moves nothing: what is written is what it started with.
    let still = format!("train --data {data} --config {config} --steps 1 --batch 2 --lr 1e-10 --engine cpu");
    let largest = |run: &str, more: &str| {
        succeed(&format!("{still} --out {} {more}", folder.text(run)));
        let file = folder.path(run).join("diffusion_pytorch_model.safetensors");
        let weights = checkpoint::read_tensors(file).expect("the weights");
        let (_, values) = weights.f32("mid_block.resnets.0.conv2.weight", 4).expect("a weight");
        values.iter().fold(0.0f32, |largest, w| largest.max(w.abs()))
    };
    assert!(largest("zeros", "") <= 1e-9);
    assert!(largest("pytorch", "--set zero_init=false") > 0.01);
}

/// What was asked for and cannot be is said, and a config's names of classes stay with the data they are of.
#[test]
fn a_config_brings_no_names_of_other_data() {
    let folder = Folder::new();
    let data = folder.data(40);
    let text = fs::read_to_string(golden::dir("grey").join("config.json")).expect("a config");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    config["_class_names"] = (0..10).map(|i| format!("shirt {i}")).collect();
    fs::write(folder.path("named.json"), config.to_string()).expect("a file");
    let train = format!("train --data {data} --steps 1 --batch 2 --engine cpu");
    let out = folder.text("run");
    let said = succeed(&format!("{train} --config {} --out {out}", folder.text("named.json"))).stderr;
    assert!(said.contains("are those of other data: the classes go by the data's"), "{said}");
    let written = fs::read_to_string(folder.path("run").join("config.json")).expect("a config");
    assert!(!written.contains("shirt"), "{written}");

    config.as_object_mut().expect("an object").remove("_null_class");
    fs::write(folder.path("bare.json"), config.to_string()).expect("a file");
    let out = folder.text("bare");
    let bare = format!("{train} --config {} --out {out}", folder.text("bare.json"));
    let said = succeed(&format!("{bare} --set label_dropout=0.3")).stderr;
    assert!(said.contains("label_dropout is 0.3, but the model has no null class"), "{said}");
}
