//! Parameters on an engine, once, by name: whatever program is compiled with them shares them.

use super::{Engine, EngineError, Inner, Program, cpu, gpu};
use crate::graph::{Graph, Id, ParamSpec};
use crate::tensor::Shape;
use std::collections::HashMap;
use std::sync::Arc;

/// The parameters of a model on an engine. Clones, and the programs compiled with them, have the same values, and so has the
/// program they were taken from, if any: the weights of a training run follow the run.
#[derive(Clone)]
pub struct Weights {
    entries: Arc<Vec<(String, Shape)>>,
    values: Values,
}

/// The values, in the order of the entries.
#[derive(Clone)]
enum Values {
    Cpu(Arc<Vec<Arc<cpu::Tensor>>>),
    Gpu(gpu::Weights),
}

impl Engine {
    /// Takes parameters to the engine: `values` in the order of `specs`.
    ///
    /// # Errors
    /// Values that do not fill a parameter; too little memory; a failing GPU.
    pub fn load(&self, specs: &[ParamSpec], values: &[Vec<f32>]) -> Result<Weights, EngineError> {
        let shapes: Vec<Shape> = specs.iter().map(|spec| spec.shape).collect();
        let places = match self {
            Self::Cpu(_) => {
                let needed = shapes.iter().map(|shape| shape.len() * size_of::<f32>()).sum();
                let new = |shape: &Shape| cpu::Tensor::new(shape.len()).map(Arc::new);
                let tensors: Option<Vec<_>> = shapes.iter().map(new).collect();
                Values::Cpu(Arc::new(tensors.ok_or(cpu::OutOfMemory { needed })?))
            }
            Self::Gpu(gpu) => Values::Gpu(gpu.weights(&shapes)?),
        };
        let entries = specs.iter().map(|spec| (spec.name.clone(), spec.shape)).collect();
        let weights = Weights { entries: Arc::new(entries), values: places };
        for (spec, values) in specs.iter().zip(values) {
            weights.write(&spec.name, values)?;
        }
        Ok(weights)
    }
}

impl Weights {
    /// Names and shapes.
    pub fn entries(&self) -> &[(String, Shape)] {
        &self.entries
    }

    /// Bytes on the engine, packed forms included.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::Cpu(tensors) => tensors.iter().map(|tensor| tensor.bytes()).sum(),
            Values::Gpu(_) => self.entries.iter().map(|(_, shape)| gpu::bytes(*shape)).sum(),
        }
    }

    fn position(&self, name: &str) -> Result<usize, EngineError> {
        let found = self.entries.iter().position(|(entry, _)| entry == name);
        found.ok_or_else(|| EngineError::UnknownName { kind: "parameter", name: name.to_owned() })
    }

    /// Writes a parameter, NHWC without padding.
    ///
    /// # Errors
    /// An unknown name; values that do not fill it; a failing GPU.
    pub fn write(&self, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let i = self.position(name)?;
        let shape = self.entries[i].1;
        if values.len() != shape.len() {
            let (expected, found) = (shape.len(), values.len());
            return Err(EngineError::WrongLength { name: name.to_owned(), expected, found });
        }
        match &self.values {
            Values::Cpu(tensors) => tensors[i].write(values),
            Values::Gpu(weights) => weights.write(i, shape, values)?,
        }
        Ok(())
    }

    /// Reads a parameter, NHWC without padding.
    ///
    /// # Errors
    /// An unknown name; a failing GPU.
    pub async fn read(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let i = self.position(name)?;
        Ok(match &self.values {
            Values::Cpu(tensors) => tensors[i].read().clone(),
            Values::Gpu(weights) => weights.read(i, self.entries[i].1).await?,
        })
    }

    /// Where each parameter of a graph is among these.
    fn positions(&self, graph: &Graph) -> Result<Vec<(Id, usize)>, EngineError> {
        let find = |ParamSpec { name, shape, id, .. }: ParamSpec| {
            let found = self.entries.iter().position(|entry| *entry == (name.clone(), shape));
            found.map(|i| (id, i)).ok_or(EngineError::NoWeight { name, shape })
        };
        graph.parameters().into_iter().map(find).collect()
    }

    pub(super) fn tensors(&self, graph: &Graph) -> Result<HashMap<Id, Arc<cpu::Tensor>>, EngineError> {
        let Values::Cpu(tensors) = &self.values else { return Err(elsewhere(graph)) };
        Ok(self.positions(graph)?.into_iter().map(|(id, i)| (id, tensors[i].clone())).collect())
    }

    pub(super) fn places(&self, graph: &Graph, gpu: &gpu::Gpu) -> Result<HashMap<Id, gpu::Place>, EngineError> {
        let Values::Gpu(weights) = &self.values else { return Err(elsewhere(graph)) };
        if !weights.are_of(gpu) {
            return Err(elsewhere(graph));
        }
        Ok(self.positions(graph)?.into_iter().map(|(id, i)| (id, weights.place(i))).collect())
    }
}

/// What is wrong with weights of another engine.
fn elsewhere(graph: &Graph) -> EngineError {
    let first = graph.parameters().into_iter().next();
    let (name, shape) = first.map_or(("parameter".to_owned(), Shape::SCALAR), |spec| (spec.name, spec.shape));
    EngineError::NoWeight { name, shape }
}

impl Program {
    /// The leaves called `prefix` and a parameter's name, as weights by that name: the parameters of a training step, or their
    /// moving averages. Those that nothing depends on are left out.
    #[cfg_attr(not(feature = "gpu"), expect(unreachable_code, reason = "then no program is a GPU's"))]
    pub fn weights(&self, prefix: &str, parameters: &[ParamSpec]) -> Weights {
        let leaves = parameters.iter().filter_map(|spec| {
            let is_leaf = |name: &str| name.strip_prefix(prefix) == Some(&spec.name);
            let (_, id, shape) = self.leaves.iter().find(|(name, ..)| is_leaf(name))?;
            Some(((spec.name.clone(), *shape), *id))
        });
        let (entries, values) = match &self.inner {
            Inner::Cpu(program) => {
                let of = |(entry, id)| Some((entry, program.tensor(id)?.clone()));
                let (entries, tensors) = leaves.filter_map(of).unzip();
                (entries, Values::Cpu(Arc::new(tensors)))
            }
            Inner::Gpu(program) => {
                let of = |(entry, id)| Some((entry, program.place(id)?.1));
                let (entries, places) = leaves.filter_map(of).unzip();
                (entries, Values::Gpu(program.weights_at(places)))
            }
        };
        Weights { entries: Arc::new(entries), values }
    }
}
