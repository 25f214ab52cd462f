//! Parameters on a GPU, wherever they lie: in buffers of their own, or in the arenas of a training program.

use super::device::Device;
use super::memory::{self, Download};
use super::program::{Place, Program};
use super::{Gpu, GpuError};
use crate::tensor::Shape;
use std::sync::Arc;

/// The places of parameters, in the order of whoever asked for them.
#[derive(Clone)]
pub struct Weights {
    device: Arc<Device>,
    places: Vec<Place>,
}

/// Bytes of a value on a GPU.
pub fn bytes(shape: Shape) -> usize {
    memory::bytes(shape)
}

impl Gpu {
    /// Zeros of these shapes.
    pub(in crate::engine) fn weights(&self, shapes: &[Shape]) -> Result<Weights, GpuError> {
        self.device.check()?;
        let new = |&shape: &Shape| Ok(Place::start(memory::storage(&self.device, shape, memory::bytes(shape))?));
        let places = shapes.iter().map(new).collect::<Result<_, _>>()?;
        self.device.check()?;
        Ok(Weights { device: self.device.clone(), places })
    }
}

impl Weights {
    /// Whether they lie on this GPU.
    pub(in crate::engine) fn are_of(&self, gpu: &Gpu) -> bool {
        Arc::ptr_eq(&self.device, &gpu.device)
    }

    pub(in crate::engine) fn place(&self, i: usize) -> Place {
        self.places[i].clone()
    }

    pub(in crate::engine) fn write(&self, i: usize, shape: Shape, values: &[f32]) -> Result<(), GpuError> {
        self.device.check()?;
        let place = &self.places[i];
        self.device.write(&place.buffer, place.offset, bytemuck::cast_slice(&memory::pad(shape, values)));
        Ok(())
    }

    pub(in crate::engine) async fn read(&self, i: usize, shape: Shape) -> Result<Vec<f32>, GpuError> {
        let download = Download::buffer(&self.device, memory::bytes(shape));
        let (values, _) = Download::of(&self.device, &self.places[i], shape, download).await?;
        Ok(values)
    }
}

impl Program {
    /// Weights that lie at these places of this program.
    pub(in crate::engine) fn weights_at(&self, places: Vec<Place>) -> Weights {
        Weights { device: self.device.clone(), places }
    }
}
