//! The GPU engine: WebGPU in the browser; Vulkan, Metal or DirectX 12 natively. The only place that names wgpu.
//!
//! | module | what |
//! |---|---|
//! | `arena` | many small values treated alike, one dispatch for all |
//! | `merged_sums` | a number to which many values add, one dispatch for all |
//! | `device` | opening an adapter; errors that arrive later |
//! | `dispatches` | which kernels are dispatched for a graph, and what they bind |
//! | `kernels` | the WGSL of every op, and pipelines made of it once |
//! | `memory` | padded values on their way to the GPU and back |
//! | `throughput` | how much work goes into one submission |
//! | `split` | a dispatch too long for one submission, in parts |
//! | `program` | a graph compiled to dispatches |
//! | `replay` | running it, once or several times in a row, and reading its values |
//! | `weights` | parameters that programs share |

mod arena;
mod device;
mod dispatches;
mod kernels;
mod memory;
mod merged_sums;
mod program;
mod replay;
mod split;
mod throughput;
mod weights;

#[doc(hidden)]
pub use device::Made;
#[doc(hidden)]
pub use kernels::KERNELS;
pub(super) use program::Place;
#[doc(hidden)]
pub use program::Program;
#[doc(hidden)]
pub use replay::Kept;
pub(super) use weights::{Weights, bytes};

use crate::graph::{Graph, Id};
use device::Device;
use kernels::Kernels;
use std::collections::HashMap;
use std::sync::Arc;
use throughput::Throughput;

/// What can go wrong on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No adapter at all.
    #[error("no GPU was found")]
    NoAdapter,
    /// Only a software adapter, and the caller does not want one.
    #[error("the only GPU is a software one{}, slower than the CPU engine", in_brackets(.0))]
    SoftwareOnly(String),
    /// The adapter is there but cannot be used.
    #[error("the GPU {adapter} cannot be used: {reason}")]
    NoDevice {
        /// Its name.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// A value that does not fit a buffer.
    #[error(
        "a value of shape {shape} needs {needed} bytes and the GPU allows {allowed}: use smaller images or a smaller batch"
    )]
    TooLarge {
        /// The value's shape.
        shape: crate::tensor::Shape,
        /// Bytes it takes.
        needed: u64,
        /// Bytes the GPU binds at most.
        allowed: u64,
    },
    /// An op whose kernel is missing from [`KERNELS`].
    #[error("there is no kernel called {0:?}")]
    UnknownKernel(String),
    /// Values that do not fill a leaf.
    #[error("a leaf of shape {shape} takes {} values, not {found}", shape.len())]
    WrongLength {
        /// The leaf's shape.
        shape: crate::tensor::Shape,
        /// Values given.
        found: usize,
    },
    /// An error that the GPU reported, possibly about an earlier call.
    #[error("the GPU reported an error: {0}")]
    Reported(String),
    /// The device is gone; a new one must be opened.
    #[error("the GPU was lost: {0}")]
    Lost(String),
    /// Values did not come back.
    #[error("reading from the GPU failed: {0}")]
    Read(String),
}

/// A name, which browsers may keep to themselves, in brackets.
fn in_brackets(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" ({name})") }
}

/// An opened GPU. Clones share the device and its pipelines.
#[derive(Clone)]
pub struct Gpu {
    device: Arc<Device>,
    kernels: Arc<Kernels>,
    throughput: Throughput,
}

impl Gpu {
    #[cfg_attr(
        target_arch = "wasm32",
        allow(clippy::arc_with_non_send_sync, reason = "a tab's GPU stays on the thread that opened it")
    )]
    /// Opens the fastest adapter. A software adapter (llvmpipe, SwiftShader, WARP) is an error unless allowed.
    pub async fn open(allow_software: bool) -> Result<Self, GpuError> {
        let device = Device::open(allow_software).await?;
        let throughput = Throughput::new(device.software);
        Ok(Self { device: Arc::new(device), kernels: Arc::default(), throughput })
    }

    /// The adapter's name, for people.
    pub fn adapter(&self) -> String {
        self.device.name.clone()
    }

    /// Whether the adapter computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.device.software
    }

    /// Objects made and submissions sent since it was opened, by all its clones.
    pub fn made(&self) -> Made {
        self.device.made()
    }

    /// Makes a program of a graph: buffers, pipelines and bind groups are made here, none while it runs.
    pub fn compile(&self, graph: &Graph) -> Result<Program, GpuError> {
        self.compile_sharing(graph, &HashMap::new())
    }

    /// [`Gpu::compile`], with some of the parameters where they are `given`.
    pub(super) fn compile_sharing(&self, graph: &Graph, given: &HashMap<Id, Place>) -> Result<Program, GpuError> {
        Program::compile(self, graph, given, false)
    }

    /// [`Gpu::compile`] with the kernels for hardware and large work, however little there is: for checking them.
    pub fn compile_tiled(&self, graph: &Graph) -> Result<Program, GpuError> {
        Program::compile(self, graph, &HashMap::new(), true)
    }
}
