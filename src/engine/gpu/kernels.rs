//! The WGSL of every op, and pipelines made of it: once per device, when a program first needs them.

use super::GpuError;
use super::device::Device;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

macro_rules! kernels {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every file in `shaders/`, one for each op.
        pub const KERNELS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../shaders/", $name, ".wgsl")))),*
        ];
    };
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
    "clip_norm",
    "concat",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
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
    "mse",
    "mse_grad",
    "noised",
    "repeat_images",
    "reverse_step",
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
pub(super) struct Kernels {
    pipelines: Mutex<HashMap<&'static str, wgpu::ComputePipeline>>,
    /// Another text for one kernel, and where all others come from.
    replaced: Option<(&'static str, String, Arc<Kernels>)>,
}

impl Kernels {
    /// The kernels of `base` but for one.
    pub fn replacing(base: &Arc<Self>, name: &'static str, source: String) -> Self {
        Self { pipelines: Mutex::default(), replaced: Some((name, source, base.clone())) }
    }

    /// The pipeline of a kernel.
    pub fn pipeline(&self, device: &Device, name: &'static str) -> Result<wgpu::ComputePipeline, GpuError> {
        let source = match &self.replaced {
            Some((replaced, source, _)) if *replaced == name => Cow::Owned(source.clone()),
            Some((_, _, base)) => return base.pipeline(device, name),
            None => {
                let known = KERNELS.iter().find(|(kernel, _)| *kernel == name);
                Cow::Borrowed(known.ok_or_else(|| GpuError::UnknownKernel(name.to_owned()))?.1)
            }
        };
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pipelines.entry(name).or_insert_with(|| create(device, name, source)).clone())
    }
}

fn create(device: &Device, name: &str, source: Cow<'_, str>) -> wgpu::ComputePipeline {
    let checks =
        if device.checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source) };
    // SAFETY: unchecked kernels must not leave their buffers, nor loop for ever. Every text is our own and fixed when the
    // crate is built (`with_kernel` is for tests, which open the device checked). All loops are bounded by `Params`, and
    // all indices are made of `Params` and the invocation's number, which kernels compare with the number of items first;
    // `Op::dispatch` derives `Params` from the same shapes that buffers are sized by. The one index that comes from
    // data, an embedding's label, is clamped to the table. tests/kernels.rs runs every kernel with checks and without.
    let module = unsafe { device.wgpu.create_shader_module_trusted(descriptor, checks) };
    device.wgpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
