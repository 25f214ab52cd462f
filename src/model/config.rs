//! The configuration of a UNet: diffusers' `UNet2DModel`, as its config.json describes it.
//!
//! Supported is what a pixel DDPM uses; every other key or value is named and refused, but for what says nothing about the network:
//! how an average was made, and how much was dropped in training. Our own facts ride in keys that begin with
//! `_`, which diffusers ignores: `_null_class` and `_class_names`.

pub(crate) mod fields;
pub(crate) mod json;
mod labels;
mod presets;

use crate::tensor::Shape;
pub use fields::ConfigError;
use fields::{Fields, integer};
use serde_json::{Value, json};

/// Name of the file in a weights folder.
pub const CONFIG_FILE: &str = "config.json";

/// The version of diffusers whose conventions the written configs follow.
pub(crate) const DIFFUSERS_VERSION: &str = "0.42.1";

/// What diffusers' `EMAModel` writes into the config of an average (`unet_ema/`): how it was made, which says nothing about the
/// network.
const EMA_KEYS: [&str; 7] =
    ["decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"];

/// Largest number of channels of a block.
const MAX_CHANNELS: usize = 1024;
/// Largest number of resolutions.
const MAX_BLOCKS: usize = 6;
/// Largest height and width.
const MAX_SIZE: usize = 256;
/// Largest number of classes.
const MAX_CLASSES: usize = 10_000;

/// A block of one resolution, on the way down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    /// Residual blocks: `DownBlock2D`, `UpBlock2D`.
    Plain,
    /// Each residual block followed by self-attention: `AttnDownBlock2D`, `AttnUpBlock2D`.
    Attention,
}

/// A UNet. Fields are diffusers' where not said otherwise; those that have one supported value are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct UnetConfig {
    /// Height and width of the images it was trained on, in pixels.
    pub sample_size: [usize; 2],
    /// Channels of the images: `in_channels`, equal to `out_channels`.
    pub channels: usize,
    /// Width of the time embedding; `None` is four times the first block's channels.
    pub time_embedding_dim: Option<usize>,
    /// The frequencies are 10000^(−i / (half − freq_shift)).
    pub freq_shift: f64,
    /// Cosines first, then sines.
    pub flip_sin_to_cos: bool,
    /// The blocks on the way down, first the one of full resolution.
    pub down_block_types: Vec<BlockType>,
    /// The blocks on the way up, first the one of lowest resolution.
    pub up_block_types: Vec<BlockType>,
    /// Channels of each resolution, first the full one.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of a block on the way down; one more on the way up.
    pub layers_per_block: usize,
    /// 1: symmetric; 0: one row below and one column at the right, as in the original DDPM.
    pub downsample_padding: usize,
    /// Channels of an attention head; `None` is one head as wide as the block.
    pub attention_head_dim: Option<usize>,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// ε of every group norm.
    pub norm_eps: f64,
    /// Whether the middle block has self-attention.
    pub add_attention: bool,
    /// Share of values that were dropped while it was trained, in [0, 1]. Predictions drop none, and neither does the trainer here.
    pub dropout: f64,
    /// Rows of the class embedding, the null class included.
    pub num_class_embeds: Option<usize>,
    /// The null class (`_null_class`); without it there is no guidance.
    pub null_class: Option<usize>,
    /// What the labels 0, 1, … are called (`_class_names`); may be empty.
    pub class_names: Vec<String>,
}

impl UnetConfig {
    /// Width of the time embedding, and of the class embedding that is added to it.
    pub fn time_dim(&self) -> usize {
        self.time_embedding_dim.unwrap_or(4 * self.block_out_channels[0])
    }

    /// Attention heads in a block of this many channels.
    pub fn heads(&self, channels: usize) -> usize {
        self.attention_head_dim.map_or(1, |width| channels / width)
    }

    /// Height and width of an image must be multiples of this: 2^(blocks − 1).
    pub fn size_multiple(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// `[1, H, W, C]` of an image.
    pub fn image_shape(&self) -> Shape {
        let [h, w] = self.sample_size;
        Shape::new(1, h, w, self.channels)
    }

    /// Reads a config.json. Missing keys take diffusers' defaults.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(CONFIG_FILE, bytes)?;
        f.only("_class_name", json!("UNet2DModel"));
        for (key, value) in [
            ("center_input_sample", json!(false)),
            ("time_embedding_type", json!("positional")),
            ("mid_block_type", json!("UNetMidBlock2D")),
            ("mid_block_scale_factor", json!(1)),
            ("downsample_type", json!("conv")),
            ("upsample_type", json!("conv")),
            ("attn_norm_num_groups", Value::Null),
            ("resnet_time_scale_shift", json!("default")),
            ("class_embed_type", Value::Null),
        ] {
            f.only(key, value);
        }
        f.choice("act_fn", (), &[("silu", ()), ("swish", ())]);
        f.ignore(&EMA_KEYS);
        // Only a learned time embedding depends on it.
        f.optional_integer("num_train_timesteps", None, 1..=1_000_000);
        if !f.has("sample_size") {
            f.problem("`sample_size` is missing, expected the size of the images".to_owned());
        }
        let expected = format!("a whole number or [height, width], each from 1 to {MAX_SIZE}");
        let sample_size = f.value("sample_size", [1; 2], &expected, read_size);
        let channels = f.integer("in_channels", 3, 1..=MAX_CHANNELS);
        let out_channels = f.integer("out_channels", 3, 1..=MAX_CHANNELS);
        if channels != out_channels {
            f.problem(format!("`out_channels` is {out_channels}, expected {channels} as `in_channels`"));
        }
        let down = [("DownBlock2D", BlockType::Plain), ("AttnDownBlock2D", BlockType::Attention)];
        let up = [("UpBlock2D", BlockType::Plain), ("AttnUpBlock2D", BlockType::Attention)];
        let config = Self {
            sample_size,
            channels,
            // diffusers takes 0 for null.
            time_embedding_dim: f.optional_integer("time_embedding_dim", None, 0..=4 * MAX_CHANNELS).filter(|&n| n > 0),
            freq_shift: f.number("freq_shift", 0.0, 0.0..=MAX_CHANNELS as f64),
            flip_sin_to_cos: f.boolean("flip_sin_to_cos", true),
            down_block_types: read_blocks(&mut f, "down_block_types", &down, 0),
            up_block_types: read_blocks(&mut f, "up_block_types", &up, 3),
            block_out_channels: f.value(
                "block_out_channels",
                vec![224, 448, 672, 896],
                &format!("1 to {MAX_BLOCKS} whole numbers from 2 to {MAX_CHANNELS}"),
                |v| read_list(v, |v| integer(v).filter(|n| (2..=MAX_CHANNELS).contains(n))),
            ),
            layers_per_block: f.integer("layers_per_block", 2, 1..=4),
            downsample_padding: f.integer("downsample_padding", 1, 0..=1),
            attention_head_dim: f.optional_integer("attention_head_dim", Some(8), 1..=MAX_CHANNELS),
            norm_num_groups: f.integer("norm_num_groups", 32, 1..=MAX_CHANNELS),
            norm_eps: f.number("norm_eps", 1e-5, 1e-12..=1.0),
            add_attention: f.boolean("add_attention", true),
            dropout: f.number("dropout", 0.0, 0.0..=1.0),
            num_class_embeds: f.optional_integer("num_class_embeds", None, 1..=MAX_CLASSES),
            null_class: f.optional_integer("_null_class", None, 0..=MAX_CLASSES),
            class_names: f.value("_class_names", Vec::new(), "a list of at most 10000 names", |v| match v {
                Value::Null => Some(Vec::new()),
                Value::Array(names) if names.len() <= MAX_CLASSES => {
                    names.iter().map(|n| n.as_str().map(str::to_owned)).collect()
                }
                _ => None,
            }),
        };
        // A setting that could not be read has a stand-in, which need not fit the others.
        if f.is_sound() {
            config.problems().into_iter().for_each(|problem| f.problem(problem));
        }
        f.finish().map(|()| config)
    }

    /// What keeps the settings from fitting together; empty for a network that can be built.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let blocks = self.block_out_channels.len();
        for (key, types) in [("down_block_types", &self.down_block_types), ("up_block_types", &self.up_block_types)] {
            expect(
                types.len() == blocks,
                format!("`{key}` has {} blocks, expected {blocks} as `block_out_channels`", types.len()),
            );
        }
        let multiple = 1 << blocks.saturating_sub(1);
        let [h, w] = self.sample_size;
        expect(
            h % multiple == 0 && w % multiple == 0,
            format!("`sample_size` is {h}×{w}, expected multiples of {multiple} for {blocks} blocks"),
        );
        for (i, &channels) in self.block_out_channels.iter().enumerate() {
            let groups = self.norm_num_groups;
            expect(
                groups > 0 && channels % groups == 0,
                format!("`norm_num_groups` is {groups}, expected a divisor of block {i}'s {channels} channels"),
            );
            let attends = self.down_block_types.get(i) == Some(&BlockType::Attention)
                || self.up_block_types.iter().rev().nth(i) == Some(&BlockType::Attention)
                || (self.add_attention && i + 1 == blocks);
            let width = self.attention_head_dim.unwrap_or(channels);
            expect(
                !attends || (width > 0 && channels % width == 0),
                format!("`attention_head_dim` is {width}, expected a divisor of block {i}'s {channels} channels"),
            );
        }
        let half = self.block_out_channels.first().map_or(0, |c| c / 2);
        expect(
            self.freq_shift < half as f64,
            format!(
                "`freq_shift` is {}, expected less than half of the first block's channels, {half}",
                self.freq_shift
            ),
        );
        let embeds = self.num_class_embeds.unwrap_or(0);
        if let Some(label) = self.null_class {
            expect(
                label < embeds,
                format!("`_null_class` is {label}, expected a label below `num_class_embeds`, {embeds}"),
            );
        }
        let names = self.class_names.len();
        expect(
            names <= embeds,
            format!("`_class_names` has {names} names, expected at most `num_class_embeds`, {embeds}"),
        );
        problems.extend(self.name_problems());
        problems
    }

    /// Writes a config.json that diffusers loads.
    pub fn to_json(&self) -> String {
        let names = |types: &[BlockType], plain: &str| -> Value {
            let name = |t: &BlockType| if *t == BlockType::Plain { plain.to_owned() } else { format!("Attn{plain}") };
            types.iter().map(name).collect()
        };
        let [h, w] = self.sample_size;
        let whole = self.freq_shift.fract() == 0.0;
        let mut config = json!({
            "_class_name": "UNet2DModel",
            "_diffusers_version": DIFFUSERS_VERSION,
            "act_fn": "silu",
            "add_attention": self.add_attention,
            "attention_head_dim": self.attention_head_dim,
            "attn_norm_num_groups": null,
            "block_out_channels": self.block_out_channels,
            "center_input_sample": false,
            "class_embed_type": null,
            "down_block_types": names(&self.down_block_types, "DownBlock2D"),
            "downsample_padding": self.downsample_padding,
            "downsample_type": "conv",
            "dropout": self.dropout,
            "flip_sin_to_cos": self.flip_sin_to_cos,
            "freq_shift": if whole { json!(self.freq_shift as u64) } else { json!(self.freq_shift) },
            "in_channels": self.channels,
            "layers_per_block": self.layers_per_block,
            "mid_block_scale_factor": 1,
            "mid_block_type": "UNetMidBlock2D",
            "norm_eps": self.norm_eps,
            "norm_num_groups": self.norm_num_groups,
            "num_class_embeds": self.num_class_embeds,
            "num_train_timesteps": null,
            "out_channels": self.channels,
            "resnet_time_scale_shift": "default",
            "sample_size": if h == w { json!(h) } else { json!([h, w]) },
            "time_embedding_dim": self.time_embedding_dim,
            "time_embedding_type": "positional",
            "up_block_types": names(&self.up_block_types, "UpBlock2D"),
            "upsample_type": "conv",
        });
        if let Some(label) = self.null_class {
            config["_null_class"] = json!(label);
        }
        if !self.class_names.is_empty() {
            config["_class_names"] = json!(self.class_names);
        }
        format!("{config:#}\n")
    }
}

fn read_size(value: &Value) -> Option<[usize; 2]> {
    let size = |v: &Value| integer(v).filter(|n| (1..=MAX_SIZE).contains(n));
    match value {
        Value::Array(pair) if pair.len() == 2 => Some([size(&pair[0])?, size(&pair[1])?]),
        value => size(value).map(|n| [n; 2]),
    }
}

/// A list of 1 to [`MAX_BLOCKS`] entries.
fn read_list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let entries = value.as_array().filter(|entries| (1..=MAX_BLOCKS).contains(&entries.len()))?;
    entries.iter().map(read).collect()
}

/// Block types; diffusers' default is attention everywhere but in the block `plain`.
fn read_blocks(f: &mut Fields, key: &str, names: &[(&str, BlockType); 2], plain: usize) -> Vec<BlockType> {
    let default = (0..4).map(|i| if i == plain { BlockType::Plain } else { BlockType::Attention }).collect();
    let expected = format!("1 to {MAX_BLOCKS} of \"{}\" and \"{}\"", names[0].0, names[1].0);
    f.value(key, default, &expected, |v| {
        read_list(v, |v| names.iter().find(|(name, _)| v.as_str() == Some(name)).map(|&(_, block)| block))
    })
}
