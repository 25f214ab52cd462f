//! Values on their way to the GPU and back: the channel axis filled up to whole `vec4<f32>` with zeros, and taken off again.

use super::GpuError;
use super::device::Device;
use super::program::Place;
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
    use wgpu::BufferUsages as Usage;
    Ok(device.buffer("value", size as u64, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST))
}

/// Bytes on their way from the GPU: the buffer is being mapped as soon as the submission that fills it is done.
pub(super) struct Download {
    /// The buffer, which the GPU copies to and the CPU reads.
    pub buffer: wgpu::Buffer,
    mapped: Signal<Result<(), wgpu::BufferAsyncError>>,
    /// The submission that fills it; in a browser nobody can wait for it.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "the event loop calls back by itself"))]
    submission: wgpu::SubmissionIndex,
}

impl Download {
    /// A buffer to download through, at least this large.
    pub fn buffer(device: &Device, size: usize) -> wgpu::Buffer {
        device.buffer("download", size as u64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }

    /// Asks for the first bytes of a buffer, which this submission fills.
    pub fn begin(buffer: wgpu::Buffer, size: usize, submission: wgpu::SubmissionIndex) -> Self {
        let mapped = Signal::default();
        let done = mapped.clone();
        buffer.slice(..size as u64).map_async(wgpu::MapMode::Read, move |result| done.set(result));
        Self { buffer, mapped, submission }
    }

    /// Reads one value through a buffer of at least its size, and gives the buffer back.
    pub async fn of(
        device: &Device,
        place: &Place,
        shape: Shape,
        through: wgpu::Buffer,
    ) -> Result<(Vec<f32>, wgpu::Buffer), GpuError> {
        device.check()?;
        let size = bytes(shape);
        let mut recording = device.encoder();
        recording.copy_buffer_to_buffer(&place.buffer, place.offset, &through, 0, size as u64);
        let submission = device.submit(recording);
        let (mut values, buffer) = Self::begin(through, size, submission).finish(device, &[shape]).await?;
        device.check()?;
        Ok((values.swap_remove(0), buffer))
    }

    /// Waits for values of these shapes, one behind another; gives them and the buffer, which can be used again.
    pub async fn finish(self, device: &Device, shapes: &[Shape]) -> Result<(Vec<Vec<f32>>, wgpu::Buffer), GpuError> {
        let failed = |error: &dyn std::fmt::Display| {
            // A loss explains a failed read better than the read does.
            device.check().err().unwrap_or_else(|| GpuError::Read(error.to_string()))
        };
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wait = wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: None };
            device.wgpu.poll(wait).map_err(|error| failed(&error))?;
            if !self.mapped.is_set() {
                device.wgpu.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(&error))?;
            }
        }
        self.mapped.await.map_err(|error| failed(&error))?;
        let size: usize = shapes.iter().map(|&shape| bytes(shape)).sum();
        let view = self.buffer.slice(..size as u64).get_mapped_range().map_err(|error| failed(&error))?;
        let mut rest: &[f32] = bytemuck::cast_slice(&view);
        let mut values = Vec::with_capacity(shapes.len());
        for &shape in shapes {
            let (value, behind) = rest.split_at(bytes(shape) / 4);
            values.push(unpad(shape, value));
            rest = behind;
        }
        drop(view);
        self.buffer.unmap();
        Ok((values, self.buffer))
    }
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
    #[cfg(not(target_arch = "wasm32"))]
    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.is_some()
    }

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
