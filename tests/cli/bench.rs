//! `bench`: a figure for every case.

use super::program::{fail, json, succeed};
use crate::support::golden::{self, ENGINES};
use noisette::model::step::prediction;
use noisette::tensor::Shape;

#[test]
fn bench_reports_every_case() {
    let config = golden::dir("grey").join("config.json").display().to_string();
    for engine in ENGINES {
        let output = succeed(&format!("bench --engine {engine} --config {config} --seconds 0 --json"));
        let report = json(&output.stdout);
        assert_eq!(report["engine"], engine);
        assert!(report["adapter"].as_str().is_some_and(|adapter| !adapter.is_empty()));
        assert!(report["threads"].as_u64().is_some_and(|threads| threads > 0));
        assert!(report["peak_gflops"].as_f64().is_some_and(|peak| peak > 0.1));
        let cases = report["cases"].as_array().expect("cases");
        let names: Vec<_> = cases
            .iter()
            .map(|c| (c["work"].as_str().expect("its work"), c["batch"].as_u64().expect("a batch")))
            .collect();
        assert_eq!(names, [("predict", 1), ("predict", 16), ("predict", 64), ("train", 16), ("train", 64)]);
        for case in cases {
            let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{case} has no {key}"));
            for key in ["ms", "images_per_s", "gflops", "dispatches", "peak_bytes", "live_bytes"] {
                assert!(number(key) > 0.0, "{key} of {case}");
            }
            let rate = number("batch") / number("ms") * 1e3;
            assert!((number("images_per_s") / rate - 1.0).abs() <= 1e-9, "{case}");
            let kernels = case["kernels"].as_array().expect("kernels");
            assert!(
                kernels.iter().any(|k| k["name"] == "conv2d" && k["gflops"].as_f64().is_some_and(|g| g > 0.0)),
                "{case}"
            );
            for kernel in kernels {
                assert!(
                    ["runs", "ms", "bytes"].iter().all(|key| kernel[key].as_f64().is_some_and(|v| v > 0.0)),
                    "{kernel}"
                );
            }
            // On a GPU every parameter begins at a multiple of 256 bytes, and most of this net's are smaller than that.
            let limit = if engine == "gpu" && case["work"] == "train" { 1.6 } else { 1.5 };
            assert!(number("peak_bytes") <= limit * number("live_bytes"), "{case}");
            // From images per second follow the operations per image, which time does not change.
            let config = golden::checkpoint("grey").config;
            let operations = 2.0 * prediction(&config, Shape::new(1, 8, 8, 1)).multiply_adds() as f64;
            let found = number("gflops") * 1e9 / number("images_per_s");
            let share = found / operations;
            let expected = if case["work"] == "train" { 2.5..3.0 } else { 0.999..1.001 };
            assert!(expected.contains(&share), "{share} times the operations of a prediction: {case}");
        }
    }
    let table = succeed(&format!("bench --engine cpu --config {config} --seconds 0")).stdout;
    for word in ["best matrix product", "predict", "train", "conv2d_grad_weight", "of best"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    fail("bench --engine cpu --seconds -1", &["--seconds is -1"]);
    fail("bench --engine cpu --config no-such-file", &["no-such-file"]);
}

// Elsewhere memory cannot be limited from a shell.
#[cfg(target_os = "linux")]
#[test]
fn a_batch_that_does_not_fit_into_memory_is_one_sentence() {
    let config = golden::dir("grey").join("config.json").display().to_string();
    let limited = |kib: usize| {
        let command = format!(
            "ulimit -v {kib} && exec \"$0\" bench --engine cpu --work predict --batch 65535 --seconds 0 --config {config}"
        );
        let program = env!("CARGO_BIN_EXE_noisette");
        let output = std::process::Command::new("sh").args(["-c", &command, program]).output().expect("a shell");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, text) = limited(1 << 20);
    assert!(status == Some(1) && text.contains("error: there is not enough memory: "), "{status:?}\n{text}");
}
