//! Networks that have a name.

use super::BlockType::{Attention, Plain};
use super::UnetConfig;

impl UnetConfig {
    /// The network of the shipped digits: 28×28, grey, ten classes and none.
    pub fn digits() -> Self {
        Self {
            sample_size: [28, 28],
            channels: 1,
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: vec![Plain, Plain, Attention],
            up_block_types: vec![Attention, Plain, Plain],
            block_out_channels: vec![32, 64, 64],
            layers_per_block: 1,
            downsample_padding: 1,
            attention_head_dim: Some(8),
            norm_num_groups: 8,
            norm_eps: 1e-5,
            add_attention: true,
            dropout: 0.0,
            num_class_embeds: Some(11),
            null_class: Some(10),
            class_names: (0..10).map(|i| i.to_string()).collect(),
        }
    }

    /// The network of Ho et al. 2020 for CIFAR-10, with 35.7 million parameters (google/ddpm-cifar10-32).
    pub fn ddpm_cifar10() -> Self {
        Self {
            sample_size: [32, 32],
            channels: 3,
            time_embedding_dim: None,
            freq_shift: 1.0,
            flip_sin_to_cos: false,
            down_block_types: vec![Plain, Attention, Plain, Plain],
            up_block_types: vec![Plain, Plain, Attention, Plain],
            block_out_channels: vec![128, 256, 256, 256],
            layers_per_block: 2,
            downsample_padding: 0,
            attention_head_dim: None,
            norm_num_groups: 32,
            norm_eps: 1e-6,
            add_attention: true,
            dropout: 0.0,
            num_class_embeds: None,
            null_class: None,
            class_names: Vec::new(),
        }
    }
}
