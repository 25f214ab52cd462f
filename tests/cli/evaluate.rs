//! `evaluate`: every test image once.

use super::program::{Folder, fail, golden_dir, json, succeed};
use serde_json::Value;
use std::fs;

#[test]
fn evaluate_measures_every_test_image_once() {
    let folder = Folder::new();
    let data = folder.data(150);
    let weights = golden_dir("grey");
    let report = |name: &str, arguments: &str| {
        let out = folder.text(name);
        let output = succeed(&format!("evaluate --weights {weights} --data {data} --out {out} {arguments}"));
        (output.stdout, json(&fs::read_to_string(folder.path(name)).expect("the report")))
    };
    let (table, cpu) = report("a.json", "--engine cpu");
    assert_eq!(cpu["images"], 75);
    assert_eq!(cpu["engine"], "cpu");
    let buckets = cpu["buckets"].as_array().expect("buckets");
    assert_eq!(buckets.len(), 10);
    let images: Vec<u64> = buckets.iter().map(|b| b["images"].as_u64().expect("a count")).collect();
    assert!(images.iter().sum::<u64>() == 75 && images.iter().all(|n| (7..=8).contains(n)), "{images:?}");
    let mean: f64 =
        buckets.iter().zip(&images).map(|(b, &n)| b["mse"].as_f64().expect("an error") * n as f64 / 75.0).sum();
    let mse = cpu["mse"].as_f64().expect("the error");
    // A network of random weights knows nothing: it is as wrong as its output is large.
    assert!((mean / mse - 1.0).abs() <= 1e-9 && (0.5..5.0).contains(&mse), "{mse}");
    assert!(table.lines().count() == 17 && table.contains(&format!("{mse:.5}")), "{table}");
    assert!(table.contains("bound on the likelihood, from 75 images and 15 timesteps of each:\n"), "{table}");
    // The bound, on as many images as there are, is the sum of its parts; L_T is exact and next to nothing.
    let bound = &cpu["bits_per_dim"];
    assert!(bound["images"] == 75 && bound["timesteps_per_image"] == 15, "{bound}");
    let part = |name: &str| {
        let value = |what: &str| bound[name][what].as_f64().expect("a number");
        (value("mean"), value("standard_error"))
    };
    let [(total, error), (prior, _), (denoising, _), (decoder, _)] =
        ["total", "prior", "denoising", "decoder"].map(part);
    assert!((total - prior - denoising - decoder).abs() <= 1e-9 * total && table.contains(&format!("{total:.5}")));
    assert!(0.0 < prior && prior < 1e-3 && decoder > 0.0 && denoising > 0.0 && 0.0 < error && error < total, "{bound}");
    assert_eq!(report("b.json", "--engine cpu").1["mse"], cpu["mse"], "the noise is fixed");
    let gpu = report("c.json", "--engine gpu").1["mse"].as_f64().expect("the error");
    assert!((gpu / mse - 1.0).abs() <= 1e-5, "{gpu} and {mse}");
    assert_ne!(report("d.json", "--engine cpu --seed 1").1["mse"], cpu["mse"]);
    let few = report("e.json", "--engine cpu --images 5 --bound-images 0").1;
    assert!(few["images"] == 5 && few.get("bits_per_dim").is_none(), "{few}");
    let rows = few["buckets"].as_array().expect("buckets");
    assert!(rows.len() == 10 && rows.iter().any(|row| row["images"] == 0 && row["mse"].is_null()), "{few}");
    // An image is measured alike whatever comes after it.
    let [one, two] = [1, 2].map(|n| report("f.json", &format!("--engine cpu --images {n} --bound-images 0")).1);
    let errors = |report: &Value| -> Vec<f64> {
        report["buckets"].as_array().expect("buckets").iter().filter_map(|row| row["mse"].as_f64()).collect()
    };
    assert!(
        errors(&one).len() == 1 && errors(&two).len() == 2 && errors(&two).contains(&errors(&one)[0]),
        "{one} {two}"
    );
    let thrice = report("h.json", "--engine cpu --images 1 --draws 3 --bound-images 0").1;
    assert!(errors(&thrice).len() == 3 && errors(&thrice).contains(&errors(&one)[0]), "{one} {thrice}");
    assert_eq!((&thrice["images"], &thrice["draws"]), (&Value::from(1), &Value::from(3)));
    assert_eq!(report("g.json", "--engine cpu --images 3").1["bits_per_dim"]["images"], 3);
    fail(&format!("evaluate --weights {weights} --data {data} --images 99"), &["--images is 99", "75 test images"]);
    fail(&format!("evaluate --weights {weights} --data {data} --bound-images 76"), &["--bound-images is 76"]);
    fail(
        &format!("evaluate --weights {weights} --data {data} --images 5 --bound-images 9"),
        &["--bound-images is 9, expected at most the 5 of --images"],
    );

    fail(&format!("evaluate --weights {} --data {data}", golden_dir("rgb")), &["8×8×1", "8×8×3"]);
    fail(&format!("evaluate --weights {weights} --data {weights}"), &["holds no test images"]);
    fail(&format!("evaluate --weights {weights} --data {data} --images 0"), &["--images"]);
    fs::write(folder.path("t10k-labels-idx1-ubyte"), [0, 0, 8, 3, 0, 0, 0, 0]).expect("it can be written");
    fail(&format!("evaluate --weights {weights} --data {data}"), &["t10k-labels-idx1-ubyte", "magic"]);
}
