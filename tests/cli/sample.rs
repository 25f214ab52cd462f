//! `sample`: diffusers' steps, documented noise, classes, guidance, and what a model cannot do.

use super::program::{self, Folder, f32s, fail, golden_dir, succeed};
use crate::support::golden::{self, ENGINES, largest};
use crate::support::routes::{self, Route};
use noisette::checkpoint::TensorFile;
use noisette::rng::Rng;
use serde_json::{Value, json};
use std::fs;

#[test]
fn sample_retraces_diffusers_steps() {
    ENGINES.map(Route::CommandLine).into_iter().for_each(routes::runs);
    ENGINES.map(Route::CommandLine).into_iter().for_each(routes::students);
}

/// Where nothing is set the model decides; and the images are the last state, clipped, in both files.
#[test]
fn images_are_the_last_state_of_the_trace() {
    let folder = Folder::new();
    for (net, run, arguments) in [("rgb", "ddim", "--sampler ddim --steps 12"), ("grey", "ddpm", "")] {
        let init = golden::dir(net).join(format!("sample_{run}.safetensors"));
        let paths = ["trace.safetensors", "raw.safetensors", "grid.png"].map(|name| folder.text(name));
        succeed(&format!(
            "sample --weights {} --init {} {arguments} --engine cpu --trace {} --raw {} --out {}",
            golden_dir(net),
            init.display(),
            paths[0],
            paths[1],
            paths[2],
        ));
        let (expected, trace) =
            (golden::tensors(net, &format!("sample_{run}.safetensors")), folder.read("trace.safetensors"));
        assert_eq!(trace.i64("timesteps", 1).expect("timesteps"), expected.i64("timesteps", 1).expect("diffusers'"));
        let (shape, x) = expected.f32("x", 5).expect("diffusers' states");
        let error = largest(f32s(&trace, "x", shape), x);
        assert!(error <= 3e-4, "{net}, {run}: {error:.1e}");

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
    // By name, too: those of a copy whose config calls its classes something.
    let named = folder.path("named");
    fs::create_dir(&named).expect("a folder");
    for file in ["config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(golden::dir("grey").join(file), named.join(file)).expect("a copy");
    }
    let mut config = program::json(&fs::read_to_string(named.join("config.json")).expect("the config"));
    config["_class_names"] = ["a", "b", "c", "Cat"].into();
    fs::write(named.join("config.json"), config.to_string()).expect("it can be written");
    let raw = folder.text("named.safetensors");
    let sample = format!("sample --weights {} --raw {raw} --sampler ddim --steps 2 --engine cpu", named.display());
    succeed(&format!("{sample} --count 2 --class cat"));
    assert_eq!(folder.read("named.safetensors").f32("images", 4).expect("images").1, run("--count 2 --class 3"));
    fail(&format!("{sample} --class dog"), &["--class is dog, expected 0 to 9 or none, or a name: a, b, c, Cat"]);
    // What is not set comes from scheduler_config.json, which says fixed_large, clipped, leading.
    let ddpm =
        |arguments: &str| sampled(&folder, &format!("--sampler ddpm --steps 3 --count 2 --engine cpu {arguments}"));
    assert_eq!(ddpm(""), ddpm("--variance large --clip on --spacing leading"));
    for other in ["--variance small", "--spacing trailing", "--spacing linspace"] {
        assert_ne!(ddpm(""), ddpm(other), "{other}");
    }
    assert_ne!(run("--count 2"), run("--count 2 --eta 1"));
    let [second, fourth] = ["dpmsolver++", "ipndm"]
        .map(|sampler| sampled(&folder, &format!("--sampler {sampler} --steps 5 --count 2 --engine cpu")));
    assert_eq!(second.len(), 128);
    assert_ne!(second, fourth);
    fail(
        &format!("sample --weights {} --raw {raw} --sampler ipndm --eta 1 --engine cpu", named.display()),
        &["--eta belongs to --sampler ddim, and this is ipndm"],
    );
}

/// A copy of the class-conditional network whose scheduler_config.json says more.
fn suggesting(folder: &Folder, name: &str, suggested: Value) -> String {
    let copy = folder.path(name);
    fs::create_dir(&copy).expect("a folder");
    for file in ["config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(golden::dir("grey").join(file), copy.join(file)).expect("a copy");
    }
    let path = copy.join("scheduler_config.json");
    let mut config = program::json(&fs::read_to_string(&path).expect("the config"));
    for (key, value) in suggested.as_object().expect("an object") {
        config[key] = value.clone();
    }
    fs::write(path, config.to_string()).expect("it can be written");
    copy.display().to_string()
}

#[test]
fn what_is_not_set_follows_what_the_model_suggests() {
    let folder = Folder::new();
    let model = suggesting(
        &folder,
        "quick",
        json!({ "_sampler": "dpmsolver++", "_num_inference_steps": 3, "_timestep_spacing": "trailing", "_as": "paper",
                "_guidance": 1.5 }),
    );
    let raw = folder.text("quick.safetensors");
    let said = |arguments: &str| {
        succeed(&format!("sample --weights {model} --raw {raw} --count 2 --engine cpu {arguments}")).stderr
    };
    let [three, two] = [[3, 2, 1, 8, 8], [2, 2, 1, 8, 8]];
    let init = |[steps, n, c, h, w]: [usize; 5]| {
        let mut file = TensorFile::new();
        file.insert_f32("x_T", &[n, c, h, w], vec![0.5; n * c * h * w]);
        file.insert_f32("noise", &[steps, n, c, h, w], vec![0.5; steps * n * c * h * w]);
        format!("--init {}", folder.write(&format!("{steps}.safetensors"), &file))
    };
    let suggested = "DPM-Solver++, 3 steps, trailing as paper, guidance 1.5";
    for (arguments, line) in [
        ("", suggested),
        ("--sampler dpmsolver++", suggested),
        (&init(three), suggested),
        (&init(two), "DPM-Solver++, 2 steps, trailing as paper, guidance 1.5"),
        ("--steps 1", "DPM-Solver++, 1 step, trailing as paper, guidance 1.5"),
        ("--spacing leading", "DPM-Solver++, 3 steps, leading as paper, guidance 1.5"),
        ("--as diffusers --guidance 1", "DPM-Solver++, 3 steps, trailing as diffusers, guidance 1"),
        ("--class none", "DPM-Solver++, 3 steps, trailing as paper"),
        // What is suggested for one sampler is not for another.
        ("--sampler ddim --steps 2", "DDIM, 2 steps, leading as diffusers, x_0 clipped to 1, guidance 1"),
        ("--sampler ddim", "DDIM, 50 steps, leading as diffusers, x_0 clipped to 1, guidance 1"),
    ] {
        let text = said(arguments);
        assert!(text.lines().any(|found| found == line), "{arguments}: {line:?} is not a line of\n{text}");
    }
    said("");
    let images = folder.read("quick.safetensors").f32("images", 4).expect("images").1.to_vec();
    let same = "--sampler dpmsolver++ --steps 3 --spacing trailing --as paper --guidance 1.5";
    assert_eq!(images, sampled(&folder, &format!("--count 2 --engine cpu {same}")), "and it is what is done");

    let model = suggesting(&folder, "ddim", json!({ "_sampler": "ddim", "_num_inference_steps": 2, "_eta": 0.5 }));
    let said = |arguments: &str| {
        succeed(&format!("sample --weights {model} --raw {raw} --count 1 --engine cpu {arguments}")).stderr
    };
    let text = said("");
    assert!(text.contains("DDIM, 2 steps, leading as diffusers, eta 0.5, x_0 clipped to 1, guidance 1\n"), "{text}");
    assert!(!said("--eta 0").contains("eta 0.5"));
    let text = said("--sampler ddpm --steps 2");
    assert!(
        text.contains("DDPM, 2 steps, leading as diffusers, large variance, x_0 clipped to 1, guidance 1"),
        "{text}"
    );
}

#[test]
fn what_changes_nothing_or_shows_nothing_is_said() {
    let folder = Folder::new();
    let raw = folder.text("raw.safetensors");
    let sample = format!("sample --weights {} --raw {raw} --count 1 --engine cpu", golden_dir("grey"));
    let guided = format!("{sample} --sampler ddim --steps 2 --class none --guidance");
    let note = "--guidance 5 has no effect: no image has a class";
    assert!(succeed(&format!("{guided} 5")).stderr.contains(note));
    assert!(!succeed(&format!("{guided} 1")).stderr.contains("no effect"));
    // The network is asked where it takes x for a picture, and leaves the noise that it is.
    let warning = "warning: the network is asked at timestep 0 only";
    for (arguments, is_noise) in [
        ("--sampler ddim --steps 1 --spacing leading", true),
        ("--sampler ddim --steps 1 --spacing linspace --as paper", true),
        ("--sampler ddim --steps 1 --spacing trailing", false),
        ("--sampler ddim --steps 2 --spacing leading", false),
        ("--sampler dpmsolver++ --steps 1 --spacing leading", false),
    ] {
        let text = succeed(&format!("{sample} {arguments}")).stderr;
        assert_eq!(text.contains(warning), is_noise, "{arguments}\n{text}");
    }
}

#[test]
fn a_png_is_called_one() {
    let folder = Folder::new();
    let sample =
        format!("sample --weights {} --count 1 --sampler ddim --steps 1 --engine cpu --out", golden_dir("grey"));
    for name in ["a.jpg", "a.png.webp"] {
        fail(&format!("{sample} {}", folder.text(name)), &["--out is ", name, "expected a name that ends in .png"]);
        assert!(!folder.path(name).exists());
    }
    for name in ["a", "a.PNG", "b.v2.png"] {
        succeed(&format!("{sample} {}", folder.text(name)));
    }
}

#[test]
fn as_paper_steps_follow_the_list_and_end_without_noise() {
    let folder = Folder::new();
    let run = |arguments: &str| sampled(&folder, &format!("--count 2 --clip off --engine cpu {arguments}"));
    let three = "--sampler ddim --steps 3 --spacing trailing";
    assert_eq!(run(three), run(&format!("{three} --as diffusers")), "the default");
    let last = "--sampler ddpm --steps 3 --spacing trailing --variance large --as paper --seed 1";
    let other_noise = |file: &mut TensorFile, last: f32| {
        file.insert_f32("x_T", &[2, 1, 8, 8], Rng::new(0).normals(128));
        let mut noise = Rng::new(5).normals(2 * 128);
        noise.extend(vec![last; 128]);
        file.insert_f32("noise", &[3, 2, 1, 8, 8], noise);
        folder.write("init.safetensors", file)
    };
    let [a, b] = [0.0, 9.0].map(|z| run(&format!("{last} --init {}", other_noise(&mut TensorFile::new(), z))));
    assert_eq!(a, b, "no noise in the last step");
    let last = last.replace("--as paper", "");
    let [a, b] = [0.0, 9.0].map(|z| run(&format!("{last} --init {}", other_noise(&mut TensorFile::new(), z))));
    assert_ne!(a, b, "which diffusers adds");
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
        ("--class -1", &["--class is -1", "0 to 9 or none"]),
        ("--class cat", &["--class is cat", "0 to 9 or none"]),
        ("--guidance inf", &["guidance", "inf"]),
        ("--guidance 1e9", &["guidance", "1000000000"]),
        ("--count 0", &["--count", "0"]),
        ("--count 1000000", &["--count", "1000000"]),
        ("--seed -1", &["--seed", "-1"]),
        ("--seed 18446744073709551616", &["--seed", "18446744073709551616"]),
        ("--spacing dense", &["dense", "leading", "trailing", "linspace"]),
        ("--as thesis", &["thesis", "diffusers", "paper"]),
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
