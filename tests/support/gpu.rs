//! Single kernels on a GPU, each between margins that it may neither read nor write.
//!
//! This is not the engine: shaders keep their runtime checks here, so a broken one does no harm, dispatches fold into y
//! after three workgroups, and nothing but the kernel under test runs.

use super::cases::Case;
use super::compare;
use noisette::engine::cpu::{Number, evaluate};
use noisette::engine::gpu::{Gpu, KERNELS};
use noisette::graph::{Dispatch, View};
use noisette::tensor::Shape;
use std::sync::{Arc, Mutex};
use wgpu::BufferUsages as Usage;

/// Largest error of a kernel's f32 result, relative to the result's largest value.
pub const TOLERANCE: f64 = 2e-5;

/// Bytes beyond each value. Beyond an input they hold NaN, which spreads wherever it is read; beyond the output a number
/// that has to stay.
const MARGIN: u64 = 4096;
const UNTOUCHED: f32 = 12_345.678;

/// Workgroups in a row; the engine folds after 65 535.
const FOLD: u32 = 3;

const NO_ADAPTER: &str = "these tests need an adapter, such as lavapipe from Debian's mesa-vulkan-drivers";

/// Opens the engine on any adapter; having none is a failure, since a test that skips itself proves nothing.
pub fn open() -> Gpu {
    pollster::block_on(Gpu::open(true)).unwrap_or_else(|error| panic!("{error}: {NO_ADAPTER}"))
}

/// The text of a kernel.
pub fn source(kernel: &str) -> &'static str {
    KERNELS.iter().find(|(name, _)| *name == kernel).unwrap_or_else(|| panic!("{kernel} has no kernel")).1
}

/// One op of a case: what goes in, and what the oracle says must come out.
pub struct Instance {
    /// The case and the op.
    pub name: String,
    /// By the op's kernel, or its second one.
    pub dispatch: Dispatch,
    pub inputs: Vec<(Shape, Vec<f32>)>,
    shape: Shape,
    expected: Vec<f64>,
}

impl Instance {
    /// How much there is to compute, roughly.
    pub fn size(&self) -> usize {
        self.shape.len() * self.inputs.iter().map(|(shape, _)| shape.len()).max().unwrap_or(1)
    }
}

/// Every op of a case, with each of its kernels, whichever the engine would take. Inputs are the oracle's values rounded to f32, so that errors do not add up.
pub fn instances(case: &Case) -> Vec<Instance> {
    let mut found = Vec::new();
    evaluate(&case.graph, &case.leaves, |op, inputs, shape| {
        let wide: Vec<Vec<f64>> = inputs.iter().map(|view| view.data.iter().map(|&x| f64::from(x)).collect()).collect();
        let views: Vec<View<f64>> =
            inputs.iter().zip(&wide).map(|(view, data)| View { shape: view.shape, data }).collect();
        let mut expected = vec![0.0; shape.len()];
        f64::reference(op, &views, shape, &mut expected);
        let value = expected.iter().map(|&v| v as f32).collect();
        let inputs: Vec<(Shape, Vec<f32>)> = inputs.iter().map(|view| (view.shape, view.data.to_vec())).collect();
        let shapes: Vec<Shape> = inputs.iter().map(|(shape, _)| *shape).collect();
        let dispatches = [Some(op.dispatch(&shapes, shape)), op.dispatch_tiled(&shapes, shape)];
        found.extend(dispatches.into_iter().flatten().map(|dispatch| Instance {
            name: format!("{} in {}", dispatch.shader, case.name),
            inputs: dispatch.bound(&inputs),
            dispatch,
            shape,
            expected: expected.clone(),
        }));
        value
    });
    found
}

/// An instance with its buffers.
pub struct Prepared {
    pub instance: Instance,
    inputs: Vec<wgpu::Buffer>,
    out: wgpu::Buffer,
    staging: wgpu::Buffer,
}

/// A device of our own.
pub struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// Opens any adapter.
    pub fn open() -> Self {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = pollster::block_on(instance.request_adapter(&Default::default()));
        let adapter = adapter.unwrap_or_else(|error| panic!("{error}: {NO_ADAPTER}"));
        let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).expect("default limits");
        let errors: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = errors.clone();
        device.on_uncaptured_error(Arc::new(move |error| kept.lock().unwrap().push(error.to_string())));
        Self { device, queue, errors }
    }

    /// Compiles a kernel, with runtime checks.
    pub fn pipeline(&self, source: &str) -> Result<wgpu::ComputePipeline, String> {
        let source = wgpu::ShaderSource::Wgsl(source.into());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        self.no_errors().map(|()| pipeline)
    }

    fn no_errors(&self) -> Result<(), String> {
        let mut errors = self.errors.lock().unwrap();
        if errors.is_empty() { Ok(()) } else { Err(std::mem::take(&mut *errors).join("; ")) }
    }

    fn buffer(&self, size: u64, usage: Usage) -> wgpu::Buffer {
        let mapped_at_creation = false;
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation })
    }

    /// Makes an instance's buffers.
    pub fn prepare(&self, instance: Instance) -> Prepared {
        let size = |shape: Shape| shape.vec4_len() as u64 * 16 + MARGIN;
        let input = |(shape, values): &(Shape, Vec<f32>)| {
            let buffer = self.buffer(size(*shape), Usage::STORAGE | Usage::COPY_DST);
            let mut data = padded(*shape, values);
            data.resize(size(*shape) as usize / 4, f32::NAN);
            self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&data));
            buffer
        };
        let inputs = instance.inputs.iter().map(input).collect();
        let out = self.buffer(size(instance.shape), Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC);
        let staging = self.buffer(size(instance.shape), Usage::MAP_READ | Usage::COPY_DST);
        Prepared { instance, inputs, out, staging }
    }

    /// The bits of an instance's result.
    pub fn bits(&self, pipeline: &wgpu::ComputePipeline, prepared: &Prepared) -> Result<Vec<u32>, String> {
        let whole = std::slice::from_ref(&prepared.instance.dispatch);
        Ok(self.run(pipeline, prepared, whole)?.into_iter().map(f32::to_bits).collect())
    }

    /// The bits of an instance's result where the kernel is given some workgroups at a time.
    pub fn bits_in_parts(
        &self,
        pipeline: &wgpu::ComputePipeline,
        prepared: &Prepared,
        at_once: usize,
    ) -> Result<Vec<u32>, String> {
        let whole = &prepared.instance.dispatch;
        let part = |begin: usize| whole.part(begin..whole.workgroups.min(begin + at_once));
        let parts: Vec<Dispatch> = (0..whole.workgroups).step_by(at_once).map(part).collect();
        Ok(self.run(pipeline, prepared, &parts)?.into_iter().map(f32::to_bits).collect())
    }

    /// Runs an instance with this kernel, and again in two parts where there are several workgroups; what is wrong with a
    /// result, if anything.
    pub fn check(&self, pipeline: &wgpu::ComputePipeline, prepared: &Prepared) -> Result<(), String> {
        let whole = &prepared.instance.dispatch;
        self.check_parts(pipeline, prepared, std::slice::from_ref(whole))?;
        match whole.workgroups {
            1 => Ok(()),
            all => self.check_parts(pipeline, prepared, &[whole.part(0..1), whole.part(1..all)]),
        }
    }

    fn check_parts(
        &self,
        pipeline: &wgpu::ComputePipeline,
        prepared: &Prepared,
        parts: &[Dispatch],
    ) -> Result<(), String> {
        let raw = self.run(pipeline, prepared, parts)?;
        let Instance { shape, expected, .. } = &prepared.instance;
        let (value, margin) = raw.split_at(shape.vec4_len() * 4);
        if !margin.iter().all(|&v| v == UNTOUCHED) {
            return Err("it writes beyond its value".to_owned());
        }
        let mut found = Vec::with_capacity(expected.len());
        for pixel in value.chunks_exact(shape.vec4_channels() * 4) {
            let (channels, rest) = pixel.split_at(shape.c());
            if !rest.iter().all(|&v| v == 0.0) {
                return Err(format!("it fills up the channels with {rest:?}"));
            }
            found.extend_from_slice(channels);
        }
        compare::close(&found, expected, TOLERANCE)
    }

    /// The result of an instance's parts.
    fn run(
        &self,
        pipeline: &wgpu::ComputePipeline,
        prepared: &Prepared,
        parts: &[Dispatch],
    ) -> Result<Vec<f32>, String> {
        let Prepared { instance, inputs, out, staging, .. } = prepared;
        // Whatever is not written stays NaN.
        let mut blank = vec![f32::NAN; instance.shape.vec4_len() * 4];
        blank.resize(out.size() as usize / 4, UNTOUCHED);
        self.queue.write_buffer(out, 0, bytemuck::cast_slice(&blank));
        let params = |part: &Dispatch| {
            let buffer = self.buffer(part.params.len() as u64, Usage::UNIFORM | Usage::COPY_DST);
            self.queue.write_buffer(&buffer, 0, &part.params);
            buffer
        };
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(pipeline);
        for part in parts {
            let params = params(part);
            let bound = [&params].into_iter().chain(inputs).chain([out]);
            let entries: Vec<_> = (0..)
                .zip(bound)
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                .collect();
            let layout = &pipeline.get_bind_group_layout(0);
            let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
            pass.set_bind_group(0, &self.device.create_bind_group(&descriptor), &[]);
            let workgroups = part.workgroups as u32;
            let x = workgroups.min(FOLD);
            pass.dispatch_workgroups(x, workgroups.div_ceil(x), 1);
        }
        drop(pass);
        encoder.copy_buffer_to_buffer(out, 0, staging, 0, out.size());
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| error.to_string())?;
        self.no_errors()?;
        let view = staging.get_mapped_range(..).map_err(|error| error.to_string())?;
        let values = bytemuck::cast_slice(&view).to_vec();
        drop(view);
        staging.unmap();
        Ok(values)
    }
}

/// Values as kernels see them: channels filled up to a multiple of four with zeros.
fn padded(shape: Shape, values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; shape.vec4_len() * 4];
    for (to, from) in out.chunks_exact_mut(shape.vec4_channels() * 4).zip(values.chunks_exact(shape.c())) {
        to[..shape.c()].copy_from_slice(from);
    }
    out
}
