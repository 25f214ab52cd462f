//! Values on their way to the GPU and back: the channel axis filled up to whole `vec4<f32>` with zeros, and taken off again.

use super::GpuError;
use super::device::Device;
use crate::tensor::Shape;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes of a value on the GPU.
pub(super) fn bytes(shape: Shape) -> usize {
    shape.vec4_len() * 16
}

/// The values with their channels filled up to a multiple of four with zeros.
pub(super) fn pad(shape: Shape, values: &[f32]) -> Cow<'_, [f32]> {
    let (c, padded) = (shape.c(), shape.vec4_channels() * 4);
    if c == padded {
        return Cow::Borrowed(values);
    }
    let mut out = vec![0.0; shape.vec4_len() * 4];
    for (to, from) in out.chunks_exact_mut(padded).zip(values.chunks_exact(c)) {
        to[..c].copy_from_slice(from);
    }
    Cow::Owned(out)
}

/// The values without what [`pad`] adds.
pub(super) fn unpad(shape: Shape, padded: &[f32]) -> Vec<f32> {
    let c = shape.c();
    padded.chunks_exact(shape.vec4_channels() * 4).flat_map(|pixel| &pixel[..c]).copied().collect()
}

/// A storage buffer for values, filled with zeros; an error where a value does not fit one.
pub(super) fn storage(device: &Device, shape: Shape, size: usize) -> Result<wgpu::Buffer, GpuError> {
    let allowed = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
    if size as u64 > allowed {
        return Err(GpuError::TooLarge { shape, needed: size as u64, allowed });
    }
    Ok(device.wgpu.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: size as u64,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    }))
}

/// A buffer that the GPU copies to and the CPU reads, at least this large.
pub(super) fn staging(device: &Device, size: usize) -> wgpu::Buffer {
    device.wgpu.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size: size as u64,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// Waits for the GPU and reads the first values of a staging buffer.
pub(super) async fn map(device: &Device, staging: &wgpu::Buffer, shape: Shape) -> Result<Vec<f32>, GpuError> {
    let failed = |error: &dyn std::fmt::Display| {
        // A loss explains a failed read better than the read does.
        device.check().err().unwrap_or_else(|| GpuError::Read(error.to_string()))
    };
    let slice = staging.slice(..bytes(shape) as u64);
    let mapped = Signal::default();
    let done = mapped.clone();
    slice.map_async(wgpu::MapMode::Read, move |result| done.set(result));
    #[cfg(not(target_arch = "wasm32"))]
    device.wgpu.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(&error))?;
    mapped.await.map_err(|error| failed(&error))?;
    let view = slice.get_mapped_range().map_err(|error| failed(&error))?;
    let values = unpad(shape, bytemuck::cast_slice(&view));
    drop(view);
    staging.unmap();
    Ok(values)
}

/// A value that a callback will bring: natively while the device is polled, in the browser when the event loop gets to it.
struct Signal<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Default for Signal<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((None, None))))
    }
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Signal<T> {
    fn set(&self, value: T) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(value);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Signal<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_comes_off_again() {
        for c in [1, 3, 4, 6] {
            let shape = Shape::new(2, 1, 3, c);
            let values: Vec<f32> = (1..=shape.len()).map(|i| i as f32).collect();
            let padded = pad(shape, &values);
            assert_eq!(padded.len() * 4, bytes(shape));
            assert_eq!(padded.iter().filter(|&&v| v == 0.0).count(), padded.len() - values.len());
            assert_eq!(unpad(shape, &padded), values);
        }
    }
}
