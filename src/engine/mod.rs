//! The two engines behind one interface: compile a graph, write its leaves, run it, read its results.

#[doc(hidden)]
pub mod cpu;
#[cfg_attr(not(feature = "gpu"), path = "gpu_absent.rs")]
pub mod gpu;
mod memory;
mod runs;
#[cfg(feature = "gpu")]
mod sorting;

pub use cpu::OutOfMemory;
pub use runs::{Ahead, Started};

use crate::graph::{Graph, Id};
use std::str::FromStr;

/// Which engine the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A hardware GPU if there is one, else the CPU engine, which beats a software adapter by far.
    #[default]
    Auto,
    /// Any adapter, software included; an error where there is none.
    Gpu,
    /// The CPU engine.
    Cpu,
}

impl FromStr for Choice {
    type Err = EngineError;

    fn from_str(s: &str) -> Result<Self, EngineError> {
        match s {
            "auto" => Ok(Self::Auto),
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            _ => Err(EngineError::UnknownChoice(s.to_owned())),
        }
    }
}

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Not `auto`, `gpu` or `cpu`.
    #[error("there is no engine called {0:?}: choose auto, gpu or cpu")]
    UnknownChoice(String),
    /// The GPU engine failed.
    #[error(transparent)]
    Gpu(#[from] gpu::GpuError),
    /// The CPU engine has not the memory.
    #[error(transparent)]
    Memory(#[from] cpu::OutOfMemory),
    /// A name that the graph does not have.
    #[error("the program has no {kind} called {name:?}")]
    UnknownName {
        /// "leaf" or "value".
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// Values that do not fill a leaf.
    #[error("{name} takes {expected} values, not {found}")]
    WrongLength {
        /// The leaf.
        name: String,
        /// Values it holds.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

/// What an engine runs on, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `"gpu"` or `"cpu"`.
    pub engine: &'static str,
    /// The adapter's name, or the CPU's vector unit and threads.
    pub adapter: String,
    /// Whether the adapter is software (llvmpipe, SwiftShader, WARP).
    pub software: bool,
    /// Why `auto` did not take a GPU.
    pub note: Option<String>,
}

/// An engine.
pub enum Engine {
    /// The CPU engine, and why `auto` took it.
    Cpu(Option<String>),
    /// WebGPU, Vulkan, Metal or DirectX 12 through wgpu.
    Gpu(gpu::Gpu),
}

impl Engine {
    /// Opens the engine of one's choice. Only [`Choice::Auto`] falls back, and its description says so.
    pub async fn open(choice: Choice) -> Result<Self, EngineError> {
        match choice {
            Choice::Cpu => Ok(Self::Cpu(None)),
            Choice::Gpu => Ok(Self::Gpu(gpu::Gpu::open(true).await?)),
            Choice::Auto => Ok(match gpu::Gpu::open(false).await {
                Ok(gpu) => Self::Gpu(gpu),
                Err(error) => Self::Cpu(Some(error.to_string())),
            }),
        }
    }

    /// What it runs on.
    pub fn describe(&self) -> Description {
        match self {
            Self::Cpu(note) => {
                Description { engine: "cpu", adapter: cpu::describe(), software: false, note: note.clone() }
            }
            Self::Gpu(gpu) => {
                Description { engine: "gpu", adapter: gpu.adapter(), software: gpu.is_software(), note: None }
            }
        }
    }

    /// Makes a program of a graph: all memory is allocated here, none while it runs.
    pub fn compile(&self, graph: &Graph) -> Result<Program, EngineError> {
        let inner = match self {
            Self::Cpu(_) => Inner::Cpu(Box::new(cpu::Program::compile(graph)?)),
            Self::Gpu(gpu) => Inner::Gpu(Box::new(gpu.compile(graph)?)),
        };
        Ok(Program::new(inner, graph))
    }

    /// [`Engine::compile`] with the kernels a GPU takes for large work, however little there is; nothing where there are none.
    pub fn compile_tiled(&self, graph: &Graph) -> Result<Option<Program>, EngineError> {
        let Self::Gpu(gpu) = self else { return Ok(None) };
        Ok(Some(Program::new(Inner::Gpu(Box::new(gpu.compile_tiled(graph)?)), graph)))
    }
}

enum Inner {
    Cpu(Box<cpu::Program>),
    Gpu(Box<gpu::Program>),
}

/// A compiled graph.
pub struct Program {
    inner: Inner,
    /// Name, node and number of values.
    leaves: Vec<(String, Id, usize)>,
    outputs: Vec<(String, Id)>,
}

impl Program {
    fn new(inner: Inner, graph: &Graph) -> Self {
        let leaf = |(i, node): (usize, &crate::graph::Node)| {
            node.leaf_name().map(|name| (name.to_owned(), Id(i as u32), node.shape.len()))
        };
        let leaves: Vec<_> = graph.nodes().iter().enumerate().filter_map(leaf).collect();
        let outputs = graph.outputs().to_vec();
        Self { inner, leaves, outputs }
    }

    /// Writes a leaf: an input, a parameter or state. Values are NHWC, without padding.
    pub fn write(&mut self, leaf: &str, values: &[f32]) -> Result<(), EngineError> {
        let (id, expected) = self.leaf(leaf)?;
        if values.len() != expected {
            return Err(EngineError::WrongLength { name: leaf.to_owned(), expected, found: values.len() });
        }
        match &mut self.inner {
            Inner::Cpu(program) => program.write(id, values),
            Inner::Gpu(program) => program.write(id, values)?,
        }
        Ok(())
    }

    /// A leaf, and how many values it holds.
    fn leaf(&self, name: &str) -> Result<(Id, usize), EngineError> {
        let found = self.leaves.iter().find(|(leaf, ..)| leaf == name).map(|&(_, id, len)| (id, len));
        found.ok_or_else(|| EngineError::UnknownName { kind: "leaf", name: name.to_owned() })
    }

    /// An output or a leaf.
    fn value(&self, name: &str) -> Result<Id, EngineError> {
        let output = self.outputs.iter().find(|(n, _)| n == name).map(|&(_, id)| id);
        let leaf = || self.leaves.iter().find(|(n, ..)| n == name).map(|&(_, id, _)| id);
        output.or_else(leaf).ok_or_else(|| EngineError::UnknownName { kind: "value", name: name.to_owned() })
    }

    /// Whether the graph has this leaf.
    pub fn has_leaf(&self, leaf: &str) -> bool {
        self.leaves.iter().any(|(name, ..)| name == leaf)
    }

    /// Computes all outputs, then carries out all assignments.
    pub fn run(&mut self) -> Result<(), EngineError> {
        match &mut self.inner {
            Inner::Cpu(program) => program.run(),
            Inner::Gpu(program) => program.run()?,
        }
        Ok(())
    }

    /// [`Program::run`], calling `after` with the name of every op once it is done, for timing: on a GPU every op is then a
    /// submission of its own that is waited for. In a browser, where nobody can wait, it is never called for a GPU.
    pub fn run_with(&mut self, mut after: impl FnMut(&'static str) + Send) -> Result<(), EngineError> {
        match &mut self.inner {
            Inner::Cpu(program) => program.run_with(|_, name| after(name)),
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Gpu(program) => program.run_with(after)?,
            #[cfg(target_arch = "wasm32")]
            Inner::Gpu(program) => program.run()?,
        }
        Ok(())
    }

    /// Reads an output as of the last run, or a leaf.
    pub async fn read(&mut self, name: &str) -> Result<Vec<f32>, EngineError> {
        let id = self.value(name)?;
        Ok(match &mut self.inner {
            Inner::Cpu(program) => program.read(id).to_vec(),
            Inner::Gpu(program) => program.read(id).await?,
        })
    }

    /// What the program costs.
    pub fn cost(&self) -> Cost {
        match &self.inner {
            Inner::Cpu(program) => program.cost(),
            Inner::Gpu(program) => program.cost(),
        }
    }
}

/// What a program costs, apart from time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Ops run, or dispatches made, per run.
    pub dispatches: usize,
    /// Bytes allocated for values.
    pub peak_bytes: usize,
    /// Bytes of the largest set of values that are alive at one time.
    pub live_bytes: usize,
}
