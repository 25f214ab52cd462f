//! The value of a leaf that outlives a run, which several programs may share: a parameter, or state.

use super::{OutOfMemory, zeros};
use crate::graph::Packing;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Values, and the packed forms in which ops want them. A write makes the packed forms stale, and the next run renews them.
#[derive(Default)]
pub struct Tensor {
    values: RwLock<Vec<f32>>,
    /// How often the values were written.
    writes: AtomicU64,
    packed: Mutex<Vec<(&'static str, Arc<Packed>)>>,
}

/// A packed form of a tensor.
pub(super) struct Packed {
    /// The packed values, and the write that they were made of: one more than there were, so that 0 is none.
    values: RwLock<(u64, Vec<f32>)>,
}

/// A lock whose holder has panicked has only values behind it, which the next write puts right.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

impl Tensor {
    /// So many zeros, or nothing where there is no memory for them.
    pub fn new(len: usize) -> Option<Self> {
        Some(Self { values: RwLock::new(zeros(len)?), ..Self::default() })
    }

    /// The values, which nobody can write while they are held.
    pub fn read(&self) -> RwLockReadGuard<'_, Vec<f32>> {
        read(&self.values)
    }

    /// Writes the values, as many as there are.
    pub fn write(&self, values: &[f32]) {
        let mut held = self.values.write().unwrap_or_else(PoisonError::into_inner);
        held.copy_from_slice(values);
        // Counted while the values are held: whoever reads them next knows that they are others.
        self.writes.fetch_add(1, Ordering::Release);
    }

    /// Bytes of the values and of all packed forms.
    pub fn bytes(&self) -> usize {
        let packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let packed: usize = packed.iter().map(|(_, packed)| read(&packed.values).1.len()).sum();
        (self.read().len() + packed) * size_of::<f32>()
    }

    /// A packed form, shared by all who ask for it; empty until it is first [`Tensor::renewed`].
    pub(super) fn packed(&self, packing: Packing) -> Result<Arc<Packed>, OutOfMemory> {
        let mut forms = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, packed)) = forms.iter().find(|(form, _)| *form == packing.form) {
            return Ok(packed.clone());
        }
        let values = zeros(packing.len).ok_or(OutOfMemory { needed: packing.len * size_of::<f32>() })?;
        let packed = Arc::new(Packed { values: RwLock::new((0, values)) });
        forms.push((packing.form, packed.clone()));
        Ok(packed)
    }

    /// The values of a packed form, by `pack` made anew if the tensor was written since. `values` are the tensor's own, which
    /// the caller holds.
    pub(super) fn renewed<'a>(
        &self,
        packed: &'a Packed,
        values: &[f32],
        pack: impl FnOnce(&[f32], &mut [f32]),
    ) -> RwLockReadGuard<'a, (u64, Vec<f32>)> {
        let now = self.writes.load(Ordering::Acquire) + 1;
        if read(&packed.values).0 != now {
            let mut form = packed.values.write().unwrap_or_else(PoisonError::into_inner);
            pack(values, &mut form.1);
            form.0 = now;
        }
        read(&packed.values)
    }
}
