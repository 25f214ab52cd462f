//! Where the files of a model may lie, what is said about it, and what is refused with the names of what lies there.

use crate::{assert_says, golden};
use noisette::checkpoint::{
    self, Checkpoint, Dtype, FileParameters, ModelFolder, SCHEDULER_FILE, SchedulerConfig, TensorFile, WEIGHTS_FILE,
};
use noisette::diffusion::{BetaSchedule, Prediction};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that files are put into by their paths in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// A file of a golden net under another path.
    fn copy(&self, net: &str, file: &str, name: &str) -> &Self {
        self.write(name, fs::read(golden(net).join(file)).unwrap())
    }

    /// Config and weights of a golden net in a folder.
    fn net(&self, net: &str, dir: &str) -> &Self {
        self.copy(net, "config.json", &format!("{dir}/config.json"));
        self.copy(net, WEIGHTS_FILE, &format!("{dir}/{WEIGHTS_FILE}"))
    }

    /// A scheduler's config that is not the default.
    fn scheduler(&self, dir: &str) -> &Self {
        self.write(&format!("{dir}/{SCHEDULER_FILE}"), cosine().to_json())
    }

    /// The model at a path, and what is said of it.
    #[track_caller]
    fn open(&self, name: &str) -> (Checkpoint, String) {
        let folder = ModelFolder::find(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let notes = folder.notes().join("\n");
        (folder.read().unwrap_or_else(|error| panic!("{name}: {error}")), notes)
    }

    #[track_caller]
    fn refuse(&self, name: &str, parts: &[&str]) {
        let error = checkpoint::read_dir(self.path(name)).expect_err("it is refused").to_string();
        assert_says(&error, parts);
        assert!(!error.contains('\n'), "one sentence: {error}");
    }
}

fn cosine() -> SchedulerConfig {
    SchedulerConfig {
        beta_schedule: BetaSchedule::SquaredcosCapV2,
        prediction_type: Prediction::VPrediction,
        ..SchedulerConfig::default()
    }
}

fn tensors(net: &str) -> FileParameters {
    checkpoint::read_dir(golden(net)).unwrap().tensors
}

#[test]
fn a_pipelines_scheduler_is_found_from_wherever_the_pipeline_is_entered() {
    let folder = Folder::new();
    folder.net("grey", "pipe/unet").scheduler("pipe/scheduler");
    folder.net("grey", "old/unet").scheduler("old");
    folder.net("grey", "flat").scheduler("flat");
    // As a training script leaves it; `unet` is not its average.
    folder.net("grey", "run/checkpoint-500/unet").net("rgb", "run/checkpoint-500/unet_ema").scheduler("run/scheduler");
    let grey = Checkpoint { scheduler: cosine(), ..checkpoint::read_dir(golden("grey")).unwrap() };
    for (name, says) in [
        ("pipe", ""),
        ("pipe/unet", "the noise schedule is "),
        ("pipe/unet/config.json", "the noise schedule is "),
        ("pipe/unet/../unet/.", "the noise schedule is "),
        ("pipe/unet/diffusion_pytorch_model.safetensors", "the noise schedule is "),
        ("old", ""),
        ("old/unet", "the noise schedule is "),
        ("flat", ""),
        ("run/checkpoint-500", "the average of its weights lies beside"),
        ("run/checkpoint-500/unet", "the noise schedule is "),
    ] {
        let (found, notes) = folder.open(name);
        assert_eq!(found, grey, "{name}");
        assert_says(&notes, &[says]);
        assert_eq!(notes.is_empty(), says.is_empty(), "{name}: {notes}");
    }
    assert_says(&folder.open("run/checkpoint-500").1, &["the noise schedule is", "scheduler/scheduler_config.json"]);
    assert_eq!(folder.open("run/checkpoint-500/unet_ema").0.tensors, tensors("rgb"));
    fs::remove_dir_all(folder.path("run/checkpoint-500/unet")).unwrap();
    let (average, notes) = folder.open("run/checkpoint-500");
    assert_eq!(average.tensors, tensors("rgb"));
    assert_says(&notes, &["unet_ema: there is no other"]);
    // A scheduler that is not understood is no reason to assume another.
    folder.write("pipe/scheduler/scheduler_config.json", r#"{"_class_name": "PNDMScheduler"}"#);
    folder.refuse("pipe/unet", &["pipe/scheduler: scheduler_config.json is not supported", "PNDMScheduler"]);
}

#[test]
fn a_schedule_that_nothing_says_is_assumed_aloud() {
    let folder = Folder::new();
    folder.net("grey", "lone/unet").scheduler("other/scheduler");
    for name in ["lone", "lone/unet"] {
        let (lone, notes) = folder.open(name);
        assert!(lone.assumed_scheduler);
        assert_eq!(lone.scheduler, SchedulerConfig::default());
        assert_says(
            &notes,
            &["warning: ", "lone/unet has no scheduler_config.json", "linear noise (β from 0.0001 to 0.02)"],
        );
        assert_says(&notes, &["1000 timesteps of", "predicts epsilon", "are wrong"]);
    }
    folder.scheduler("lone/scheduler");
    assert!(!folder.open("lone/unet").0.assumed_scheduler);
}

#[test]
fn a_scheduler_config_that_says_nothing_of_the_noise_is_none() {
    let folder = Folder::new();
    folder.net("grey", "model");
    for (config, clips) in [("{}", true), (r#"{"_diffusers_version": "0.3.0", "clip_sample": false}"#, false)] {
        folder.write("model/scheduler_config.json", config);
        let (model, notes) = folder.open("model");
        assert!(model.assumed_scheduler, "{config}");
        assert_eq!(model.scheduler, SchedulerConfig { clip_sample: clips, ..SchedulerConfig::default() });
        assert_says(&notes, &["warning: ", "model/scheduler_config.json says nothing of the noise: assumed are "]);
        assert_says(
            &notes,
            &["1000 timesteps of linear noise (β from 0.0001 to 0.02)", "predicts epsilon", "are wrong"],
        );
    }
    for said in [
        r#""_class_name": "DDIMScheduler""#,
        r#""num_train_timesteps": 1000"#,
        r#""timesteps": 1000"#,
        r#""beta_start": 1e-4"#,
        r#""beta_end": 0.02"#,
        r#""beta_schedule": "linear""#,
        r#""prediction_type": "epsilon""#,
        r#""predict_epsilon": true"#,
    ] {
        folder.write("model/scheduler_config.json", format!("{{{said}}}"));
        let (model, notes) = folder.open("model");
        assert!(!model.assumed_scheduler && notes.is_empty(), "{said}: {notes}");
    }
}

#[test]
fn variants_open_where_there_is_no_choice() {
    let folder = Folder::new();
    let put = |dir: &str, names: &[&str]| {
        folder.copy("grey", "config.json", &format!("{dir}/config.json")).scheduler(dir);
        for name in names {
            folder.copy("grey", WEIGHTS_FILE, &format!("{dir}/{name}"));
        }
    };
    let [half, raw] = ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.non_ema.safetensors"];
    for (dir, name) in [("half", half), ("raw", raw), ("accelerate", "model.safetensors")] {
        put(dir, &[name, "training_args.json"]);
        let (found, notes) = folder.open(dir);
        assert_eq!(found.tensors, tensors("grey"), "{dir}");
        assert_says(&notes, &[&format!("the weights are {}", folder.path(dir).join(name).display())]);
    }
    // The plain one is what is meant, and nothing need be said.
    put("plain", &[WEIGHTS_FILE, half, raw, "model.safetensors", "diffusion_pytorch_model.bin"]);
    folder.write(&format!("plain/{half}"), "not read").write("plain/model.safetensors", "not read");
    assert_eq!(folder.open("plain").1, "");
    // Two are a choice, which the name of a file makes.
    put("two", &[half, raw]);
    folder.refuse("two", &["two has no diffusion_pytorch_model.safetensors", "name the file", half, raw]);
    folder.write(&format!("two/{raw}"), "not read");
    assert_eq!(folder.open(&format!("two/{half}")).0.tensors, tensors("grey"));
    put("odd", &["ema.safetensors"]);
    folder.refuse("odd", &["name the file", "odd/ema.safetensors"]);
    assert_eq!(folder.open("odd/ema.safetensors").0.tensors, tensors("grey"));
    // What cannot be read is named.
    for pickle in ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin", "model.ckpt"] {
        let dir = format!("pickle-{pickle}");
        put(&dir, &[pickle]);
        folder.refuse(&dir, &[pickle, "is a pickle", "save_pretrained"]);
        folder.refuse(&format!("{dir}/{pickle}"), &[pickle, "is a pickle"]);
    }
    put("flax", &["diffusion_flax_model.msgpack"]);
    folder.refuse("flax", &["flax has no diffusion_pytorch_model.safetensors", "it holds", "flax_model.msgpack"]);
    // A part of a variant is no variant.
    let part = "diffusion_pytorch_model.fp16-00001-of-00002.safetensors";
    put("part", &[part]);
    folder.refuse("part", &["it holds", part]);
    put("lfs", &[]);
    folder.write(&format!("lfs/{WEIGHTS_FILE}"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    folder.refuse("lfs", &[WEIGHTS_FILE, "git lfs pull"]);
}

/// Two files with a half of the tensors each, under these names.
fn halves(folder: &Folder, dir: &str, names: [&str; 2]) -> Vec<(String, String)> {
    let mut parts = [TensorFile::new(), TensorFile::new()];
    let mut map = Vec::new();
    for (i, (name, (shape, values))) in tensors("grey").into_iter().enumerate() {
        parts[i % 2].insert_f32(&name, &shape, values);
        map.push((name, names[i % 2].to_owned()));
    }
    for (name, part) in names.iter().zip(&parts) {
        folder.write(&format!("{dir}/{name}"), part.to_bytes(Dtype::F32).unwrap());
    }
    folder.copy("grey", "config.json", &format!("{dir}/config.json")).scheduler(dir);
    map
}

fn index(map: impl IntoIterator<Item = (String, String)>) -> String {
    let map: serde_json::Map<_, _> = map.into_iter().map(|(tensor, file)| (tensor, json!(file))).collect();
    json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string()
}

#[test]
fn shards_are_one_file_if_every_tensor_is_there_once() {
    let [one, two] = [1, 2].map(|i| format!("diffusion_pytorch_model-0000{i}-of-00002.safetensors"));
    let names = [one.as_str(), two.as_str()];
    let index_file = "diffusion_pytorch_model.safetensors.index.json";
    let folder = Folder::new();
    let map = halves(&folder, "m", names);
    let put = |map: Vec<(String, String)>| {
        folder.write(&format!("m/{index_file}"), index(map));
    };
    // Without an index, with one that names nothing, with one that names all.
    assert_eq!(folder.open("m").0.tensors, tensors("grey"));
    for map in [Vec::new(), map.clone()] {
        put(map);
        let (found, notes) = folder.open("m");
        assert_eq!((found.tensors, notes.as_str()), (tensors("grey"), ""));
    }
    assert_eq!(folder.open(&format!("m/{one}")).0.tensors, tensors("grey"), "a part means all");
    let model = ModelFolder::find(folder.path("m")).unwrap();
    for (name, is) in [(one.as_str(), true), (index_file, true), ("config.json", true), ("other.json", false)] {
        folder.write("m/other.json", "{}");
        assert_eq!(model.reads(&folder.path("m").join(name)), is, "{name}");
    }

    // An index that does not tell the truth.
    let mut lie = map.clone();
    lie[0].1 = two.clone();
    put(lie);
    folder.refuse("m", &[index_file, &map[0].0, "should be in", &two, "is in", &one]);
    put([map.clone(), vec![("ghost".to_owned(), one.clone())]].concat());
    folder.refuse("m", &["ghost should be in", "is nowhere"]);
    let outside = folder.path("outside.safetensors");
    fs::copy(folder.path("m").join(&one), &outside).unwrap();
    for bad in ["../outside.safetensors", outside.to_str().unwrap()] {
        put(vec![(map[0].0.clone(), bad.to_owned())]);
        folder.refuse("m", &["outside.safetensors", "in its own folder"]);
    }
    put([map.clone(), vec![("more".to_owned(), "gone.safetensors".to_owned())]].concat());
    folder.refuse("m", &["1 of 3 parts are not there", "gone.safetensors"]);
    folder.write(&format!("m/{index_file}"), "\u{feff}{");
    folder.refuse("m", &[index_file, "not valid JSON"]);
    // A tensor twice, a part that is missing, a part that is cut.
    put(Vec::new());
    folder.copy("grey", WEIGHTS_FILE, &format!("m/{two}"));
    folder.refuse("m", &[&map[0].0, "is in", &one, &two]);
    let bytes = fs::read(folder.path("m").join(&one)).unwrap();
    folder.write(&format!("m/{one}"), &bytes[..bytes.len() - 1]);
    folder.refuse("m", &[&one, "truncated"]);
    fs::remove_file(folder.path("m").join(&one)).unwrap();
    folder.refuse("m", &["part 1 of 2 is not there"]);
    fs::remove_file(folder.path("m").join(&two)).unwrap();
    folder.refuse("m", &["no parts lie beside it"]);
}

#[test]
fn a_folder_above_or_below_is_understood_or_named() {
    let folder = Folder::new();
    folder
        .net("grey", "zip/model")
        .scheduler("zip/model")
        .write("zip/__notes.txt", "")
        .write("zip/.hidden/config.json", "");
    let (found, notes) = folder.open("zip");
    assert_eq!(found.tensors, tensors("grey"));
    assert_says(&notes, &["zip/model, one level below"]);
    folder.net("grey", "deep/pipe/unet").scheduler("deep/pipe/scheduler");
    let (found, notes) = folder.open("deep");
    assert_eq!(found.scheduler, cosine());
    assert_says(&notes, &["deep/pipe, one level below"]);
    assert!(!notes.contains("schedule"), "it lies in the folder that was named: {notes}");
    folder.refuse("deep/pipe/scheduler", &["scheduler has no config.json", "the model is", "deep/pipe"]);
    folder.net("rgb", "zip/other");
    folder.refuse("zip", &["there are 2 models in it", "zip/model", "zip/other"]);
    folder.write("papers/ho.pdf", "");
    folder.refuse("papers", &["papers has no config.json", "it holds ho.pdf", WEIGHTS_FILE]);
    fs::create_dir(folder.path("empty")).unwrap();
    folder.refuse("empty", &["empty has no config.json", "it is empty"]);
    folder.refuse("nowhere", &["nowhere has no config.json", "there is no such folder"]);
    for odd in ["papers/ho.pdf", "", "..", "/"] {
        assert!(ModelFolder::find(Path::new(odd)).and_then(|model| model.read()).is_err(), "{odd:?}");
    }
    assert_eq!(checkpoint::read_net(folder.path("deep")).unwrap(), checkpoint::read_net(golden("grey")).unwrap());
    assert_eq!(
        checkpoint::read_net(folder.path("deep/pipe/unet/config.json")).unwrap(),
        checkpoint::read_net(folder.path("deep/pipe")).unwrap()
    );
}
