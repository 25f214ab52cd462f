//! A model distilled from outside: the run's files, the folder that comes of it, and what is refused.

use super::program::{Folder, fail, files, golden_dir, json, noisette, succeed};
use crate::support::golden;
use noisette::checkpoint;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A copy of the class-conditional network that says it predicts v, and whose config.json says more.
fn teacher(folder: &Folder, name: &str, net: Value, scheduler: Value) -> String {
    let copy = folder.path(name);
    fs::create_dir(&copy).expect("a folder");
    fs::copy(
        golden::dir("grey").join("diffusion_pytorch_model.safetensors"),
        copy.join("diffusion_pytorch_model.safetensors"),
    )
    .expect("a copy");
    for (file, changes) in [("config.json", net), ("scheduler_config.json", scheduler)] {
        let mut config = json(&fs::read_to_string(golden::dir("grey").join(file)).expect("the config"));
        for (key, value) in changes.as_object().expect("an object") {
            config[key] = value.clone();
        }
        fs::write(copy.join(file), config.to_string()).expect("it can be written");
    }
    copy.display().to_string()
}

fn of_v() -> Value {
    json!({ "prediction_type": "v_prediction", "clip_sample": false })
}

fn config(run: &Path, file: &str) -> Value {
    json(&fs::read_to_string(run.join(file)).expect("the config"))
}

#[test]
fn a_distilled_folder_samples_with_its_own_steps_and_with_no_others() {
    let folder = Folder::new();
    let (data, model) = (folder.data(40), teacher(&folder, "v", json!({}), of_v()));
    let fast = folder.path("fast");
    let distill = format!("distill --weights {model} --data {data} --out {} --engine cpu", fast.display());
    let text =
        succeed(&format!("{distill} --steps 2 --guidance 1.5 --from-steps 8 --images 12 --batch 4 --valid-steps 4"))
            .stderr;
    assert!(text.contains("8 to 4 to 2 steps of DDIM, 3 steps for each halving, guidance 1.5"), "{text}");
    assert!(text.contains("after 6 steps of 6"), "{text}");

    let [net, scheduler] = ["config.json", "scheduler_config.json"].map(|file| config(&fast, file));
    assert_eq!((&net["num_class_embeds"], net.get("_null_class")), (&json!(10), None));
    for (key, value) in [
        ("_class_name", json!("DDIMScheduler")),
        ("timestep_spacing", json!("trailing")),
        ("prediction_type", json!("v_prediction")),
        ("_num_inference_steps", json!(2)),
        ("_valid_steps", json!([2, 4])),
        ("_guidance", json!(1.5)),
        ("_sampler", json!("ddim")),
        ("_as", json!("paper")),
        ("_eta", json!(0.0)),
    ] {
        assert_eq!(scheduler[key], value, "{key}");
    }
    let table = &checkpoint::read_dir(&fast).expect("a model").tensors["class_embedding.weight"].0;
    assert_eq!(table[0], 10);
    // The student of every halving is kept, and is a model.
    assert_eq!(files(&fast.join("checkpoints")), ["step-000003", "step-000006"]);
    let kept = fast.join("checkpoints/step-000003");
    assert_eq!(config(&kept, "scheduler_config.json")["_valid_steps"], json!([4]));
    let lines = fs::read_to_string(fast.join("metrics.jsonl")).expect("metrics");
    assert_eq!(lines.lines().map(|line| json(line)["step"].clone()).collect::<Vec<_>>(), [1, 6]);

    let raw = folder.text("raw.safetensors");
    let sample = |model: &Path, rest: &str| {
        noisette(&format!("sample --weights {} --raw {raw} --count 2 --engine cpu {rest}", model.display()))
    };
    for (model, rest, line) in [
        (&fast, "", "DDIM, 2 steps, trailing as paper"),
        (&fast, "--steps 4", "DDIM, 4 steps, trailing as paper"),
        (&fast, "--guidance 1", "DDIM, 2 steps, trailing as paper"),
        (&fast, "--guidance 1.5 --sampler ddim --eta 0", "DDIM, 2 steps, trailing as paper"),
        // The letters agree where the steps divide T.
        (&fast, "--as diffusers", "DDIM, 2 steps, trailing as diffusers"),
        (&kept, "", "DDIM, 4 steps, trailing as paper"),
    ] {
        let output = sample(model, rest);
        assert!(output.success && output.stderr.lines().any(|found| found == line), "{rest}\n{}", output.stderr);
    }
    let made = "the model was distilled for 2 or 4 steps of ddim, trailing as paper, with eta 0 and guidance 1.5 in its weights";
    for (rest, found) in [
        ("--steps 3", "found 3 steps"),
        ("--steps 50", "found 50 steps"),
        ("--guidance 2", "found guidance 2"),
        ("--guidance 0", "found guidance 0"),
        ("--sampler dpmsolver++", "found the sampler dpmsolver++"),
        ("--sampler ddpm --steps 2", "found the sampler ddpm"),
        ("--eta 0.5", "found eta 0.5"),
        ("--spacing leading", "found leading spacing as paper, which leads to other noise levels"),
    ] {
        fail(&format!("sample --weights {} --raw {raw} --engine cpu {rest}", fast.display()), &[made, found]);
    }
    // Trained on data it is a model like any other.
    let on = folder.path("on");
    let train = format!("train --from {} --data {data} --out {} --engine cpu", fast.display(), on.display());
    let text = succeed(&format!("{train} --steps 1 --batch 2")).stderr;
    assert!(text.contains("forgets its steps and its guidance"), "{text}");
    assert_eq!(config(&on, "scheduler_config.json").get("_valid_steps"), None);
}

#[test]
fn a_resumed_distillation_ends_as_the_unbroken_one_does() {
    let folder = Folder::new();
    let (data, model) = (folder.data(40), teacher(&folder, "v", json!({}), of_v()));
    let plan = "--steps 1 --guidance 2 --from-steps 4 --images 20 --batch 4 --seed 3 --set sample_every=4";
    let distill = |out: &str, rest: &str| {
        let out = folder.text(out);
        noisette(&format!("distill --weights {model} --data {data} --out {out} --engine cpu {plan} {rest}"))
    };
    assert!(distill("whole", "").success);
    let whole = folder.path("whole");
    assert_eq!(files(&whole.join("samples")), ["step-000004.png", "step-000008.png"]);
    let last =
        ["diffusion_pytorch_model.safetensors", "training_state.safetensors", "scheduler_config.json", "recipe.toml"];
    // The end of the first halving was kept. A run that was killed in the middle of one has nothing else than such files.
    let kept = whole.join("checkpoints/step-000005");
    let broken = folder.path("broken");
    fs::create_dir(&broken).expect("a folder");
    for file in files(&kept) {
        fs::copy(kept.join(&file), broken.join(&file)).expect("a copy");
    }
    let output = distill("broken", "--resume");
    assert!(output.success, "{}", output.stderr);
    for file in last {
        let [a, b] = [&whole, &broken].map(|run| fs::read(run.join(file)).expect(file));
        assert!(a == b, "{file} differs");
    }
    let output = distill("broken", "--resume");
    assert!(
        !output.success && output.stderr.contains("the run is done: it has its 10 steps already"),
        "{}",
        output.stderr
    );
    let out = broken.display();
    fail(&format!("train --data {data} --out {out} --resume"), &["is a run of distill", "noisette distill"]);
    let other = |rest: &str, parts: &[&str]| fail(&format!("distill --data {data} --out {out} --resume {rest}"), parts);
    other("--guidance 3", &["--guidance is 3, and 2 in the run"]);
    other("--steps 2", &["--steps is 2, and 1 in the run"]);
    other("--images 40", &["--images is 40, and 20 in the run"]);
    other("--lr 1", &["a resumed run keeps its recipe", "`lr` is 0.0001 in the run and 1.0 here"]);
}

#[test]
fn what_cannot_be_distilled_leaves_no_folder() {
    let folder = Folder::new();
    let data = folder.data(20);
    let out = folder.text("out");
    let v = teacher(&folder, "v", json!({}), of_v());
    let sure = teacher(&folder, "sure", json!({ "_null_class": null }), of_v());
    let grey = golden_dir("grey");
    for (model, rest, parts) in [
        (&grey, "--steps 4 --guidance 1.5", &["expected a model that predicts v_prediction, found epsilon"][..]),
        (&sure, "--steps 4 --guidance 1.5", &["no null class", "guidance must be 1, found 1.5"]),
        (&v, "--steps 3 --from-steps 16 --guidance 1", &["2, 4, 8 or so times 3, found 16"]),
        (&v, "--steps 4 --from-steps 4 --guidance 1", &["times 4, found 4"]),
        (&v, "--steps 600 --guidance 1", &["1 to 1000 steps", "found 1200"]),
        (&v, "--steps 0 --guidance 1", &["--steps", "0"]),
        (&v, "--steps 4 --guidance 99", &["from -20 to 20, found 99"]),
        (&v, "--steps 4 --guidance 1 --valid-steps 0", &["found 0"]),
        (&v, "--steps 4 --guidance 1 --set prediction=epsilon", &["keeps its network and noise", "prediction"]),
        (&v, "--steps 4 --guidance 1 --set steps=7", &["--set steps", "follows from"]),
        (&v, "--steps 4", &["--guidance"]),
    ] {
        fail(&format!("distill --weights {model} --data {data} --out {out} --engine cpu {rest}"), parts);
        assert!(!folder.path("out").exists(), "{rest}");
    }
    fail(&format!("distill --data {data} --out {out} --resume"), &["no run to resume"]);
    // A null class between the others keeps its row, and that is said; it is still nobody's label.
    let between = teacher(&folder, "between", json!({ "_null_class": 4 }), of_v());
    let quick = "--steps 8 --guidance 1 --images 1 --batch 1 --engine cpu";
    let output = noisette(&format!("distill --weights {between} --data {data} --out {out} {quick}"));
    assert!(
        !output.success && output.stderr.contains("label 4, the null class, is not the last one"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("has label 4 at index 4"), "{}", output.stderr);
}

/// Stopped in the middle of a halving, a run goes on as if it had not been.
#[cfg(unix)]
#[test]
fn an_interrupted_distillation_goes_on_where_it_was() {
    use super::runs::{interrupt, under_way};
    use std::process::Command;
    let folder = Folder::new();
    let (data, model) = (folder.data(40), teacher(&folder, "v", json!({}), of_v()));
    let out = folder.path("run");
    let arguments = |out: &Path| {
        let out = out.display();
        format!(
            "distill --weights {model} --data {data} --out {out} --engine cpu --steps 1 --from-steps 2 --guidance 2 --images 600 \
             --batch 2"
        )
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_noisette"));
    let child = under_way(command.args(arguments(&out).split_whitespace()), &out);
    let (text, status) = interrupt(child, "-INT");
    assert_eq!(status, Some(130), "{text}");
    let on = format!("distill --data {data} --out {} --engine cpu --resume", out.display());
    assert!(text.contains(&format!("to go on: noisette {on}")), "{text}");
    let step = config(&out, "training.json")["step"].as_u64().expect("a step");
    assert!((10..300).contains(&step), "{step}");
    succeed(&on);
    let whole = folder.path("whole");
    succeed(&arguments(&whole));
    for file in ["diffusion_pytorch_model.safetensors", "training_state.safetensors", "scheduler_config.json"] {
        let [a, b] = [&whole, &out].map(|run| fs::read(run.join(file)).expect(file));
        assert!(a == b, "{file} differs after a break at step {step}");
    }
}
