//! What stands for the GPU engine in a library built without the feature `gpu`: nothing can be opened, so nothing can be called.

use super::Cost;
use crate::graph::{Graph, Id};
use crate::tensor::Shape;
use std::collections::HashMap;

/// Why there is no GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The engine is not part of this build.
    #[error("there is no GPU engine here: it was built without the feature gpu")]
    Absent,
}

/// There is none.
#[derive(Clone)]
pub enum Gpu {}

/// There is none.
pub enum Program {}

/// There are none.
pub enum Kept {}

/// There are none.
#[derive(Clone)]
pub enum Weights {}

/// There is none.
pub enum Place {}

/// A value takes nothing where there is no GPU.
pub(super) fn bytes(_shape: Shape) -> usize {
    0
}

impl Weights {
    pub(super) fn are_of(&self, _gpu: &Gpu) -> bool {
        match *self {}
    }

    pub(super) fn place(&self, _i: usize) -> Place {
        match *self {}
    }

    pub(super) fn write(&self, _i: usize, _shape: Shape, _values: &[f32]) -> Result<(), GpuError> {
        match *self {}
    }

    pub(super) async fn read(&self, _i: usize, _shape: Shape) -> Result<Vec<f32>, GpuError> {
        match *self {}
    }
}

impl Gpu {
    pub(super) async fn open(_allow_software: bool) -> Result<Self, GpuError> {
        Err(GpuError::Absent)
    }

    pub(super) fn adapter(&self) -> String {
        match *self {}
    }

    pub(super) fn is_software(&self) -> bool {
        match *self {}
    }

    pub(super) fn compile_sharing(&self, _: &Graph, _: &HashMap<Id, Place>) -> Result<Program, GpuError> {
        match *self {}
    }

    pub(super) fn weights(&self, _shapes: &[Shape]) -> Result<Weights, GpuError> {
        match *self {}
    }

    pub(super) fn compile_tiled(&self, _graph: &Graph) -> Result<Program, GpuError> {
        match *self {}
    }
}

impl Program {
    pub(super) fn write(&mut self, _leaf: Id, _values: &[f32]) -> Result<(), GpuError> {
        match *self {}
    }

    pub(super) fn run(&mut self) -> Result<(), GpuError> {
        match *self {}
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn run_with(&mut self, _after: impl FnMut(&'static str)) -> Result<(), GpuError> {
        match *self {}
    }

    pub(super) async fn read(&mut self, _value: Id) -> Result<Vec<f32>, GpuError> {
        match *self {}
    }

    pub(super) fn start(&mut self, _leaves: &[Id], _runs: &[Vec<&[f32]>], _keep: &[Id]) -> Result<Kept, GpuError> {
        match *self {}
    }

    pub(super) async fn finish(&mut self, kept: Kept) -> Result<Vec<Vec<Vec<f32>>>, GpuError> {
        match kept {}
    }

    pub(super) fn ahead(&self) -> (usize, usize) {
        match *self {}
    }

    pub(super) fn place(&self, _id: Id) -> Option<(u64, Place)> {
        match *self {}
    }

    pub(super) fn weights_at(&self, _places: Vec<Place>) -> Weights {
        match *self {}
    }

    pub(super) fn cost(&self) -> Cost {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::GpuError;
    use crate::engine::{Choice, Engine, EngineError, Kind};
    use pollster::block_on;

    #[test]
    fn auto_takes_the_cpu_and_says_why_and_a_gpu_is_refused() {
        let engine = block_on(Engine::open(Choice::Auto)).expect("the CPU");
        assert_eq!(engine.describe().engine, Kind::Cpu);
        assert!(engine.describe().note.is_some_and(|note| note.contains("without the feature gpu")));
        assert!(matches!(block_on(Engine::open(Choice::Gpu)), Err(EngineError::Gpu(GpuError::Absent))));
    }
}
