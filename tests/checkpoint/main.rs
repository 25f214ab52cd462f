//! Weights folders: round trips, PyTorch's files, and every way in which a file can be bad.
#![cfg(not(target_arch = "wasm32"))]

mod configs;
mod folders;

use noisette::checkpoint::{
    self, Checkpoint, CheckpointError, Dtype, SchedulerConfig, TensorFile, Values, WEIGHTS_FILE,
};
use noisette::diffusion::Variance;
use noisette::graph::{Graph, ParamKind, ParamSpec};
use noisette::model::config::{BlockType, UnetConfig};
use noisette::model::step::prediction;
use noisette::tensor::Shape;
use std::fs;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// One parameter of each kind, none of them square.
fn specs() -> Vec<ParamSpec> {
    let mut g = Graph::new();
    g.scoped("layer", |g| {
        g.parameter("conv.weight", ParamKind::Conv, Shape::new(3, 2, 4, 5));
        g.parameter("conv.bias", ParamKind::Bias { fan_in: 24 }, Shape::vector(5));
    });
    g.parameter("to_q.weight", ParamKind::Linear, Shape::new(1, 1, 3, 2));
    g.parameter("norm.weight", ParamKind::Scale, Shape::vector(4));
    g.parameter("norm.bias", ParamKind::Shift, Shape::vector(4));
    g.parameter("class_embedding.weight", ParamKind::Embedding, Shape::new(1, 1, 7, 3));
    g.parameters()
}

fn values(specs: &[ParamSpec]) -> Vec<Vec<f32>> {
    specs.iter().enumerate().map(|(k, s)| (0..s.shape.len()).map(|i| (k * 1000 + i) as f32 + 0.5).collect()).collect()
}

fn small_checkpoint() -> Checkpoint {
    Checkpoint {
        config: UnetConfig::digits(),
        scheduler: SchedulerConfig::default(),
        assumed_scheduler: false,
        tensors: checkpoint::store_parameters(&specs(), &values(&specs())),
    }
}

/// A safetensors file made by hand: header text and data.
fn raw_file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn read_error(bytes: &[u8]) -> String {
    TensorFile::from_bytes(bytes).expect_err("the file is bad").to_string()
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "expected {part:?} in: {text}");
    }
}

#[test]
fn layouts_are_pytorchs() {
    let specs = specs();
    let stored = checkpoint::store_parameters(&specs, &values(&specs));
    // [kh, kw, ci, co] = [3, 2, 4, 5]: the value of tap (2, 1), input 3, output 4 of the graph …
    let graph = ((2 * 2 + 1) * 4 + 3) * 5 + 4;
    let (shape, conv) = &stored["layer.conv.weight"];
    assert_eq!(shape, &[5, 4, 3, 2]);
    // … stands in the file where OIHW has it.
    assert_eq!(conv[((4 * 4 + 3) * 3 + 2) * 2 + 1], graph as f32 + 0.5);
    assert_eq!(conv[1], 20.5, "the next tap of the same input and output");
    let (shape, linear) = &stored["to_q.weight"];
    assert_eq!(
        (shape.as_slice(), linear.as_slice()),
        (&[2, 3][..], &[2000.5, 2002.5, 2004.5, 2001.5, 2003.5, 2005.5][..])
    );
    let (shape, table) = &stored["class_embedding.weight"];
    assert_eq!(shape, &[7, 3]);
    assert_eq!(table[..4], [5000.5, 5001.5, 5002.5, 5003.5], "a table is not transposed");
    assert_eq!(stored["norm.bias"].0, [4]);
    assert_eq!(checkpoint::load_parameters(&stored, &specs).unwrap(), values(&specs));
}

#[test]
fn a_folder_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/model");
    let saved = small_checkpoint();
    checkpoint::write_dir(&folder, &saved, Dtype::F32).unwrap();
    assert_eq!(checkpoint::read_dir(&folder).unwrap(), saved);
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.json", WEIGHTS_FILE, "scheduler_config.json"], "nothing is left over");
    let bytes = fs::read(folder.join(WEIGHTS_FILE)).unwrap();
    checkpoint::write_dir(&folder, &saved, Dtype::F32).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS_FILE)).unwrap(), bytes, "equal parameters make equal bytes");
}

#[test]
fn f16_rounds_to_nearest_and_bf16_widens() {
    let mut saved = small_checkpoint();
    saved.tensors.get_mut("norm.weight").unwrap().1 = vec![1.0 / 3.0, -65504.0, 6e-8, 1.0 + 1.0 / 2048.0];
    let dir = tempfile::tempdir().unwrap();
    checkpoint::write_dir(dir.path(), &saved, Dtype::F16).unwrap();
    let read = checkpoint::read_dir(dir.path()).unwrap();
    // The last one lies in the middle of two and goes to the even one.
    assert_eq!(read.tensors["norm.weight"].1, [0.333_251_95, -65504.0, 5.960_464_5e-8, 1.0]);
    saved.tensors.get_mut("norm.weight").unwrap().1[2] = 65520.0;
    let error = checkpoint::write_dir(dir.path(), &saved, Dtype::F16).unwrap_err().to_string();
    assert_says(&error, &["norm.weight", "6.552e4", "65504", "F32"]);
    assert_eq!(checkpoint::read_dir(dir.path()).unwrap(), read, "the previous checkpoint survives");
    // BF16 is the upper half of F32.
    let file = raw_file(r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#, &[0x80, 0x3f, 0x49, 0xc0]);
    let values = &TensorFile::from_bytes(&file).unwrap().tensors["a"].values;
    assert_eq!(*values, Values::F32(vec![1.0, -3.140_625]));
}

#[test]
fn numbers_and_labels_round_trip() {
    let mut file = TensorFile::new();
    file.insert_f32("sample", &[2, 1, 1, 3], vec![1.5, -2.0, 0.0, 3.0, 4.0, 5e-30]);
    file.insert_i64("timestep", &[2], vec![0, -9_000_000_000_000]);
    file.insert_f32("x", &[1, 1, 1, 1, 1], vec![7.0]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/in.safetensors");
    checkpoint::write_tensors(&path, &file).unwrap();
    let read = checkpoint::read_tensors(&path).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.f32("sample", 4).unwrap(), (&[2, 1, 1, 3][..], &[1.5, -2.0, 0.0, 3.0, 4.0, 5e-30][..]));
    assert_eq!(read.i64("timestep", 1).unwrap(), (&[2][..], &[0, -9_000_000_000_000][..]));
    assert_says(&read.f32("sampel", 4).unwrap_err().to_string(), &["no tensor sampel", "sample, timestep, x"]);
    assert_says(&read.f32("timestep", 1).unwrap_err().to_string(), &["timestep holds I64, expected F32"]);
    assert_says(&read.i64("sample", 4).unwrap_err().to_string(), &["sample holds F32, expected I64"]);
    assert_says(
        &read.f32("sample", 3).unwrap_err().to_string(),
        &["sample has the shape [2, 1, 1, 3], expected 3 axes"],
    );
    file.insert_f32("short", &[3], vec![1.0]);
    assert_says(&checkpoint::write_tensors(&path, &file).unwrap_err().to_string(), &["short", "4 bytes"]);
    assert_eq!(checkpoint::read_tensors(&path).unwrap(), read, "the previous file survives");
}

#[test]
fn every_truncation_is_noticed() {
    let files = small_checkpoint().to_files(Dtype::F32).unwrap();
    let bytes = &files.iter().find(|(name, _)| name == WEIGHTS_FILE).unwrap().1;
    assert!(bytes.len() > 1000);
    for length in 0..bytes.len() {
        assert!(TensorFile::from_bytes(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    assert_says(&read_error(&bytes[..bytes.len() - 1]), &["truncated"]);
    assert_says(&read_error(&bytes[..100]), &["truncated"]);
    assert_says(&read_error(&bytes[..5]), &["5 bytes"]);
    assert!(TensorFile::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err(), "bytes after the end");
}

#[test]
fn no_byte_of_the_header_makes_a_panic() {
    let files = small_checkpoint().to_files(Dtype::F32).unwrap();
    let bytes = &files.iter().find(|(name, _)| name == WEIGHTS_FILE).unwrap().1;
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize + 8;
    let mut refused = 0;
    for at in 0..header {
        for value in [0, b'"', b'9', b'{', 0x7f, 0xff] {
            let mut bad = bytes.clone();
            bad[at] = value;
            refused += usize::from(TensorFile::from_bytes(&bad).is_err());
        }
    }
    assert!(refused > header, "{refused} of {} changes were refused", 6 * header);
}

#[test]
fn files_beyond_the_limits_are_refused() {
    let huge = [(1_u64 << 40).to_le_bytes().as_slice(), b"{}"].concat();
    assert_says(&read_error(&huge), &["header", "1099511627776", "at most 1048576"]);
    assert_says(&read_error(&[u64::MAX.to_le_bytes().as_slice(), b"{}"].concat()), &["header"]);
    let entry = |name: &str, dtype: &str, shape: &str, end: usize| {
        format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let many: Vec<String> =
        (0..5000).map(|i| format!(r#""t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    assert_says(&read_error(&raw_file(&format!("{{{}}}", many.join(",")), &[])), &["5000 tensors", "at most 4096"]);
    let long = "n".repeat(300);
    assert_says(&read_error(&raw_file(&entry(&long, "F32", "[1]", 4), &[0; 4])), &["nnn…", "256"]);
    assert_says(
        &read_error(&raw_file(&entry("a", "F32", "[1,1,1,1,1,1]", 4), &[0; 4])),
        &["a has 6 axes", "at most 5"],
    );
    for (dtype, size) in [("F64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1), ("F8_E4M3", 1)] {
        // What would do is known to whoever asks for the tensor.
        let bytes = raw_file(&entry("conv_in.weight", dtype, "[1]", size), &vec![0; size]);
        let read = TensorFile::from_bytes(&bytes).expect("nobody asked for it yet");
        let text = |error: CheckpointError| error.to_string();
        let expected = |kinds: &str| format!("conv_in.weight holds {dtype}, expected {kinds}");
        assert_eq!(read.i64("conv_in.weight", 1).map_err(text), Err(expected("I64")));
        assert_eq!(read.f32("conv_in.weight", 1).map_err(text), Err(expected("F32, F16 or BF16")));
        let config = fs::read(golden("grey").join("config.json")).expect("a config");
        let model = Checkpoint::from_bytes(&config, None, &bytes);
        assert_eq!(model.map(drop).map_err(text), Err(expected("F32, F16 or BF16")));
        assert_eq!(read.to_bytes(Dtype::F32).map_err(text), Err(expected("F32, F16, BF16 or I64")));
    }
    // Shapes whose product overflows, that do not match the data, or overlap.
    assert!(TensorFile::from_bytes(&raw_file(&entry("a", "F32", "[4294967296,4294967296,4]", 4), &[0; 4])).is_err());
    assert!(TensorFile::from_bytes(&raw_file(&entry("a", "F32", "[3]", 4), &[0; 4])).is_err());
    let overlap = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(TensorFile::from_bytes(&raw_file(overlap, &[0; 4])).is_err());
}

#[test]
fn nan_and_infinity_are_named() {
    let header = |dtype: &str, end: usize| {
        format!(r#"{{"mid.weight":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{end}]}}}}"#)
    };
    let f32s = |values: [f32; 2]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let text = read_error(&raw_file(&header("F32", 8), &f32s([1.0, f32::NAN])));
    assert_says(&text, &["mid.weight", "NaN", "index 1"]);
    assert_says(&read_error(&raw_file(&header("F32", 8), &f32s([f32::NEG_INFINITY, 0.0]))), &["-inf", "index 0"]);
    assert_says(&read_error(&raw_file(&header("F16", 4), &[0, 0, 0, 0x7e])), &["NaN", "index 1"]);
    assert_says(&read_error(&raw_file(&header("BF16", 4), &[0x80, 0x7f, 0, 0])), &["inf", "index 0"]);
    let mut bad = small_checkpoint();
    bad.tensors.get_mut("norm.bias").unwrap().1[3] = f32::NAN;
    assert_says(&bad.to_files(Dtype::F32).unwrap_err().to_string(), &["norm.bias", "NaN", "index 3"]);
}

#[test]
fn missing_extra_and_misshaped_parameters_are_all_listed() {
    let mut tensors = small_checkpoint().tensors;
    tensors.remove("norm.weight");
    tensors.get_mut("to_q.weight").unwrap().0 = vec![3, 2];
    for i in 0..12 {
        tensors.insert(format!("extra.{i:02}"), (vec![1], vec![0.0]));
    }
    let error = checkpoint::load_parameters(&tensors, &specs()).unwrap_err();
    let text = error.to_string();
    assert_says(&text, &["1 missing (norm.weight)", "12 not expected (extra.00; ", "extra.09; … (12 in all)"]);
    assert_says(&text, &["1 of another shape (to_q.weight is [3, 2], expected [2, 3])"]);
    assert!(!text.contains("extra.10"), "{text}");
    let CheckpointError::Parameters { missing, extra, mismatched } = error else { panic!("{text}") };
    assert_eq!((missing.len(), extra.len(), mismatched.len()), (1, 12, 1));
}

#[test]
fn old_names_of_attention_are_understood() {
    let path = golden("grey");
    let [config, scheduler, weights] =
        ["config.json", "scheduler_config.json", WEIGHTS_FILE].map(|name| fs::read(path.join(name)).unwrap());
    let present = Checkpoint::from_bytes(&config, Some(&scheduler), &weights).unwrap();
    let mut file = TensorFile::new();
    let mut renamed = 0;
    for (name, (shape, values)) in &present.tensors {
        let old = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
            .iter()
            .fold(name.clone(), |name, (new, old)| name.replace(&format!(".{new}."), &format!(".{old}.")));
        renamed += usize::from(old != *name);
        file.insert_f32(old, shape, values.clone());
    }
    // Four attentions with four layers, weight and bias each.
    assert_eq!(renamed, 32);
    let old = file.to_bytes(Dtype::F32).unwrap();
    assert_eq!(Checkpoint::from_bytes(&config, Some(&scheduler), &old).unwrap(), present);
    file.insert_f32("mid_block.attentions.0.to_q.bias", &[1], vec![0.0]);
    let twice = Checkpoint::from_bytes(&config, None, &file.to_bytes(Dtype::F32).unwrap()).unwrap_err();
    assert_says(&twice.to_string(), &["mid_block.attentions.0.to_q.bias twice"]);
}

#[test]
fn pytorchs_folders_load() {
    let rgb = checkpoint::read_dir(golden("rgb")).unwrap();
    let c = &rgb.config;
    assert_eq!((c.channels, c.sample_size, c.layers_per_block), (3, [8, 8], 2));
    assert_eq!((c.downsample_padding, c.freq_shift, c.flip_sin_to_cos, c.attention_head_dim), (0, 1.0, false, None));
    assert_eq!((c.block_out_channels.as_slice(), c.norm_eps, c.classes()), (&[6, 8, 10][..], 1e-6, 0));
    assert_eq!(c.down_block_types, [BlockType::Plain, BlockType::Attention, BlockType::Plain]);
    assert_eq!((c.time_dim(), c.heads(8), c.size_multiple()), (24, 1, 4));
    assert_eq!(rgb.scheduler.variance_type, Variance::FixedLarge);
    assert_eq!(rgb.tensors["conv_in.weight"].0, [6, 3, 3, 3]);
    let count = |c: &Checkpoint| c.tensors.values().map(|(_, values)| values.len()).sum::<usize>();
    assert_eq!(count(&rgb), 37_991);

    let grey = checkpoint::read_dir(golden("grey")).unwrap();
    let c = &grey.config;
    assert_eq!(
        (c.num_class_embeds, c.null_class, c.classes(), c.class_names[9].as_str()),
        (Some(11), Some(10), 10, "9")
    );
    assert_eq!((c.time_dim(), c.heads(12), c.size_multiple()), (20, 3, 2));
    assert_eq!(grey.tensors["class_embedding.weight"].0, [11, 20]);
    assert_eq!(count(&grey), 28_361);
    assert!(!grey.assumed_scheduler);

    for net in ["rgb", "grey"] {
        let gradients = checkpoint::read_tensors(golden(net).join("gradients.safetensors")).unwrap();
        let weights = checkpoint::read_dir(golden(net)).unwrap().tensors;
        let named = gradients.tensors.keys().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(named, weights.len());
        for (name, (shape, _)) in &weights {
            assert_eq!(gradients.tensors[&format!("grad.{name}")].shape, *shape, "{name}");
        }
    }
}

#[test]
fn the_network_has_pytorchs_parameters() {
    for net in ["rgb", "grey"] {
        let saved = checkpoint::read_dir(golden(net)).unwrap();
        let specs = prediction(&saved.config, Shape::new(2, 8, 12, saved.config.channels)).parameters();
        let loaded = saved.load_parameters(&specs).unwrap();
        assert_eq!(checkpoint::store_parameters(&specs, &loaded), saved.tensors, "{net}");
    }
    // The counts of google/ddpm-cifar10-32, and those that diffusers has for our own.
    for (config, tensors, values) in
        [(UnetConfig::ddpm_cifar10(), 328, 35_746_307), (UnetConfig::digits(), 183, 1_114_209)]
    {
        let [h, w] = config.sample_size;
        let specs = prediction(&config, Shape::new(1, h, w, config.channels)).parameters();
        assert_eq!((specs.len(), specs.iter().map(|s| s.shape.len()).sum()), (tensors, values));
    }
}

#[test]
fn a_bad_file_is_named_with_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint::write_dir(dir.path(), &small_checkpoint(), Dtype::F32).unwrap();
    fs::write(dir.path().join("config.json"), r#"{"act_fn": "mish"}"#).unwrap();
    let text = checkpoint::read_dir(dir.path()).unwrap_err().to_string();
    assert_says(&text, &[dir.path().to_str().unwrap(), "config.json", "`act_fn` is \"mish\""]);
}

#[test]
fn a_failed_write_leaves_the_previous_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let saved = small_checkpoint();
    checkpoint::write_dir(dir.path(), &saved, Dtype::F32).unwrap();
    let mut next = saved.clone();
    next.config.class_names.clear();
    next.tensors.get_mut("norm.bias").unwrap().1[0] = 9.0;
    // The scheduler's place is taken by a folder: the second of three files cannot be written.
    let place = dir.path().join("scheduler_config.json");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    let text = checkpoint::write_dir(dir.path(), &next, Dtype::F32).unwrap_err().to_string();
    assert_says(&text, &["cannot write", "scheduler_config.json"]);
    let kept = checkpoint::read_dir(dir.path()).unwrap();
    assert_eq!((&kept.config, &kept.tensors), (&saved.config, &saved.tensors));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing is left over");
    // A folder that cannot be made.
    let file = dir.path().join("config.json");
    assert_says(&checkpoint::write_dir(&file, &next, Dtype::F32).unwrap_err().to_string(), &["cannot create"]);
    assert_eq!(checkpoint::read_dir(dir.path()).unwrap().config, saved.config);
}
