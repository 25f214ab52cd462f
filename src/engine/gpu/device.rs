//! Opening an adapter, keeping the errors that arrive later until a call can return them, and making objects, all of which
//! are counted.

use super::GpuError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where handlers leave errors that no call is there to return.
#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<GpuError>>>);

impl Trouble {
    /// Keeps the first error, except that a loss outweighs everything.
    fn set(&self, error: GpuError) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() || matches!(error, GpuError::Lost(_)) {
            *slot = Some(error);
        }
    }

    /// Takes the error out; a loss stays for ever.
    fn check(&self) -> Result<(), GpuError> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            None => Ok(()),
            Some(GpuError::Lost(reason)) => Err(GpuError::Lost(reason.clone())),
            Some(_) => slot.take().map_or(Ok(()), Err),
        }
    }
}

/// Objects made and submissions sent since a device was opened. A program that is replayed makes encoders, one for each
/// submission, and nothing else; `tests/schedule.rs` sees to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Buffers.
    pub buffers: usize,
    /// Bind groups.
    pub bind_groups: usize,
    /// Compute pipelines.
    pub pipelines: usize,
    /// Command encoders.
    pub encoders: usize,
    /// Compute passes.
    pub passes: usize,
    /// Dispatches recorded.
    pub dispatches: usize,
    /// Submissions.
    pub submissions: usize,
}

/// The counters behind [`Made`].
#[derive(Default)]
struct Counters {
    buffers: AtomicUsize,
    bind_groups: AtomicUsize,
    pipelines: AtomicUsize,
    encoders: AtomicUsize,
    passes: AtomicUsize,
    dispatches: AtomicUsize,
    submissions: AtomicUsize,
}

fn count(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// An open device.
pub(super) struct Device {
    pub wgpu: wgpu::Device,
    queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    /// The adapter's name.
    pub name: String,
    /// Whether the adapter computes on the CPU.
    pub software: bool,
    trouble: Trouble,
    counters: Counters,
}

impl Device {
    /// Opens the fastest adapter, with WebGPU's default limits except for the size of buffers.
    pub async fn open(allow_software: bool) -> Result<Self, GpuError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let preference = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&preference).await.map_err(|_| GpuError::NoAdapter)?;
        let info = adapter.get_info();
        if is_software(info.device_type, &info.name) && !allow_software {
            return Err(GpuError::SoftwareOnly(info.name));
        }
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..Default::default()
        };
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
        let (wgpu, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| GpuError::NoDevice { adapter: info.name.clone(), reason: error.to_string() })?;

        let name = name(&wgpu, info.name);
        let software = is_software(info.device_type, &name);
        if software && !allow_software {
            return Err(GpuError::SoftwareOnly(name));
        }
        let trouble = Trouble::default();
        report_errors(&wgpu, &trouble);
        let lost = trouble.clone();
        wgpu.set_device_lost_callback(move |_, reason| lost.set(GpuError::Lost(reason)));
        Ok(Self { wgpu, queue, limits, name, software, trouble, counters: Counters::default() })
    }

    /// The error that was reported since the last check, if any.
    pub fn check(&self) -> Result<(), GpuError> {
        self.trouble.check()
    }

    /// A buffer of zeros.
    pub fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        count(&self.counters.buffers, 1);
        let label = Some(label);
        self.wgpu.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
    }

    /// What a pipeline of one group binds.
    pub fn bind_group(
        &self,
        label: &str,
        pipeline: &wgpu::ComputePipeline,
        entries: &[wgpu::BindGroupEntry],
    ) -> wgpu::BindGroup {
        count(&self.counters.bind_groups, 1);
        let layout = &pipeline.get_bind_group_layout(0);
        self.wgpu.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(label), layout, entries })
    }

    /// A pipeline.
    pub fn pipeline(&self, descriptor: &wgpu::ComputePipelineDescriptor) -> wgpu::ComputePipeline {
        count(&self.counters.pipelines, 1);
        self.wgpu.create_compute_pipeline(descriptor)
    }

    /// The recording of a submission.
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        count(&self.counters.encoders, 1);
        self.wgpu.create_command_encoder(&Default::default())
    }

    /// A pass of that many dispatches.
    pub fn pass<'a>(&self, encoder: &'a mut wgpu::CommandEncoder, dispatches: usize) -> wgpu::ComputePass<'a> {
        count(&self.counters.passes, 1);
        count(&self.counters.dispatches, dispatches);
        encoder.begin_compute_pass(&Default::default())
    }

    /// Bytes that are in the buffer, from `offset` on, before anything submitted from now on runs.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.queue.write_buffer(buffer, offset, bytes);
    }

    /// Sends a recording off.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        count(&self.counters.submissions, 1);
        self.queue.submit([encoder.finish()])
    }

    /// Calls back when all that was submitted is done.
    pub fn when_done(&self, callback: impl FnOnce() + Send + 'static) {
        self.queue.on_submitted_work_done(callback);
    }

    /// Waits until all that was submitted is done.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self) -> Result<(), GpuError> {
        let failed = |error: wgpu::PollError| GpuError::Read(error.to_string());
        self.wgpu.poll(wgpu::PollType::wait_indefinitely()).map(drop).map_err(failed)
    }

    /// What was made so far.
    pub fn made(&self) -> Made {
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let Counters { buffers, bind_groups, pipelines, encoders, passes, dispatches, submissions } = &self.counters;
        Made {
            buffers: read(buffers),
            bind_groups: read(bind_groups),
            pipelines: read(pipelines),
            encoders: read(encoders),
            passes: read(passes),
            dispatches: read(dispatches),
            submissions: read(submissions),
        }
    }
}

/// Whether an adapter computes on the CPU: some say so, some are known by name.
fn is_software(kind: wgpu::DeviceType, name: &str) -> bool {
    let name = name.to_lowercase();
    let known = ["llvmpipe", "lavapipe", "swiftshader", "softpipe", "warp", "microsoft basic"];
    kind == wgpu::DeviceType::Cpu || known.iter().any(|software| name.contains(software))
}

/// Natively the driver's name is what wgpu says.
#[cfg(not(target_arch = "wasm32"))]
fn name(_device: &wgpu::Device, name: String) -> String {
    name
}

/// Natively wgpu would panic at an error nobody catches.
#[cfg(not(target_arch = "wasm32"))]
fn report_errors(device: &wgpu::Device, trouble: &Trouble) {
    let trouble = trouble.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| trouble.set(GpuError::Reported(error.to_string()))));
}

/// Browsers describe adapters in several fields, any of which may be empty.
#[cfg(target_arch = "wasm32")]
fn name(device: &wgpu::Device, description: String) -> String {
    let info = device.as_webgpu().map(|device| get(device.as_ref(), "adapterInfo"));
    let field = |key| info.as_ref().and_then(|info| get(info, key).as_string()).filter(|text| !text.is_empty());
    let parts: Vec<String> = ["vendor", "architecture"].into_iter().filter_map(field).collect();
    match (description.is_empty(), parts.is_empty()) {
        (false, true) => description,
        (false, false) => format!("{description} ({})", parts.join(" ")),
        (true, false) => parts.join(" "),
        (true, true) => "WebGPU adapter without a name".to_owned(),
    }
}

#[cfg(target_arch = "wasm32")]
fn get(object: &wasm_bindgen::JsValue, key: &str) -> wasm_bindgen::JsValue {
    js_sys::Reflect::get(object, &key.into()).unwrap_or(wasm_bindgen::JsValue::UNDEFINED)
}

/// In the browser wgpu's own handler panics at internal errors, so we listen ourselves.
#[cfg(target_arch = "wasm32")]
fn report_errors(device: &wgpu::Device, trouble: &Trouble) {
    use wasm_bindgen::prelude::*;
    let Some(device) = device.as_webgpu() else { return };
    let device: &JsValue = device.as_ref();
    let trouble = trouble.clone();
    let listener = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
        let message = get(&get(&event, "error"), "message").as_string();
        trouble.set(GpuError::Reported(message.unwrap_or_else(|| "no message".to_owned())));
    });
    if let Ok(add) = get(device, "addEventListener").dyn_into::<js_sys::Function>() {
        let _ = add.call2(device, &"uncapturederror".into(), listener.as_ref());
    }
    // The listener lives as long as the device, which lives as long as the worker.
    listener.forget();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_adapters_are_known() {
        for name in
            ["llvmpipe (LLVM 15.0.6, 256 bits)", "SwiftShader Device (Subzero)", "Microsoft Basic Render Driver"]
        {
            assert!(is_software(wgpu::DeviceType::Other, name), "{name}");
        }
        assert!(is_software(wgpu::DeviceType::Cpu, ""));
        assert!(!is_software(wgpu::DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 3050"));
    }

    #[test]
    fn trouble_is_reported_once_and_a_loss_for_ever() {
        let trouble = Trouble::default();
        assert_eq!(trouble.check(), Ok(()));
        trouble.set(GpuError::Reported("first".into()));
        trouble.set(GpuError::Reported("second".into()));
        assert_eq!(trouble.check(), Err(GpuError::Reported("first".into())));
        assert_eq!(trouble.check(), Ok(()));
        trouble.set(GpuError::Reported("third".into()));
        trouble.set(GpuError::Lost("unplugged".into()));
        assert_eq!(trouble.check(), Err(GpuError::Lost("unplugged".into())));
        assert_eq!(trouble.check(), Err(GpuError::Lost("unplugged".into())));
    }
}
