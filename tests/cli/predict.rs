//! `predict` and `gradients`: PyTorch's numbers, and what does not suit a model.

use super::program::{Folder, f32s, fail, golden_dir, succeed};
use crate::support::golden::{self, ENGINES, largest};
use crate::support::routes::{self, Route};
use noisette::checkpoint::TensorFile;
use noisette::rng::Rng;
use std::fs;

#[test]
fn predict_and_gradients_are_pytorchs() {
    for route in ENGINES.map(Route::CommandLine) {
        routes::predictions(route);
        routes::losses_and_gradients(route);
    }
}

/// More images than go through the network at once.
#[test]
fn predict_takes_many_images_and_other_sizes() {
    let folder = Folder::new();
    let shape = [131, 1, 4, 6];
    let x = Rng::new(1).normals(shape.iter().product());
    let times: Vec<i64> = (0..131).map(|i| i * 7).collect();
    let labels: Vec<i64> = (0..131).map(|i| i % 11).collect();
    let mut file = TensorFile::new();
    file.insert_f32("sample", &shape, x.clone());
    file.insert_i64("timestep", &[131], times.clone());
    file.insert_i64("class_labels", &[131], labels.clone());
    let predict = |file: &TensorFile| {
        let (input, out) = (folder.write("in.safetensors", file), folder.text("out.safetensors"));
        succeed(&format!("predict --weights {} --input {input} --out {out} --engine cpu", golden_dir("grey")));
        folder.read("out.safetensors")
    };
    let all = predict(&file);
    let all = f32s(&all, "eps", &shape);
    for i in [0, 63, 64, 130] {
        let mut one = TensorFile::new();
        one.insert_f32("sample", &[1, 1, 4, 6], x[i * 24..][..24].to_vec());
        one.insert_i64("timestep", &[1], vec![times[i]]);
        one.insert_i64("class_labels", &[1], vec![labels[i]]);
        let error = largest(f32s(&predict(&one), "eps", &[1, 1, 4, 6]), &all[i * 24..][..24]);
        assert!(error <= 1e-5, "image {i}: {error:.1e}");
    }
}

#[test]
fn predict_and_gradients_refuse_what_does_not_suit_the_model() {
    let folder = Folder::new();
    let out = folder.text("out.safetensors");
    let run = |command: &str, net: &str, file: &TensorFile, parts: &[&str]| {
        let input = folder.write("in.safetensors", file);
        let weights = golden_dir(net);
        fail(&format!("{command} --weights {weights} --input {input} --out {out} --engine cpu"), parts);
    };
    let good = golden::tensors("grey", "gradients.safetensors");
    let with = |change: &dyn Fn(&mut TensorFile)| {
        let mut file = good.clone();
        change(&mut file);
        file
    };
    for command in ["predict", "gradients"] {
        for (change, parts) in [
            (&(|f: &mut TensorFile| drop(f.tensors.remove("sample"))) as &dyn Fn(&mut TensorFile), &["sample"][..]),
            (&|f| drop(f.tensors.remove("timestep")), &["timestep"]),
            (&|f| drop(f.tensors.remove("class_labels")), &["class_labels"]),
            (&|f| f.insert_i64("timestep", &[3], vec![0, 1000, 5]), &["timestep is 1000 for image 1", "0 to 999"]),
            (&|f| f.insert_i64("timestep", &[3], vec![0, -1, 5]), &["timestep is -1", "0 to 999"]),
            (&|f| f.insert_i64("timestep", &[2], vec![0, 1]), &["[2]", "3 images"]),
            (&|f| f.insert_f32("timestep", &[3], vec![0.0; 3]), &["timestep", "I64"]),
            (&|f| f.insert_i64("class_labels", &[3], vec![0, 11, 5]), &["class_labels is 11", "0 to 10"]),
            (&|f| f.insert_f32("sample", &[3, 3, 8, 12], vec![0.0; 864]), &["[3, 3, 8, 12]", "1 channels"]),
            (&|f| f.insert_f32("sample", &[3, 1, 7, 12], vec![0.0; 252]), &["7×12", "multiples of 2"]),
            (&|f| f.insert_f32("sample", &[3, 1, 0, 12], vec![]), &["0×12", "multiples of 2"]),
            (&|f| f.insert_f32("sample", &[0, 1, 8, 12], vec![]), &["0 images"]),
            (&|f| f.insert_f32("sample", &[3, 8, 12], vec![0.0; 288]), &["sample", "4 axes"]),
        ] {
            run(command, "grey", &with(change), parts);
        }
    }
    let smaller = with(&|f| f.insert_f32("noise", &[3, 1, 8, 8], vec![0.0; 192]));
    run("gradients", "grey", &smaller, &["noise", "[3, 8, 8, 1]"]);
    run("gradients", "grey", &golden::tensors("grey", "predict.safetensors"), &["noise"]);
    let mut labelled = golden::tensors("rgb", "predict.safetensors");
    labelled.insert_i64("class_labels", &[3], vec![0; 3]);
    run("predict", "rgb", &labelled, &["no classes"]);
    assert!(!folder.path("out.safetensors").exists(), "nothing is written on failure");

    // Files that are no such files.
    let input = golden::dir("grey").join("predict.safetensors");
    let bytes = fs::read(&input).expect("the golden file");
    fs::write(folder.path("short.safetensors"), &bytes[..bytes.len() - 5]).expect("it can be written");
    let weights = golden_dir("grey");
    for (file, parts) in [("short.safetensors", &["truncated"][..]), ("none.safetensors", &["none.safetensors"])] {
        let input = folder.text(file);
        fail(&format!("predict --weights {weights} --input {input} --out {out} --engine cpu"), parts);
    }
    let input = input.display();
    fail(&format!("predict --weights {out}-nowhere --input {input} --out {out}"), &["config.json"]);
    fail(
        &format!("predict --weights {weights} --input {input} --out {out} --engine tpu"),
        &["tpu", "auto, gpu or cpu"],
    );
    fail(&format!("predict --weights {weights} --input {input} --out {weights} --engine cpu"), &["is a folder"]);
}
