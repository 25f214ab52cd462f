//! The two engines behind one interface: compile a graph, write its leaves, run it, read its results.

#[doc(hidden)]
pub mod cpu;
mod description;
#[cfg_attr(not(feature = "gpu"), path = "gpu_absent.rs")]
pub mod gpu;
mod plan;
mod runs;
#[cfg(feature = "gpu")]
mod sorting;
mod weights;

pub use cpu::OutOfMemory;
pub use description::{Choice, Description, Kind};
pub use runs::{Ahead, Started};
pub use weights::Weights;

use crate::graph::{Graph, Id};
use crate::tensor::Shape;
use std::collections::HashMap;

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
    /// Weights that a graph cannot be compiled with.
    #[error("the weights have no {name} of shape {shape} on this engine")]
    NoWeight {
        /// The parameter.
        name: String,
        /// Its shape in the graph.
        shape: Shape,
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

/// An engine. Clones are handles to the same one.
#[derive(Clone)]
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
            Self::Cpu(note) => Description {
                engine: Kind::Cpu,
                adapter: cpu::describe(),
                software: false,
                one_by_one: true,
                several_workers: true,
                note: note.clone(),
            },
            Self::Gpu(gpu) => Description {
                engine: Kind::Gpu,
                adapter: gpu.adapter(),
                software: gpu.is_software(),
                one_by_one: gpu.is_software(),
                several_workers: false,
                note: None,
            },
        }
    }

    /// Makes a program of a graph, with parameters of its own that start at zero: all memory is allocated here, none while it
    /// runs.
    pub fn compile(&self, graph: &Graph) -> Result<Program, EngineError> {
        self.program(graph, None)
    }

    /// Makes a program of a graph whose parameters are those of `weights`, of the same engine: what is written to one is seen
    /// by all that share them.
    ///
    /// # Errors
    /// A parameter that the weights do not have in this shape; a failing engine.
    pub fn compile_with(&self, graph: &Graph, weights: &Weights) -> Result<Program, EngineError> {
        self.program(graph, Some(weights))
    }

    fn program(&self, graph: &Graph, weights: Option<&Weights>) -> Result<Program, EngineError> {
        let inner = match self {
            Self::Cpu(_) => {
                let given = weights.map_or(Ok(HashMap::new()), |weights| weights.tensors(graph))?;
                Inner::Cpu(Box::new(cpu::Program::sharing(graph, &given)?))
            }
            Self::Gpu(gpu) => {
                let given = weights.map_or(Ok(HashMap::new()), |weights| weights.places(graph, gpu))?;
                Inner::Gpu(Box::new(gpu.compile_sharing(graph, &given)?))
            }
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
    /// Name, node and shape.
    leaves: Vec<(String, Id, Shape)>,
    outputs: Vec<(String, Id)>,
}

impl Program {
    fn new(inner: Inner, graph: &Graph) -> Self {
        let leaves = graph.leaves().map(|(name, id, shape)| (name.to_owned(), id, shape)).collect();
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
        let found = self.leaves.iter().find(|(leaf, ..)| leaf == name).map(|&(_, id, shape)| (id, shape.len()));
        found.ok_or_else(|| EngineError::UnknownName { kind: "leaf", name: name.to_owned() })
    }

    /// An output or a leaf.
    fn value(&self, name: &str) -> Result<Id, EngineError> {
        let output = self.outputs.iter().find(|(n, _)| n == name).map(|&(_, id)| id);
        let leaf = || self.leaves.iter().find(|(n, ..)| n == name).map(|&(_, id, _)| id);
        output.or_else(leaf).ok_or_else(|| EngineError::UnknownName { kind: "value", name: name.to_owned() })
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
            Inner::Cpu(program) => program.read(id),
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
    /// Of both, the bytes of the parameters and their packed forms, which programs may share: together they take them once.
    pub weight_bytes: usize,
}
