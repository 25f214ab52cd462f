//! The two configs of a weights folder: round trips, defaults, and every setting that is refused by name.

use crate::assert_says;
use noisette::checkpoint::{SchedulerConfig, Suggested};
use noisette::diffusion::{BetaSchedule, Convention, Prediction, SamplerConfig, SamplerKind, Spacing, Variance};
use noisette::model::config::{BlockType, UnetConfig};
use serde_json::{Value, json};

fn changed(base: &str, key: &str, value: Value) -> Vec<u8> {
    let mut config: Value = serde_json::from_str(base).unwrap();
    config[key] = value;
    config.to_string().into_bytes()
}

#[test]
fn configs_round_trip() {
    let mut wide = UnetConfig::digits();
    wide.sample_size = [32, 64];
    wide.freq_shift = 0.5;
    wide.time_embedding_dim = Some(96);
    wide.dropout = 0.25;
    for config in [UnetConfig::digits(), UnetConfig::ddpm_cifar10(), wide] {
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!(UnetConfig::from_json(config.to_json().as_bytes()).unwrap(), config);
    }
    let ddim = SchedulerConfig {
        kind: SamplerKind::Ddim,
        num_train_timesteps: 500,
        beta_start: 0.000_85,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        clip_sample: false,
        clip_sample_range: 2.0,
        prediction_type: Prediction::VPrediction,
        variance_type: Variance::FixedLarge,
        timestep_spacing: Spacing::Trailing,
        steps_offset: 1,
        set_alpha_to_one: false,
        suggested: Suggested { steps: Some(25), ..Suggested::default() },
    };
    let solver = SchedulerConfig { kind: SamplerKind::DpmSolverPp2M, ..ddim.clone() };
    for config in [SchedulerConfig::default(), ddim, solver] {
        assert_eq!(SchedulerConfig::from_json(config.to_json().as_bytes()).unwrap(), config);
    }
}

#[test]
fn missing_keys_take_diffusers_defaults() {
    let c = UnetConfig::from_json(br#"{"sample_size": 64}"#).unwrap();
    assert_eq!((c.channels, c.layers_per_block, c.downsample_padding, c.norm_num_groups), (3, 2, 1, 32));
    assert_eq!((c.attention_head_dim, c.norm_eps, c.freq_shift, c.flip_sin_to_cos), (Some(8), 1e-5, 0.0, true));
    assert_eq!(c.block_out_channels, [224, 448, 672, 896]);
    let [plain, attention] = [BlockType::Plain, BlockType::Attention];
    assert_eq!(c.down_block_types, [plain, attention, attention, attention]);
    assert_eq!(c.up_block_types, [attention, attention, attention, plain]);
    assert_eq!(SchedulerConfig::from_json(b"{}").unwrap(), SchedulerConfig::default());
    // google/ddpm-cifar10-32 as it was first published.
    let old = br#"{"_class_name": "GaussianDDPMScheduler", "_diffusers_version": "0.0.4", "timesteps": 400,
        "variance_type": "fixed_large", "trained_betas": null, "timestep_values": null, "tensor_format": "pt"}"#;
    let old = SchedulerConfig::from_json(old).unwrap();
    assert_eq!((old.kind, old.num_train_timesteps, old.variance_type), (SamplerKind::Ddpm, 400, Variance::FixedLarge));
    let sampler = old.sampler(50);
    assert_eq!((sampler.steps, sampler.clip, sampler.spacing), (50, Some(1.0), Spacing::Leading));
}

#[test]
fn unsupported_network_settings_are_named() {
    let base = UnetConfig::digits().to_json();
    for (key, value, expected) in [
        ("_class_name", json!("UNet2DConditionModel"), "UNet2DModel"),
        ("act_fn", json!("mish"), "\"silu\" or \"swish\""),
        ("center_input_sample", json!(true), "false"),
        ("time_embedding_type", json!("fourier"), "positional"),
        ("mid_block_type", Value::Null, "UNetMidBlock2D"),
        ("mid_block_scale_factor", json!(1.41), "1"),
        ("downsample_type", json!("resnet"), "conv"),
        ("upsample_type", json!("resnet"), "conv"),
        ("downsample_padding", json!(2), "from 0 to 1"),
        ("dropout", json!(1.5), "from 0 to 1"),
        ("attn_norm_num_groups", json!(4), "null"),
        ("resnet_time_scale_shift", json!("scale_shift"), "default"),
        ("class_embed_type", json!("timestep"), "null"),
        ("add_attention", json!("yes"), "true or false"),
        ("out_channels", json!(2), "as `in_channels`"),
        ("in_channels", json!(4096), "from 1 to 1024"),
        ("layers_per_block", json!(9), "from 1 to 4"),
        ("layers_per_block", json!(1.5), "a whole number"),
        ("sample_size", Value::Null, "[height, width]"),
        ("sample_size", json!(30), "multiples of 4"),
        ("sample_size", json!([28, 30]), "multiples of 4"),
        ("sample_size", json!(512), "from 1 to 256"),
        ("sample_size", json!(-28), "a whole number"),
        ("block_out_channels", json!([32, 64, 2048]), "from 2 to 1024"),
        ("block_out_channels", json!([32, 64]), "expected 2 as `block_out_channels`"),
        ("block_out_channels", json!([]), "1 to 6"),
        ("block_out_channels", json!([32, 64, 60]), "divisor of block 2's 60 channels"),
        ("down_block_types", json!(["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"]), "AttnDownBlock2D"),
        ("up_block_types", json!(["UpBlock2D", "DownBlock2D", "UpBlock2D"]), "AttnUpBlock2D"),
        ("norm_num_groups", json!(7), "divisor"),
        ("norm_num_groups", json!(0), "from 1"),
        ("norm_eps", json!(0.0), "a number from"),
        ("attention_head_dim", json!(7), "divisor of block 2's 64 channels"),
        ("attention_head_dim", json!(0), "from 1"),
        ("freq_shift", json!(16), "less than half"),
        ("num_class_embeds", json!(0), "from 1"),
        ("_null_class", json!(11), "below `num_class_embeds`, 11"),
        ("_class_names", json!([1, 2]), "names"),
        ("addition_embed_type", json!("text"), "not a known setting"),
    ] {
        let error = UnetConfig::from_json(&changed(&base, key, value.clone()));
        let text = error.expect_err(&format!("{key} = {value}")).to_string();
        let named = if key == "block_out_channels" { "expected" } else { key };
        assert_says(&text, &["config.json", named, expected]);
    }
    // Every problem at once, and a setting that diffusers ignores.
    let text = UnetConfig::from_json(br#"{"act_fn": "gelu", "dropout": "much", "_note": 5, "colour": "red"}"#)
        .unwrap_err()
        .to_string();
    assert_says(&text, &["`act_fn`", "`dropout`", "`colour`", "`sample_size` is missing"]);
    assert!(!text.contains("_note"), "{text}");
    for (key, value) in [("dropout", json!(0)), ("act_fn", json!("swish")), ("mid_block_scale_factor", json!(1.0))] {
        assert!(UnetConfig::from_json(&changed(&base, key, value)).is_ok(), "{key}");
    }
    for (bad, says) in [("", "EOF"), ("[1]", "an object"), ("\u{0}\u{1}", "line 1")] {
        assert_says(
            &UnetConfig::from_json(bad.as_bytes()).unwrap_err().to_string(),
            &["config.json is not valid JSON", says],
        );
    }
    assert!(UnetConfig::from_json(&[b'['; 100_000]).is_err(), "deep nesting");
    assert_says(&UnetConfig::from_json(&vec![b' '; 2 << 20]).unwrap_err().to_string(), &["2097152 bytes"]);
}

#[test]
fn unsupported_scheduler_settings_are_named() {
    let base = SchedulerConfig::default().to_json();
    for (key, value, expected) in [
        ("_class_name", json!("PNDMScheduler"), "\"DDPMScheduler\" or \"DDIMScheduler\""),
        ("_class_name", json!("EulerDiscreteScheduler"), "DDIMScheduler.from_config"),
        ("num_train_timesteps", json!(0), "from 1"),
        ("num_train_timesteps", json!(10_000_000), "to 100000"),
        ("beta_schedule", json!("sigmoid"), "squaredcos_cap_v2"),
        ("beta_end", json!(0.0), "beta_start"),
        ("beta_start", json!("small"), "a number"),
        ("trained_betas", json!([0.1, 0.2]), "null"),
        ("variance_type", json!("fixed_large_log"), "\"fixed_small\" or \"fixed_large\""),
        ("variance_type", json!("learned_range"), "\"fixed_small\" or \"fixed_large\""),
        ("prediction_type", json!("flow"), "v_prediction"),
        ("timestep_spacing", json!("log"), "trailing"),
        ("thresholding", json!(true), "false"),
        ("rescale_betas_zero_snr", json!(true), "false"),
        ("clip_sample", Value::Null, "true or false"),
        ("clip_sample_range", json!(-1), "a number from"),
        ("steps_offset", json!(-1), "a whole number"),
        ("predict_epsilon", json!(false), "what `prediction_type`, \"epsilon\", says"),
        ("predict_epsilon", json!("yes"), "true, false or null"),
        ("colour", json!(true), "not a known setting"),
    ] {
        let error = SchedulerConfig::from_json(&changed(&base, key, value.clone()));
        let text = error.expect_err(&format!("{key} = {value}")).to_string();
        assert_says(&text, &["scheduler_config.json", key, expected]);
    }
    let text = SchedulerConfig::from_json(b"{\"beta_end\": -Infinity}").unwrap_err().to_string();
    assert_says(&text, &["`beta_end` is \"-Infinity\", expected a number"]);
}

#[test]
fn what_says_nothing_about_the_network_is_passed_over() {
    let base = UnetConfig::digits();
    let mut config: Value = serde_json::from_str(&base.to_json()).unwrap();
    for (key, value) in [
        ("decay", json!(0.9999)),
        ("inv_gamma", json!(1.0)),
        ("min_decay", json!(0.0)),
        ("optimization_step", json!(4500)),
        ("power", json!(0.75)),
        ("update_after_step", json!(0)),
        ("use_ema_warmup", json!(true)),
    ] {
        config[key] = value;
    }
    let text = config.to_string();
    assert_eq!(UnetConfig::from_json(text.as_bytes()).unwrap(), base);
    assert_eq!(UnetConfig::from_json(format!("\u{feff}{text}").as_bytes()).unwrap(), base);
    // Dropout is kept, for whoever trains on.
    let dropped = UnetConfig::from_json(&changed(&base.to_json(), "dropout", json!(0.1))).unwrap();
    assert_eq!(dropped, UnetConfig { dropout: 0.1, ..base });
    assert_says(&dropped.to_json(), &["\"dropout\": 0.1"]);
}

#[test]
fn leftovers_of_other_schedulers_change_nothing() {
    let read = |text: &str| SchedulerConfig::from_json(text.as_bytes()).map_err(|error| error.to_string());
    let leftovers = r#""skip_prk_steps": true, "algorithm_type": "sde-dpmsolver++", "solver_order": 3, "lower_order_final": false,
        "use_karras_sigmas": true, "lambda_min_clipped": -5.1, "final_sigmas_type": "sigma_min", "interpolation_type": "linear",
        "shift": 3.0, "sigma_max": Infinity, "timestep_type": "discrete", "predict_epsilon": null"#;
    for class in ["DDPMScheduler", "DDIMScheduler"] {
        let plain = read(&format!(r#"{{"_class_name": "{class}", "beta_end": 0.01}}"#)).unwrap();
        let full = read(&format!("\u{feff}{{\"_class_name\": \"{class}\", \"beta_end\": 0.01, {leftovers}}}"));
        assert_eq!(full.unwrap(), plain);
    }
    // The old name of what is predicted.
    for (text, expected) in [
        (r#"{"predict_epsilon": true}"#, Prediction::Epsilon),
        (r#"{"predict_epsilon": false}"#, Prediction::Sample),
        (r#"{"predict_epsilon": true, "prediction_type": "epsilon"}"#, Prediction::Epsilon),
        (r#"{"predict_epsilon": false, "prediction_type": "sample"}"#, Prediction::Sample),
    ] {
        assert_eq!(read(text).unwrap().prediction_type, expected, "{text}");
    }
    let both = read(r#"{"predict_epsilon": true, "prediction_type": "v_prediction"}"#).unwrap_err();
    assert_says(&both, &["`predict_epsilon` is true", "v_prediction"]);
    // Variances that are another's by a detour, and those of a scheduler that has none.
    for (class, variance, expected) in [
        ("DDPM", json!(null), Some(Variance::FixedSmall)),
        ("DDPM", json!("fixed_small_log"), Some(Variance::FixedSmall)),
        ("DDPM", json!("learned_range"), None),
        ("DDIM", json!("learned_range"), Some(Variance::FixedSmall)),
        ("DDIM", json!("fixed_large"), Some(Variance::FixedLarge)),
        ("DPMSolverMultistep", json!("learned_range"), None),
    ] {
        let found = read(&json!({"_class_name": format!("{class}Scheduler"), "variance_type": variance}).to_string());
        assert_eq!(found.ok().map(|config| config.variance_type), expected, "{class} {variance}");
    }
}

#[test]
fn dpm_solver_of_second_order_is_followed_and_others_are_named() {
    // As diffusers 0.17 wrote it.
    let base = r#"{"_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.17.0", "algorithm_type": "dpmsolver++",
        "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "dynamic_thresholding_ratio": 0.995,
        "lambda_min_clipped": -Infinity, "lower_order_final": true, "num_train_timesteps": 1000, "prediction_type": "epsilon",
        "sample_max_value": 1.0, "solver_order": 2, "solver_type": "midpoint", "thresholding": false, "trained_betas": null,
        "use_karras_sigmas": false, "variance_type": null}"#;
    let found = SchedulerConfig::from_json(base.as_bytes()).unwrap();
    assert_eq!((found.kind, found.beta_end), (SamplerKind::DpmSolverPp2M, 0.012));
    assert_eq!(found.timestep_spacing, Spacing::Linspace, "the default is the scheduler's own");
    let base = base.replace("-Infinity", "\"-Infinity\"");
    for (key, value, expected) in [
        ("algorithm_type", json!("dpmsolver"), "dpmsolver++"),
        ("solver_order", json!(3), "2"),
        ("solver_type", json!("heun"), "midpoint"),
        ("final_sigmas_type", json!("sigma_min"), "zero"),
        ("lambda_min_clipped", json!(-5.1), "-Infinity"),
        ("use_karras_sigmas", json!(true), "false"),
        ("use_lu_lambdas", json!(true), "false"),
        ("use_flow_sigmas", json!(true), "false"),
        ("rescale_betas_zero_snr", json!(true), "false"),
        ("thresholding", json!(true), "false"),
    ] {
        let text = SchedulerConfig::from_json(&changed(&base, key, value)).expect_err(key).to_string();
        assert_says(&text, &[&format!("`{key}` is"), expected]);
    }
}

#[test]
fn a_folder_suggests_how_to_sample() {
    let suggested = Suggested {
        sampler: Some(SamplerKind::Ddim),
        steps: Some(8),
        spacing: Some(Spacing::Trailing),
        convention: Some(Convention::Paper),
        eta: Some(0.25),
        guidance: Some(-1.5),
        valid_steps: Vec::new(),
    };
    let config = SchedulerConfig { suggested: suggested.clone(), ..SchedulerConfig::default() };
    let text = config.to_json();
    let value: Value = serde_json::from_str(&text).unwrap();
    for (key, expected) in [
        ("_sampler", json!("ddim")),
        ("_num_inference_steps", json!(8)),
        ("_timestep_spacing", json!("trailing")),
        ("_as", json!("paper")),
        ("_eta", json!(0.25)),
        ("_guidance", json!(-1.5)),
        // What diffusers follows is not touched, and neither is what the command line does unasked.
        ("timestep_spacing", json!("leading")),
    ] {
        assert_eq!(value[key], expected, "{key}");
    }
    let read = SchedulerConfig::from_json(text.as_bytes()).unwrap();
    assert_eq!(read, config);
    assert_eq!(read.sampler(50), SchedulerConfig::default().sampler(50));
    let over = read.suggested.over(read.sampler(50));
    let expected = SamplerConfig {
        kind: SamplerKind::Ddim,
        steps: 8,
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        eta: 0.25,
        ..read.sampler(50)
    };
    assert_eq!(over, expected);

    let student = Suggested { steps: Some(4), valid_steps: vec![2, 4], ..suggested };
    let config = SchedulerConfig { suggested: student, ..SchedulerConfig::default() };
    let value: Value = serde_json::from_str(&config.to_json()).unwrap();
    assert_eq!(value["_valid_steps"], json!([2, 4]));
    assert_eq!(SchedulerConfig::from_json(config.to_json().as_bytes()).unwrap(), config);

    assert!(!SchedulerConfig::default().to_json().contains("_as"), "who suggests nothing writes nothing");
    assert_eq!(Suggested::default().over(read.sampler(50)), read.sampler(50));
    let nothing = br#"{"_sampler": null, "_num_inference_steps": null, "_timestep_spacing": null, "_as": null,
        "_eta": null, "_guidance": null, "_valid_steps": null, "_colour": "blue"}"#;
    assert_eq!(SchedulerConfig::from_json(nothing).unwrap(), SchedulerConfig::default());
}

#[test]
fn suggestions_that_cannot_be_followed_are_named() {
    let base = SchedulerConfig::default().to_json();
    for (key, value, expected) in [
        ("_sampler", json!("euler"), "is \"euler\", expected null or \"ddpm\" or \"ddim\" or \"dpmsolver++\""),
        ("_num_inference_steps", json!(0), "null or a whole number from 1 to 1000"),
        ("_num_inference_steps", json!(1001), "null or a whole number from 1 to 1000"),
        ("_num_inference_steps", json!(7.5), "null or a whole number from 1 to 1000"),
        ("_timestep_spacing", json!("karras"), "\"leading\" or \"trailing\" or \"linspace\""),
        ("_as", json!("thesis"), "\"diffusers\" or \"paper\""),
        ("_as", json!(true), "\"diffusers\" or \"paper\""),
        ("_eta", json!(1.1), "null or a number from 0 to 1"),
        ("_eta", json!("0"), "null or a number from 0 to 1"),
        ("_guidance", json!(21), "null or a number from -20 to 20"),
        ("_guidance", json!(-21), "null or a number from -20 to 20"),
        ("_valid_steps", json!(4), "null or a list of numbers of steps, each from 1 to 1000"),
        ("_valid_steps", json!([4, 0]), "null or a list of numbers of steps, each from 1 to 1000"),
        ("_valid_steps", json!([1001]), "null or a list of numbers of steps, each from 1 to 1000"),
        ("_valid_steps", json!([2.5]), "null or a list of numbers of steps, each from 1 to 1000"),
        ("_valid_steps", json!(["4"]), "null or a list of numbers of steps, each from 1 to 1000"),
    ] {
        let text = SchedulerConfig::from_json(&changed(&base, key, value)).unwrap_err().to_string();
        assert_says(&text, &["scheduler_config.json", key, expected]);
    }
    // Each in range, but not together.
    let together =
        br#"{"_valid_steps": [2, 4], "_num_inference_steps": 8, "_timestep_spacing": "trailing", "_as": "paper"}"#;
    let text = SchedulerConfig::from_json(together).unwrap_err().to_string();
    assert_says(&text, &["what it suggests is not what `_valid_steps` allows", "and for nothing else; found 8 steps"]);
    let together = br#"{"_sampler": "dpmsolver++", "_num_inference_steps": 1000}"#;
    let text = SchedulerConfig::from_json(together).unwrap_err().to_string();
    assert_says(&text, &["`_num_inference_steps` cannot be followed", "twice; take fewer steps"]);
}
