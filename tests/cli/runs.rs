//! A run over its life: resumed, gone back on, interrupted, killed.

use super::program::{Folder, fail, files, json, succeed};
use crate::support::golden::{self, relative};
use noisette::checkpoint;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUN_FILES: [&str; 9] = [
    ".lock",
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
    // The last step of a run has a line, too, wherever it ends; all others are those of the unbroken run.
    let steps = |run: &str| losses(run).iter().map(|(step, _)| *step).collect::<Vec<_>>();
    assert_eq!(steps("whole"), [1, 10, 20, 24]);
    assert_eq!(steps("broken"), [1, 10, 13, 20, 24]);
    assert_eq!(losses("whole"), losses("broken").into_iter().filter(|(step, _)| *step != 13).collect::<Vec<_>>());
    let text = fs::read_to_string(folder.path("whole").join("metrics.jsonl")).expect("metrics");
    for line in text.lines().map(json) {
        for key in ["samples", "grad_norm", "lr", "samples_per_s"] {
            assert!(line[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {line}");
        }
        let errors = line["error_by_t"].as_array().expect("errors");
        assert!(errors.len() == 10 && errors.iter().any(|e| e.as_f64().is_some_and(|e| e > 0.0)), "{line}");
    }
    let plot = fs::read_to_string(folder.path("whole").join("loss.svg")).expect("a plot");
    assert!(plot.starts_with("<svg") && plot.contains("up to step 24"), "{plot}");

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
fn going_back_forgets_what_came_after() {
    let folder = Folder::new();
    let (data, config) = (folder.data(40), golden::dir("grey").join("config.json").display().to_string());
    let train = format!("train --data {data} --out {} --engine cpu", folder.text("run"));
    let kept = "--set checkpoint_every=5 --set sample_every=5 --set keep=4";
    succeed(&format!("{train} --config {config} --batch 2 --steps 20 {kept}"));
    let run = folder.path("run");
    assert_eq!(files(&run.join("checkpoints")).len(), 4);
    fs::write(run.join("samples/mine.png"), "").expect("it can be written");
    succeed(&format!("{train} --resume --back-to 10 --steps 11"));
    assert_eq!(files(&run.join("checkpoints")), ["step-000005", "step-000010"]);
    assert_eq!(files(&run.join("samples")), ["mine.png", "step-000005.png", "step-000010.png"]);
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    assert_eq!(metrics.lines().map(|line| json(line)["step"].clone()).collect::<Vec<_>>(), [1, 10, 11]);
    // It goes back only if it is told to, also where it was killed between its state and the file that tells of it.
    fail(&format!("{train} --resume --back-to 7"), &["no checkpoint of step 7 in ", "run: those of 5, 10 were kept"]);
    let shorter = |steps| {
        let error =
            format!("has taken 11 steps already, more than the {steps} that it is to have: give a larger --steps");
        fail(&format!("{train} --resume --steps {steps}"), &[&error, "or go back to a checkpoint with --back-to (5)"]);
    };
    shorter(7);
    let told = fs::read_to_string(run.join("training.json")).expect("the run");
    assert!(told.contains("\"step\": 11"), "{told}");
    fs::write(run.join("training.json"), told.replace("\"step\": 11", "\"step\": 8")).expect("it can be written");
    shorter(9);
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).expect("metrics"), metrics, "nothing is done");
}

/// A run without end of the class-conditional network, which has taken ten steps.
fn endless_run(folder: &Folder, data: &str) -> Child {
    let (out, config) = (folder.path("run"), golden::dir("grey").join("config.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_noisette"));
    command.args(["train", "--engine", "cpu", "--batch", "2", "--steps", "100000000", "--data", data, "--out"]);
    under_way(command.arg(&out).arg("--config").arg(config), &out)
}

/// A run that this command begins in a folder, once it has taken ten steps.
pub(super) fn under_way(command: &mut Command, out: &Path) -> Child {
    let child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 2 {
        assert!(Instant::now() < deadline, "the run does not get going");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Interrupts a run; what it says, and its status, at its end.
#[cfg(unix)]
pub(super) fn interrupt(child: Child, signal: &str) -> (String, Option<i32>) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let end = child.wait_with_output().expect("it ends");
    (String::from_utf8(end.stderr).expect("text"), end.status.code())
}

/// While a run goes on its folder is a model for everybody, and nobody else's run; killed, it leaves no trace of that.
#[test]
fn one_process_at_a_time_trains_in_a_folder() {
    let folder = Folder::new();
    let data = folder.data(40);
    let (run, out) = (folder.path("run"), folder.text("run"));
    let mut child = endless_run(&folder, &data);
    let train = format!("train --data {data} --out {out} --engine cpu");
    fail(&format!("{train} --resume"), &["another process is training in", "run", "another --out"]);
    fail(&format!("{train} --steps 1"), &["there is a run already"]);
    let raw = folder.text("raw.safetensors");
    succeed(&format!("sample --weights {out} --steps 2 --count 1 --raw {raw} --engine cpu"));
    succeed(&format!("evaluate --weights {out} --data {data} --images 1 --bound-images 0 --engine cpu"));
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");

    // As if it had been killed while it saved; the last file is somebody else's.
    fs::create_dir_all(run.join("checkpoints/.partial")).expect("a folder");
    fs::create_dir_all(run.join("samples")).expect("a folder");
    for name in [".config.json.1.tmp", "samples/.step-000010.png.1.tmp", ".grid.png.1.tmp"] {
        fs::write(run.join(name), "half").expect("it can be written");
    }
    let step = json(&fs::read_to_string(run.join("training.json")).expect("the run"))["step"].as_u64();
    succeed(&format!("{train} --resume --steps {}", step.expect("a step") + 1));
    let mut left = files(&run);
    left.retain(|name| name.ends_with(".tmp"));
    assert_eq!(left, [".grid.png.1.tmp"]);
    assert!(files(&run.join("samples")).is_empty() && files(&run.join("checkpoints")).is_empty());
}

/// Ctrl-C in the middle of a long run saves it, and it can be resumed.
#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    let folder = Folder::new();
    let data = folder.data(40);
    let out = folder.path("run");
    let child = endless_run(&folder, &data);
    // Whoever stops a service, or a machine, says TERM; Ctrl-C says INT, which goes the same way.
    let (text, status) = interrupt(child, "-TERM");
    assert_eq!(status, Some(130), "as shells expect of what was interrupted\n{text}");
    let on = format!("to go on: noisette train --data {data} --out {} --engine cpu --resume", out.display());
    assert!(text.contains(&on), "{on:?} is not in {text}");
    assert_eq!(files(&out), RUN_FILES);
    let run = json(&fs::read_to_string(out.join("training.json")).expect("the run"));
    let step = run["step"].as_u64().expect("a step");
    assert!(step >= 10);
    let metrics = fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    assert_eq!(metrics.lines().last().map(|line| json(line)["step"].clone()), Some(step.into()));
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
    let train = format!("train --data {data} --out {out} --engine cpu --set checkpoint_every=1 --set keep=9999");
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
    // None of those that were to be kept is missing.
    let kept: Vec<String> = (1..=step + 2).map(|step| format!("step-{step:06}")).collect();
    assert_eq!(files(&folder.path("run").join("checkpoints")), kept);
}

/// The step that a run's progress tells; 0 before there is one.
fn steps_taken(folder: &Folder) -> u64 {
    let text = fs::read_to_string(folder.path("run").join("training.json")).unwrap_or_default();
    serde_json::from_str(&text).ok().and_then(|run: Value| run["step"].as_u64()).unwrap_or(0)
}
