//! Models whose classes have odd names: numbers that are not their labels, "none", a null class between the others, one name for two.

use super::program::{Folder, fail, golden_dir, json, succeed};
use crate::support::golden;
use noisette::checkpoint::{self, TensorFile, WEIGHTS_FILE};
use serde_json::{Value, json};
use std::fs;

/// A copy of the class-conditional network with other names, and perhaps another null class.
fn named(folder: &Folder, name: &str, names: &Value, null_class: usize) -> String {
    let copy = folder.path(name);
    fs::create_dir(&copy).expect("a folder");
    for file in ["scheduler_config.json", WEIGHTS_FILE] {
        fs::copy(golden::dir("grey").join(file), copy.join(file)).expect("a copy");
    }
    let mut config = json(&fs::read_to_string(golden::dir("grey").join("config.json")).expect("the config"));
    (config["_class_names"], config["_null_class"]) = (names.clone(), null_class.into());
    fs::write(copy.join("config.json"), config.to_string()).expect("it can be written");
    copy.display().to_string()
}

/// The images that `sample` makes of two noises, and what it says.
fn sampled(folder: &Folder, weights: &str, arguments: &str) -> (Vec<f32>, String) {
    let raw = folder.text("raw.safetensors");
    let sample = format!("sample --weights {weights} --raw {raw} --sampler ddim --steps 2 --engine cpu {arguments}");
    let said = succeed(&sample).stderr;
    (folder.read("raw.safetensors").f32("images", 4).expect("images").1.to_vec(), said)
}

/// The same noises with this label for both.
fn labelled(folder: &Folder, label: i64) -> Vec<f32> {
    let mut file = TensorFile::new();
    file.insert_f32("x_T", &[2, 1, 8, 8], noisette::rng::Rng::new(0).normals(128));
    file.insert_i64("class_labels", &[2], vec![label; 2]);
    let init = folder.write("init.safetensors", &file);
    sampled(folder, &golden_dir("grey"), &format!("--init {init}")).0
}

/// `evaluate`, `predict` and `train --from`, each with these data.
fn others(folder: &Folder, weights: &str, data: &str) -> [String; 3] {
    let [report, eps, run] = ["e.json", "eps.safetensors", "run"].map(|name| format!("{weights}-{name}"));
    let mut file = TensorFile::new();
    file.insert_f32("sample", &[1, 1, 8, 8], vec![0.5; 64]);
    file.insert_i64("timestep", &[1], vec![3]);
    file.insert_i64("class_labels", &[1], vec![3]);
    let input = folder.write("in.safetensors", &file);
    [
        format!("evaluate --weights {weights} --data {data} --engine cpu --images 4 --bound-images 0 --out {report}"),
        format!("predict --weights {weights} --input {input} --out {eps} --engine cpu"),
        format!("train --from {weights} --data {data} --out {run} --engine cpu --steps 1 --batch 2"),
    ]
}

#[test]
fn a_name_that_is_another_label_is_taken_and_said() {
    let (folder, data) = (Folder::new(), Folder::new());
    let names: Vec<String> = (1..=10).map(|letter| letter.to_string()).collect();
    let letters = named(&folder, "letters", &json!(names), 10);
    let (images, said) = sampled(&folder, &letters, "--count 2 --class 3");
    assert_eq!(images, labelled(&folder, 2));
    let line = "--class 3 is the class called 3, label 2, and not label 3, which is called 4\n";
    assert!(said.contains(line), "{said}");
    assert!(sampled(&folder, &letters, "--count 2 --class 0").1.contains("--class 0 is label 0, which is called 1\n"));
    assert!(!sampled(&folder, &letters, "--count 2 --class 10").1.contains("--class"));
    fail(
        &format!("sample --weights {letters} --raw {} --class 11", folder.text("x.safetensors")),
        &["--class is 11, expected 0 to 9 or none, or a name: 1, 2, 3"],
    );
    // The labels of data go by their names, too: 0 has none here, unless a file calls it 1.
    let place = data.data(40);
    let [evaluate, predict, train] = others(&folder, &letters, &place);
    fail(&evaluate, &["has label 0 at index 0, expected one of the model's classes, 1, 2, 3"]);
    fail(&train, &["has label 0 at index 0, expected one of the model's classes, 1, 2, 3"]);
    succeed(&predict);
    fs::write(data.path("class-names.txt"), names.join("\n")).expect("it can be written");
    succeed(&evaluate);
    succeed(&train);
    let run = checkpoint::read_dir(format!("{letters}-run")).expect("a model");
    assert_eq!(run.config.class_names, names);
}

#[test]
fn a_class_called_none_is_no_null_class() {
    let folder = Folder::new();
    let names = json!(["a", "none", "c", "d"]);
    let model = named(&folder, "model", &names, 10);
    let (images, said) = sampled(&folder, &model, "--count 2 --class none");
    assert_eq!(images, labelled(&folder, 1));
    assert!(
        said.contains("--class none is the class called none, label 1: pictures of no class are those of --guidance 0")
    );
    let (images, _) = sampled(&folder, &model, "--count 2 --class none --guidance 0");
    assert!(golden::largest(&images, &labelled(&folder, 10)) <= 1e-5, "as it says");
}

#[test]
fn a_null_class_lies_anywhere() {
    let (folder, data) = (Folder::new(), Folder::new());
    let names = json!(["a", "b", "c", "", "e", "f", "g", "h", "i", "j", "k"]);
    let model = named(&folder, "model", &names, 3);
    let error = "--class is 3, expected 0 to 2, 4 to 10 or none, or a name: a, b, c, e, f, g, h, i, j, k";
    fail(&format!("sample --weights {model} --raw {} --class 3", folder.text("x.safetensors")), &[error]);
    assert_eq!(sampled(&folder, &model, "--count 2 --class k").0, labelled(&folder, 10));
    assert_eq!(sampled(&folder, &model, "--count 2 --class none").0, labelled(&folder, 3));
    let place = data.data(40);
    let [evaluate, predict, train] = others(&folder, &model, &place);
    succeed(&predict);
    fail(&evaluate, &["has pictures of class 3, which is the model's null class"]);
    fail(&train, &["has pictures of class 3, which is the model's null class"]);
    fs::write(data.path("class-names.txt"), "a b c e f g h i j k".replace(' ', "\n")).expect("it can be written");
    succeed(&evaluate);
    succeed(&train);
    let run = checkpoint::read_dir(format!("{model}-run")).expect("a model");
    assert_eq!((json!(run.config.class_names), run.config.null_class), (names, Some(3)));
}

#[test]
fn one_name_for_two_classes_is_refused_by_every_command() {
    let (folder, data) = (Folder::new(), Folder::new());
    let place = data.data(40);
    let empty = named(&folder, "empty", &json!(["a", " ", "c"]), 10);
    let twice = named(&folder, "twice", &json!(["a", "b", "c", "b"]), 10);
    for (model, expected) in [
        (&empty, r#"`_class_names` calls label 1 " ", expected a name"#),
        (&twice, r#"`_class_names` calls labels 1 and 3 both "b", expected a name for each"#),
    ] {
        let sample = format!("sample --weights {model} --raw {} --count 1", folder.text("x.safetensors"));
        let export = format!("export --weights {model} --out {} --dtype f16", folder.text("export"));
        for command in others(&folder, model, &place).into_iter().chain([sample, export]) {
            fail(&command, &["config.json", expected]);
        }
    }
    let train = format!("train --data {place} --out {} --engine cpu --steps 1", folder.text("run"));
    fail(
        &format!(r#"{train} --set net._class_names=["a","b","a"]"#),
        &[r#"in [net], `_class_names` calls labels 0 and 2 both "a""#],
    );
}
