//! `export`: everything but the precision.

use super::program::{Folder, fail, golden_dir, json, succeed};
use crate::support::golden::{self, relative};
use noisette::checkpoint;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn export_keeps_everything_but_the_precision() {
    let folder = Folder::new();
    let original = golden::checkpoint("grey");
    for (dtype, bytes) in [("f16", 2), ("f32", 4)] {
        let out = folder.text(dtype);
        let output = succeed(&format!("export --weights {} --out {out} --dtype {dtype}", golden_dir("grey")));
        assert_eq!(output.stderr.contains("changes the prediction"), dtype == "f16", "{}", output.stderr);
        let copy = checkpoint::read_dir(&out).expect("a diffusers folder");
        assert_eq!((&copy.config, &copy.scheduler), (&original.config, &original.scheduler));
        let config = json(&fs::read_to_string(folder.path(dtype).join("config.json")).expect("the config"));
        assert_eq!((&config["_null_class"], config["_class_names"][9].as_str()), (&Value::from(10), Some("9")));
        let values: usize = original.tensors.values().map(|(_, values)| values.len()).sum();
        let size = fs::metadata(folder.path(dtype).join(checkpoint::WEIGHTS_FILE)).expect("the weights").len();
        assert!((size as usize).abs_diff(values * bytes) < 20_000, "{size} bytes for {values} values");
        for (name, (shape, values)) in &original.tensors {
            let (found_shape, found) = &copy.tensors[name];
            assert_eq!(found_shape, shape);
            let limit = if dtype == "f16" { 1e-3 } else { 0.0 };
            assert!(relative(found, values) <= limit, "{name}");
        }
    }
    // A model is not replaced by a slip of the hand.
    let [again, weights] = [folder.text("f16"), golden_dir("rgb")];
    let before = fs::read(folder.path("f16").join(checkpoint::WEIGHTS_FILE)).expect("the weights");
    let export = format!("export --weights {weights} --out {again} --dtype f16");
    fail(&export, &["has a diffusion_pytorch_model.safetensors already", "--replace"]);
    assert!(fs::read(folder.path("f16").join(checkpoint::WEIGHTS_FILE)).is_ok_and(|now| now == before));
    succeed(&format!("{export} --replace"));
    assert_eq!(checkpoint::read_dir(&again).expect("the other model").config.channels, 3);

    // What does not fit together is not passed on.
    let broken = folder.path("broken");
    fs::create_dir(&broken).expect("a folder");
    for file in ["config.json", checkpoint::WEIGHTS_FILE] {
        let from = if file == "config.json" { "rgb" } else { "grey" };
        fs::copy(golden::dir(from).join(file), broken.join(file)).expect("a copy");
    }
    let out = folder.text("never");
    fail(&format!("export --weights {} --out {out} --dtype f16", broken.display()), &["missing", "not expected"]);
    assert!(!Path::new(&out).exists());
    fail(&format!("export --weights {} --out {out} --dtype f64", golden_dir("grey")), &["f64", "f16"]);
}
