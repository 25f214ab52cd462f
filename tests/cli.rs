//! The command line as a script uses it: every command on tiny networks, its files, and what it says when it cannot.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::checkpoint::{self, TensorFile};
use noisette::model::step::prediction;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::golden::{self, ENGINES, NETS, largest, relative};
use tempfile::TempDir;

/// What a command left behind.
struct Output {
    success: bool,
    stdout: String,
    stderr: String,
}

/// Runs the program; arguments are separated by spaces.
fn noisette(arguments: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_noisette")).args(arguments.split_whitespace()).output();
    let output = output.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "noisette {arguments}\n{stderr}");
    assert!(output.status.code().is_some(), "noisette {arguments} ended by a signal\n{stderr}");
    Output { success: output.status.success(), stdout, stderr }
}

/// Runs a command that has to succeed.
#[track_caller]
fn succeed(arguments: &str) -> Output {
    let output = noisette(arguments);
    assert!(output.success, "noisette {arguments}\n{}", output.stderr);
    output
}

/// Runs a command that has to fail, with one sentence in which all of `parts` occur.
#[track_caller]
fn fail(arguments: &str, parts: &[&str]) {
    let output = noisette(arguments);
    assert!(!output.success, "noisette {arguments} succeeded");
    let error = output.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>();
    // What a graphics driver has to say may come first.
    let error = error.iter().rev().find(|line| line.starts_with("error: ")).copied().unwrap_or_default();
    let text = format!("{error}\n{}", output.stderr);
    assert!(!error.is_empty(), "noisette {arguments} gives no error\n{text}");
    for part in parts {
        assert!(text.contains(part), "noisette {arguments}: {part:?} is not in\n{text}");
    }
}

/// A folder for a test's files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, file: &TensorFile) -> String {
        checkpoint::write_tensors(self.path(name), file).expect("it can be written");
        self.text(name)
    }

    fn read(&self, name: &str) -> TensorFile {
        checkpoint::read_tensors(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A data set in MNIST's format: `count` pictures of 8×8 for training, and half as many to test.
    fn data(&self, count: usize) -> String {
        let mut rng = Rng::new(4);
        for (prefix, count) in [("train", count), ("t10k", count / 2)] {
            let mut images = [0x803, count as u32, 8, 8].map(u32::to_be_bytes).concat();
            images.extend((0..count * 64).map(|_| rng.below(256) as u8));
            let mut labels = [0x801, count as u32].map(u32::to_be_bytes).concat();
            labels.extend((0..count).map(|i| (i % 10) as u8));
            fs::write(self.path(&format!("{prefix}-images-idx3-ubyte")), images).expect("it can be written");
            fs::write(self.path(&format!("{prefix}-labels-idx1-ubyte")), labels).expect("it can be written");
        }
        self.0.path().display().to_string()
    }
}

fn golden_dir(name: &str) -> String {
    golden::dir(name).display().to_string()
}

fn f32s<'a>(file: &'a TensorFile, name: &str, shape: &[usize]) -> &'a [f32] {
    let (found, values) = file.f32(name, shape.len()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found, shape, "{name}");
    values
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

// -------------------------------------------------------------------------------------------------------- help

#[test]
fn help_teaches_every_command() {
    let all = succeed("--help").stdout;
    for command in ["train", "sample", "predict", "gradients", "evaluate", "export", "bench"] {
        assert!(all.contains(command), "{all}");
        let help = succeed(&format!("{command} --help")).stdout;
        assert!(help.contains(&format!("Example: noisette {command} ")), "{command} gives no example:\n{help}");
        fail(&format!("{command} --no-such-thing"), &["--no-such-thing"]);
    }
    assert!(succeed("--version").stdout.contains(env!("CARGO_PKG_VERSION")));
    assert!(!noisette("").success, "a command is needed");
    fail("paint", &["paint"]);
}

// ---------------------------------------------------------------------------------------- predict and gradients

#[test]
fn predict_and_gradients_are_pytorchs() {
    let folder = Folder::new();
    for engine in ENGINES {
        for net in NETS {
            let (weights, out) = (golden_dir(net), folder.text("out.safetensors"));
            let input = golden::dir(net).join("predict.safetensors");
            let output = succeed(&format!(
                "predict --weights {weights} --input {} --out {out} --engine {engine}",
                input.display()
            ));
            assert!(output.stderr.contains(&format!("engine: {engine} (")), "{}", output.stderr);
            let (expected, found) = (golden::tensors(net, "predict.safetensors"), folder.read("out.safetensors"));
            let (shape, eps) = expected.f32("eps", 4).expect("PyTorch's");
            assert_eq!(found.tensors.len(), 1);
            let error = largest(f32s(&found, "eps", shape), eps);
            assert!(error <= 1e-4, "{engine}, {net}: {error:.1e}");

            let input = golden::dir(net).join("gradients.safetensors");
            succeed(&format!(
                "gradients --weights {weights} --input {} --out {out} --engine {engine}",
                input.display()
            ));
            let (expected, found) = (golden::tensors(net, "gradients.safetensors"), folder.read("out.safetensors"));
            let loss = f32s(&found, "loss", &[1]);
            assert!(relative(loss, f32s(&expected, "loss", &[1])) <= 1e-5, "{engine}, {net}: {loss:?}");
            let parameters = golden::checkpoint(net).tensors;
            assert_eq!(found.tensors.len(), parameters.len() + 1);
            for (name, (shape, _)) in parameters.iter().filter(|(name, _)| !name.ends_with("to_k.bias")) {
                let error = relative(f32s(&found, name, shape), f32s(&expected, &format!("grad.{name}"), shape));
                assert!(error <= 1e-3, "{engine}, {net}: the gradient of {name}: {error:.1e}");
            }
        }
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
    fail(&format!("predict --weights {weights} --input {input} --out {weights} --engine cpu"), &["directory"]);
}

// ------------------------------------------------------------------------------------------------------- sample

#[test]
fn sample_retraces_diffusers_steps() {
    let folder = Folder::new();
    for engine in ENGINES {
        for (net, run, arguments) in [
            ("rgb", "ddpm", "--sampler ddpm"),
            ("rgb", "ddim", "--sampler ddim --steps 12"),
            ("grey", "ddpm", ""),
            ("grey", "guided", "--sampler ddim --eta 0.5 --guidance 2.5"),
        ] {
            let init = golden::dir(net).join(format!("sample_{run}.safetensors"));
            let paths = ["trace.safetensors", "raw.safetensors", "grid.png"].map(|name| folder.text(name));
            let output = succeed(&format!(
                "sample --weights {} --init {} {arguments} --engine {engine} --trace {} --raw {} --out {}",
                golden_dir(net),
                init.display(),
                paths[0],
                paths[1],
                paths[2],
            ));
            assert!(output.stderr.contains(&format!("engine: {engine} (")), "{}", output.stderr);
            let (expected, trace) =
                (golden::tensors(net, &format!("sample_{run}.safetensors")), folder.read("trace.safetensors"));
            assert_eq!(trace.tensors.keys().collect::<Vec<_>>(), ["timesteps", "x"]);
            assert_eq!(
                trace.i64("timesteps", 1).expect("timesteps"),
                expected.i64("timesteps", 1).expect("diffusers'")
            );
            let (shape, x) = expected.f32("x", 5).expect("diffusers' states");
            let error = largest(f32s(&trace, "x", shape), x);
            assert!(error <= 3e-4, "{engine}, {net}, {run}: {error:.1e}");

            let raw = folder.read("raw.safetensors");
            let images = f32s(&raw, "images", &shape[1..]);
            assert!(images.iter().all(|v| (-1.0..=1.0).contains(v)));
            let last: Vec<f32> = x[x.len() - images.len()..].iter().map(|v| v.clamp(-1.0, 1.0)).collect();
            assert!(largest(images, &last) <= 3e-4);

            let png = png::Decoder::new(std::io::BufReader::new(fs::File::open(&paths[2]).expect("the PNG")));
            let info = png.read_info().expect("a PNG").info().clone();
            // Two images of 8×8 side by side, each pixel 14×14, lines of 7 between.
            assert_eq!((info.width, info.height), (2 * 119 + 7, 119 + 7));
            let color = if net == "rgb" { png::ColorType::Rgb } else { png::ColorType::Grayscale };
            assert_eq!(info.color_type, color);
        }
    }
}

/// One run of `sample` on the class-conditional network; its images.
fn sampled(folder: &Folder, arguments: &str) -> Vec<f32> {
    let raw = folder.text("raw.safetensors");
    succeed(&format!("sample --weights {} --raw {raw} {arguments}", golden_dir("grey")));
    let file = folder.read("raw.safetensors");
    file.f32("images", 4).expect("images").1.to_vec()
}

#[test]
fn a_seed_gives_the_documented_noise_on_every_engine() {
    let folder = Folder::new();
    let run = |arguments: &str| sampled(&folder, arguments);
    let settings = "--count 3 --sampler ddpm --steps 4";
    let found = run(&format!("{settings} --seed 7 --engine cpu"));
    assert_eq!(found, run(&format!("{settings} --seed 7 --engine cpu")));
    assert_ne!(found, run(&format!("{settings} --seed 8 --engine cpu")));
    let error = largest(&run(&format!("{settings} --seed 7 --engine gpu")), &found);
    assert!(error <= 1e-3, "the engines differ by {error:.1e}");

    // x_T of all images first, then each step's noise, from one stream, in the file's order; the last step adds none.
    let (shape, len) = ([3, 1, 8, 8], 3 * 64);
    let mut rng = Rng::new(7);
    let mut file = TensorFile::new();
    file.insert_f32("x_T", &shape, rng.normals(len));
    file.insert_i64("class_labels", &[3], vec![0, 1, 2]);
    let mut noise = rng.normals(3 * len);
    noise.extend(vec![9.0; len]);
    file.insert_f32("noise", &[4, 3, 1, 8, 8], noise);
    let init = folder.write("init.safetensors", &file);
    assert_eq!(found, run(&format!("--init {init} --sampler ddpm --engine cpu")));
    // The network takes other sizes than the one it was made for.
    let mut wide = TensorFile::new();
    wide.insert_f32("x_T", &[2, 1, 4, 6], vec![0.3; 48]);
    let wide = folder.write("wide.safetensors", &wide);
    assert_eq!(run(&format!("--init {wide} --sampler ddim --steps 2 --engine cpu")).len(), 48);
    // Without the steps' noise it is drawn as if x_T had been drawn, too.
    file.tensors.remove("noise");
    let init = folder.write("init.safetensors", &file);
    assert_eq!(found, run(&format!("--init {init} --sampler ddpm --steps 4 --seed 7 --engine cpu")));
}

#[test]
fn classes_and_guidance_mean_what_help_says() {
    let folder = Folder::new();
    let run = |arguments: &str| sampled(&folder, &format!("--sampler ddim --steps 2 --engine cpu {arguments}"));
    let labelled = |labels: &[i64]| {
        let mut file = TensorFile::new();
        let n = labels.len();
        file.insert_f32("x_T", &[n, 1, 8, 8], Rng::new(0).normals(n * 64));
        file.insert_i64("class_labels", &[n], labels.to_vec());
        format!("--init {}", folder.write("init.safetensors", &file))
    };
    let in_turn: Vec<i64> = (0..12).map(|i| i % 10).collect();
    let init = labelled(&in_turn);
    assert_eq!(run("--count 12"), run(&init), "each class in turn");
    assert_eq!(run("--count 12"), run("--count 12 --guidance 1"));
    assert_eq!(run("--count 2 --class 3"), run(&labelled(&[3, 3])));
    let none = run("--count 2 --class none");
    assert_eq!(none, run(&labelled(&[10, 10])));
    let unconditional = run("--count 2 --class 3 --guidance 0");
    assert!(largest(&unconditional, &none) <= 1e-5, "guidance 0 ignores the class");
    assert_ne!(run("--count 2 --class 3"), none);
    assert_ne!(run("--count 2 --class 3 --guidance 3"), run("--count 2 --class 3"));
    // What is not set comes from scheduler_config.json, which says fixed_large, clipped, leading.
    let ddpm =
        |arguments: &str| sampled(&folder, &format!("--sampler ddpm --steps 3 --count 2 --engine cpu {arguments}"));
    assert_eq!(ddpm(""), ddpm("--variance large --clip on --spacing leading"));
    for other in ["--variance small", "--spacing trailing", "--spacing linspace"] {
        assert_ne!(ddpm(""), ddpm(other), "{other}");
    }
    assert_ne!(run("--count 2"), run("--count 2 --eta 1"));
    assert_eq!(sampled(&folder, "--sampler dpmsolver++ --steps 3 --count 2 --engine cpu").len(), 128);
}

#[test]
fn sample_refuses_what_the_model_cannot_do() {
    let folder = Folder::new();
    let out = folder.text("out.png");
    let (grey, rgb) = (golden_dir("grey"), golden_dir("rgb"));
    for (arguments, parts) in [
        ("--steps 0", &["1 to 1000", "found 0"][..]),
        ("--steps 1001", &["1 to 1000", "1001"]),
        ("--steps -3", &["--steps", "-3"]),
        ("--sampler ddim --eta 1.5", &["eta", "0 and 1", "1.5"]),
        ("--sampler ddim --eta -0.1", &["eta", "-0.1"]),
        ("--sampler ddim --eta NaN", &["eta", "NaN"]),
        ("--sampler ddpm --eta 0.5", &["--eta", "ddim"]),
        ("--sampler ddim --variance small", &["--variance", "ddpm"]),
        ("--class 10", &["--class is 10", "0 to 9 or none"]),
        ("--class -1", &["--class", "-1"]),
        ("--class cat", &["--class", "cat"]),
        ("--guidance inf", &["guidance", "inf"]),
        ("--guidance 1e9", &["guidance", "1000000000"]),
        ("--count 0", &["--count", "0"]),
        ("--count 1000000", &["--count", "1000000"]),
        ("--seed -1", &["--seed", "-1"]),
        ("--seed 18446744073709551616", &["--seed", "18446744073709551616"]),
        ("--spacing dense", &["dense", "leading", "trailing", "linspace"]),
        ("--sampler euler", &["euler", "ddpm", "ddim"]),
        ("--clip maybe", &["maybe"]),
    ] {
        let steps = if arguments.contains("--steps") { "" } else { "--steps 3" };
        fail(&format!("sample --weights {grey} --out {out} --engine cpu {steps} {arguments}"), parts);
    }
    fail(&format!("sample --weights {rgb} --out {out} --guidance 2"), &["--guidance must be 1", "_null_class"]);
    fail(&format!("sample --weights {rgb} --out {out} --class 2"), &["no classes"]);
    fail(&format!("sample --weights {grey}"), &["--out"]);
    fail(&format!("sample --weights {grey} --out {grey} --steps 2"), &["is a folder"]);
    fail(&format!("sample --weights {grey} --out {grey}/config.json/x.png --steps 2"), &["config.json"]);

    let start = |change: &dyn Fn(&mut TensorFile)| {
        let mut file = TensorFile::new();
        file.insert_f32("x_T", &[2, 1, 8, 8], vec![0.5; 128]);
        change(&mut file);
        folder.write("init.safetensors", &file)
    };
    for (change, arguments, parts) in [
        (&(|_: &mut TensorFile| ()) as &dyn Fn(&mut TensorFile), "--count 3", &["2 images", "--count is 3"][..]),
        (&|f| drop(f.tensors.remove("x_T")), "", &["x_T"]),
        (&|f| f.insert_f32("x_T", &[2, 1, 8, 9], vec![0.5; 144]), "", &["8×9", "multiples of 2"]),
        (&|f| f.insert_i64("class_labels", &[2], vec![1, 11]), "", &["11", "0 to 10"]),
        (&|f| f.insert_i64("class_labels", &[2], vec![1, 1]), "--class 2", &["class_labels", "--class"]),
        (&|f| f.insert_f32("noise", &[3, 2, 1, 8, 4], vec![0.5; 192]), "", &["noise", "[2, 1, 8, 8]"]),
        (&|f| f.insert_f32("noise", &[3, 2, 1, 8, 8], vec![0.5; 384]), "--steps 4", &["3 steps", "4"]),
        (&|f| f.insert_f32("noise", &[2, 1, 8, 8], vec![0.5; 128]), "", &["noise", "5 axes"]),
    ] {
        let init = start(change);
        fail(&format!("sample --weights {grey} --init {init} --out {out} --engine cpu {arguments}"), parts);
    }
    assert!(!folder.path("out.png").exists(), "nothing is written on failure");
}

// ---------------------------------------------------------------------------------------------------- evaluate

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
    assert!(table.lines().count() == 16 && table.contains(&format!("{mse:.5}")), "{table}");
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
    fail(&format!("evaluate --weights {weights} --data {data} --images 99"), &["--images is 99", "75 test images"]);
    fail(&format!("evaluate --weights {weights} --data {data} --bound-images 76"), &["--bound-images is 76"]);

    fail(&format!("evaluate --weights {} --data {data}", golden_dir("rgb")), &["8×8×1", "8×8×3"]);
    fail(&format!("evaluate --weights {weights} --data {weights}"), &["holds no test images"]);
    fail(&format!("evaluate --weights {weights} --data {data} --images 0"), &["--images"]);
    fs::write(folder.path("t10k-labels-idx1-ubyte"), [0, 0, 8, 3, 0, 0, 0, 0]).expect("it can be written");
    fail(&format!("evaluate --weights {weights} --data {data}"), &["t10k-labels-idx1-ubyte", "magic"]);
}

// ------------------------------------------------------------------------------------------------------ export

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

// ------------------------------------------------------------------------------------------------------- train

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("a plain name")).collect();
    names.sort();
    names
}

const RUN_FILES: [&str; 8] = [
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "loss.svg",
    "metrics.jsonl",
    "recipe.toml",
    "scheduler_config.json",
    "training.json",
    "training_state.safetensors",
];

#[test]
fn a_run_resumed_from_its_files_is_the_unbroken_one() {
    let folder = Folder::new();
    let data = folder.data(40);
    let config = golden::dir("grey").join("config.json").display().to_string();
    let train = |out: &str, arguments: &str| {
        succeed(&format!("train --data {data} --out {} --engine cpu {arguments}", folder.text(out)))
    };
    // Everything that is not the default.
    fs::write(
        folder.path("odd.toml"),
        "loss = \"l1\"\nmin_snr_gamma = 5\nprediction = \"v_prediction\"\nhorizontal_flip = true\n",
    )
    .expect("it can be written");
    let begin = format!("--config {config} --batch 4 --recipe {} --set seed=3", folder.text("odd.toml"));
    let output = train("whole", &format!("{begin} --steps 24"));
    assert!(output.stderr.contains("engine: cpu ("), "{}", output.stderr);
    train("broken", &format!("{begin} --steps 13"));
    assert_eq!(files(&folder.path("broken")), RUN_FILES);
    train("broken", "--resume --steps 24");
    // The recipe in the folder is the whole run but its data.
    train("again", &format!("--recipe {}", folder.path("whole").join("recipe.toml").display()));
    for file in
        ["diffusion_pytorch_model.safetensors", "training_state.safetensors", "scheduler_config.json", "recipe.toml"]
    {
        let [whole, again] = ["whole", "again"].map(|run| fs::read(folder.path(run).join(file)).expect(file));
        assert!(whole == again, "{file} differs");
    }
    // Back from a checkpoint that was kept, to the same end.
    train("kept", &format!("{begin} --steps 24 --set checkpoint_every=5 --set keep=2 --set sample_every=12"));
    assert_eq!(files(&folder.path("kept").join("checkpoints")), ["step-000015", "step-000020"]);
    assert_eq!(files(&folder.path("kept").join("samples")), ["step-000012.png", "step-000024.png"]);
    train("kept", "--resume --back-to 15");
    assert_eq!(files(&folder.path("kept").join("checkpoints")), ["step-000015", "step-000020"]);
    let [whole, kept] =
        ["whole", "kept"].map(|run| fs::read(folder.path(run).join("training_state.safetensors")).expect("it"));
    assert!(whole == kept, "going back leads elsewhere");
    for file in ["diffusion_pytorch_model.safetensors", "training_state.safetensors", "config.json"] {
        let [whole, broken] = ["whole", "broken"].map(|run| fs::read(folder.path(run).join(file)).expect(file));
        assert!(whole == broken, "{file} differs");
    }
    let losses = |run: &str| -> Vec<(u64, f64)> {
        let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).expect("metrics");
        let line = |line| {
            let line = json(line);
            (line["step"].as_u64().expect("a step"), line["loss"].as_f64().expect("a loss"))
        };
        text.lines().map(line).collect()
    };
    assert_eq!(losses("whole"), losses("broken"));
    assert_eq!(losses("whole").iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 10, 20]);
    let text = fs::read_to_string(folder.path("whole").join("metrics.jsonl")).expect("metrics");
    for line in text.lines().map(json) {
        for key in ["samples", "grad_norm", "lr", "samples_per_s"] {
            assert!(line[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {line}");
        }
        let errors = line["error_by_t"].as_array().expect("errors");
        assert!(errors.len() == 10 && errors.iter().any(|e| e.as_f64().is_some_and(|e| e > 0.0)), "{line}");
    }
    let plot = fs::read_to_string(folder.path("whole").join("loss.svg")).expect("a plot");
    assert!(plot.starts_with("<svg") && plot.contains("up to step 20"), "{plot}");

    // The folder is a model: it samples, and a new run starts from it.
    let raw = folder.text("raw.safetensors");
    succeed(&format!("sample --weights {} --steps 2 --count 2 --raw {raw} --engine cpu", folder.text("whole")));
    let from = folder.text("whole");
    train("next", &format!("--from {from} --steps 1 --batch 2 --lr 1e-9"));
    let moved =
        |run: &str| checkpoint::read_dir(folder.path(run)).expect("a model").tensors["conv_in.weight"].1.clone();
    assert!(relative(&moved("next"), &moved("whole")) <= 1e-6, "it started where the other ended");
    let class_names = checkpoint::read_dir(folder.path("whole")).expect("a model").config.class_names;
    assert_eq!(class_names.len(), 10);
}

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
    fail(&format!("{train} --config {config} --from {out}"), &["--from", "--config"]);
    fail(&format!("{train} --config {data}"), &["cannot read"]);
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

    succeed(&format!("{train} --config {config} --steps 2 --batch 2"));
    let before = fs::read(folder.path("run").join("training_state.safetensors")).expect("the state");
    fail(&format!("{train} --config {config} --steps 3"), &["--resume", "another --out"]);
    fail(&format!("{train} --resume"), &["2 steps already"]);
    fail(&format!("{train} --resume --steps 1"), &["has taken 2 steps already, more than the 1"]);
    fail(
        &format!("{train} --resume --steps 4 --batch 3 --seed 9"),
        &["keeps its recipe", "`batch` is 2 in the run and 3 here", "`seed` is 0"],
    );
    fail(&format!("{train} --resume --steps 4 --config {rgb}"), &["`in_channels` is 1 in the run and 3 here"]);
    fail(&format!("{train} --resume --steps 4 --back-to 1"), &["no checkpoint of step 1", "none"]);
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
    assert_eq!(steps, [1, 10]);
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
    let net = "--set net.block_out_channels=[8,8] --set net.down_block_types=[\"DownBlock2D\",\"DownBlock2D\"] \
               --set net.up_block_types=[\"UpBlock2D\",\"UpBlock2D\"]";
    let train = format!("train --data {data} --out {out} --engine cpu --batch 2");
    let output = succeed(&format!("{train} --size 8 --steps 2 {net}"));
    assert!(output.stderr.contains("40 images of 8×8×3"), "{}", output.stderr);
    let config = checkpoint::read_dir(&out).expect("a model").config;
    assert_eq!((config.class_names, config.null_class), (vec!["dark".to_owned(), "light".to_owned()], Some(2)));
    succeed(&format!("evaluate --weights {out} --data {data} --engine cpu --images 2"));

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

/// Ctrl-C in the middle of a long run saves it, and it can be resumed.
#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    let folder = Folder::new();
    let data = folder.data(40);
    let config = golden::dir("grey").join("config.json");
    let out = folder.path("run");
    let mut child = Command::new(env!("CARGO_BIN_EXE_noisette"))
        .args(["train", "--engine", "cpu", "--batch", "2", "--steps", "100000000", "--data", &data, "--out"])
        .arg(&out)
        .arg("--config")
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    // The tenth step has been taken.
    while fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 2 {
        assert!(Instant::now() < deadline, "the run does not get going");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Whoever stops a service, or a machine, says TERM; Ctrl-C says INT, which goes the same way.
    let interrupted = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    assert!(child.wait().expect("it ends").success(), "an interrupted run ends well");
    assert_eq!(files(&out), RUN_FILES);
    let run = json(&fs::read_to_string(out.join("training.json")).expect("the run"));
    let step = run["step"].as_u64().expect("a step");
    assert!(step >= 10);
    let out = out.display();
    succeed(&format!("train --data {data} --out {out} --engine cpu --resume --steps {}", step + 1));
}

/// A run that is killed, at whatever moment, goes on from its last checkpoint: here it saves one after every step.
#[test]
fn a_killed_run_leaves_its_last_checkpoint() {
    let folder = Folder::new();
    let data = folder.data(40);
    let config = golden::dir("grey").join("config.json").display().to_string();
    let out = folder.text("run");
    let train = format!("train --data {data} --out {out} --engine cpu --set checkpoint_every=1 --set keep=2");
    let begin = format!("{train} --config {config} --batch 2 --steps 100000");
    for attempt in 0..3 {
        let arguments = if attempt == 0 { begin.clone() } else { format!("{train} --resume --steps 100000") };
        let before = steps_taken(&folder);
        let mut child = Command::new(env!("CARGO_BIN_EXE_noisette"))
            .args(arguments.split_whitespace())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        while steps_taken(&folder) < before + 3 {
            assert!(Instant::now() < deadline, "the run does not get going");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    let step = steps_taken(&folder);
    // The state may be one step ahead of the file that tells of it.
    let output = succeed(&format!("{train} --resume --steps {}", step + 2));
    assert!(output.stderr.contains(&format!("after {} steps", step + 2)), "{}", output.stderr);
    assert_eq!(files(&folder.path("run").join("checkpoints")).len(), 2);
}

/// The step that a run's progress tells; 0 before there is one.
fn steps_taken(folder: &Folder) -> u64 {
    let text = fs::read_to_string(folder.path("run").join("training.json")).unwrap_or_default();
    serde_json::from_str(&text).ok().and_then(|run: Value| run["step"].as_u64()).unwrap_or(0)
}

// ------------------------------------------------------------------------------------------------------- bench

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
