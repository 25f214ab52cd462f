//! The WGSL of every op, and pipelines made of it: once per device, when a program first needs them.

use super::GpuError;
use super::device::Device;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

macro_rules! kernels {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every file in `shaders/`: one for each op, and `<op>_tiled` where there is a second.
        pub const KERNELS: &[(&str, &str)] = &[
            $(($name, {
                const TEXT: &str = include_str!(concat!("../../../shaders/", $name, ".wgsl"));
                const SHORT: ([u8; TEXT.len()], usize) = shorten(TEXT);
                const CODE: [u8; SHORT.1] = start_of(&SHORT.0);
                as_text(&CODE)
            })),*
        ];
    };
}

/// A shader as the page carries it, without comments, indentation and empty lines, and its length: visitors download it. Natively
/// it stays as it is.
const fn shorten<const N: usize>(text: &str) -> ([u8; N], usize) {
    let (text, mut code, mut len, mut i) = (text.as_bytes(), [0; N], 0, 0);
    while i < N {
        let begins_line = len == 0 || code[len - 1] == b'\n';
        if cfg!(target_arch = "wasm32") && text[i] == b'/' && i + 1 < N && text[i + 1] == b'/' {
            while i < N && text[i] != b'\n' {
                i += 1;
            }
        } else if cfg!(target_arch = "wasm32") && begins_line && matches!(text[i], b' ' | b'\n') {
            i += 1;
        } else {
            code[len] = text[i];
            len += 1;
            i += 1;
        }
    }
    (code, len)
}

const fn start_of<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let (mut start, mut i) = ([0; N], 0);
    while i < N {
        start[i] = bytes[i];
        i += 1;
    }
    start
}

const fn as_text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("a shader is UTF-8, and so is what is left of it"),
    }
}

kernels![
    "adam",
    "add",
    "add_channels",
    "attention",
    "attention_grad_k",
    "attention_grad_q",
    "attention_grad_v",
    "attention_lse",
    "attention_probabilities",
    "attention_tiled",
    "clip_norm",
    "concat",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_input_tiled",
    "conv2d_grad_weight",
    "conv2d_grad_weight_tiled",
    "conv2d_tiled",
    "embedding",
    "embedding_grad",
    "fold_images",
    "group_norm",
    "group_norm_grad_input",
    "group_norm_grad_scale",
    "group_norm_grad_stats",
    "group_norm_stats",
    "guidance",
    "lerp",
    "lerp_square",
    "mae",
    "mae_grad",
    "move",
    "mse",
    "mse_grad",
    "noised",
    "qkv",
    "remember",
    "repeat_images",
    "scale",
    "silu",
    "silu_grad",
    "slice_channels",
    "sum_pixels",
    "sum_squares",
    "upsample",
    "upsample_grad",
];

/// Compiled kernels.
#[derive(Default)]
pub(super) struct Kernels(Mutex<HashMap<&'static str, wgpu::ComputePipeline>>);

impl Kernels {
    /// The pipeline of a kernel.
    pub fn pipeline(&self, device: &Device, name: &'static str) -> Result<wgpu::ComputePipeline, GpuError> {
        let known = KERNELS.iter().find(|(kernel, _)| *kernel == name);
        let (_, source) = known.ok_or_else(|| GpuError::UnknownKernel(name.to_owned()))?;
        let mut pipelines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pipelines.entry(name).or_insert_with(|| create(device, name, source)).clone())
    }
}

fn create(device: &Device, name: &str, source: &str) -> wgpu::ComputePipeline {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
    // SAFETY: unchecked kernels must not leave their buffers, nor loop for ever. Every text is our own and fixed when the
    // crate is built. All loops are bounded by `Params`, and all indices are made of `Params` and the invocation's number,
    // which kernels compare with the number of items first; `Op::dispatch` derives `Params` from the same shapes that size
    // the buffers. The one index that comes from data, an embedding's label, is clamped to the table.
    // tests/kernels.rs runs every kernel between margins that it may neither read nor write.
    let module =
        unsafe { device.wgpu.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
    device.pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Kernels write workgroup memory before they read it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    })
}
