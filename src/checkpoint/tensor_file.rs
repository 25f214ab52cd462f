//! A safetensors file: named tensors, read with limits, since a file may come from anywhere.

use super::CheckpointError;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Stored, SafeTensors};
use std::collections::BTreeMap;

/// Largest header, in bytes. The largest checkpoints of this kind have about 50 KB.
const MAX_HEADER: u64 = 1 << 20;
/// Largest number of tensors.
pub(super) const MAX_TENSORS: usize = 4096;
/// Largest number of axes, as of a convolution's weight; a trajectory has one more: `[steps, N, C, H, W]`.
const MAX_AXES: usize = 5;
/// Longest name, in characters.
const MAX_NAME: usize = 256;

/// How floating-point values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes a value, as they are.
    F32,
    /// Two bytes a value, rounded to the nearest.
    F16,
}

/// The values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// F32, or F16 and BF16 widened.
    F32(Vec<f32>),
    /// Whole numbers: timesteps, labels.
    I64(Vec<i64>),
    /// Numbers of another type, called as the file calls it, which are not read.
    Unread(String),
}

impl Values {
    /// The type of number.
    pub(super) fn dtype(&self) -> String {
        match self {
            Self::F32(_) => "F32".to_owned(),
            Self::I64(_) => "I64".to_owned(),
            Self::Unread(dtype) => dtype.clone(),
        }
    }
}

/// Types of which [`Values::F32`] are read.
pub(super) const FLOATS: &str = "F32, F16 or BF16";

/// A tensor: its shape in the file, and its values in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    /// Extent of each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the shape says, if they are read.
    pub values: Values,
}

/// The tensors of a safetensors file by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// In alphabetical order.
    pub tensors: BTreeMap<String, FileTensor>,
}

impl TensorFile {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Anything but a whole safetensors file within the limits, of finite values.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let malformed = |detail: String| CheckpointError::Malformed { detail };
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(malformed("it is only a pointer of Git LFS to one: fetch it with git lfs pull".to_owned()));
        }
        let Some((length, _)) = bytes.split_first_chunk() else {
            return Err(malformed(format!("it has {} bytes, expected at least 8", bytes.len())));
        };
        let header = u64::from_le_bytes(*length);
        if header > MAX_HEADER {
            return Err(malformed(format!("its header would have {header} bytes, expected at most {MAX_HEADER}")));
        }
        if header.saturating_add(8) > bytes.len() as u64 {
            return Err(malformed(format!("it ends within its header of {header} bytes: is it truncated?")));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| malformed(explain(&e)))?;
        if file.len() > MAX_TENSORS {
            return Err(malformed(format!("it has {} tensors, expected at most {MAX_TENSORS}", file.len())));
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if name.chars().count() > MAX_NAME {
                let start: String = name.chars().take(40).collect();
                return Err(malformed(format!("the name of the tensor {start}… is longer than {MAX_NAME} characters")));
            }
            tensors.insert(name.to_owned(), read_tensor(name, &view)?);
        }
        Ok(Self { tensors })
    }

    /// The bytes of a file with these tensors; equal tensors make equal bytes.
    ///
    /// # Errors
    /// A value that F16 cannot hold, a value that is not finite, a shape that does not match the number of values.
    pub fn to_bytes(&self, dtype: Dtype) -> Result<Vec<u8>, CheckpointError> {
        let mut encoded = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            encoded.push((name, tensor, encode(name, &tensor.values, dtype)?));
        }
        let mut views = Vec::with_capacity(encoded.len());
        for (name, tensor, (stored, bytes)) in &encoded {
            let view = TensorView::new(*stored, tensor.shape.clone(), bytes);
            views.push((
                name.as_str(),
                view.map_err(|e| CheckpointError::Malformed { detail: format!("{name}: {e}") })?,
            ));
        }
        // What PyTorch's own writer says; some readers ask for it.
        let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
        safetensors::serialize(views, Some(metadata)).map_err(|e| CheckpointError::Malformed { detail: e.to_string() })
    }

    /// Adds floating-point values.
    pub fn insert_f32(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) {
        self.tensors.insert(name.into(), FileTensor { shape: shape.to_vec(), values: Values::F32(values) });
    }

    /// Adds whole numbers.
    pub fn insert_i64(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<i64>) {
        self.tensors.insert(name.into(), FileTensor { shape: shape.to_vec(), values: Values::I64(values) });
    }

    /// The floating-point tensor `name` with `axes` axes: shape and values.
    ///
    /// # Errors
    /// It is missing, holds other numbers, or has another number of axes.
    pub fn f32(&self, name: &str, axes: usize) -> Result<(&[usize], &[f32]), CheckpointError> {
        match self.get(name, axes)? {
            FileTensor { shape, values: Values::F32(values) } => Ok((shape, values)),
            FileTensor { values, .. } => {
                Err(CheckpointError::Kind { name: name.to_owned(), expected: FLOATS, found: values.dtype() })
            }
        }
    }

    /// The whole-number tensor `name` with `axes` axes: shape and values.
    ///
    /// # Errors
    /// It is missing, holds other numbers, or has another number of axes.
    pub fn i64(&self, name: &str, axes: usize) -> Result<(&[usize], &[i64]), CheckpointError> {
        match self.get(name, axes)? {
            FileTensor { shape, values: Values::I64(values) } => Ok((shape, values)),
            FileTensor { values, .. } => {
                Err(CheckpointError::Kind { name: name.to_owned(), expected: "I64", found: values.dtype() })
            }
        }
    }

    fn get(&self, name: &str, axes: usize) -> Result<&FileTensor, CheckpointError> {
        let Some(tensor) = self.tensors.get(name) else {
            let found = self.tensors.keys().take(10).cloned().collect::<Vec<_>>().join(", ");
            return Err(CheckpointError::NoTensor { name: name.to_owned(), found });
        };
        if tensor.shape.len() != axes {
            return Err(CheckpointError::Axes { name: name.to_owned(), shape: tensor.shape.clone(), axes });
        }
        Ok(tensor)
    }
}

fn explain(error: &safetensors::SafeTensorError) -> String {
    match error {
        safetensors::SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors do not fill it exactly: is it truncated?".to_owned()
        }
        other => other.to_string(),
    }
}

fn read_tensor(name: &str, view: &TensorView<'_>) -> Result<FileTensor, CheckpointError> {
    let (shape, bytes) = (view.shape().to_vec(), view.data());
    if shape.len() > MAX_AXES {
        let detail = format!("{name} has {} axes, expected at most {MAX_AXES}", shape.len());
        return Err(CheckpointError::Malformed { detail });
    }
    let values = match view.dtype() {
        Stored::F32 => Values::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Stored::F16 => Values::F32(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
        Stored::BF16 => Values::F32(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
        Stored::I64 => Values::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        // Whether anybody wants it, and as what, is not known here.
        other => Values::Unread(other.to_string()),
    };
    if let Values::F32(values) = &values {
        finite(name, values)?;
    }
    Ok(FileTensor { shape, values })
}

fn finite(name: &str, values: &[f32]) -> Result<(), CheckpointError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(CheckpointError::NotFinite { name: name.to_owned(), index, value: values[index] }),
        None => Ok(()),
    }
}

fn encode(name: &str, values: &Values, dtype: Dtype) -> Result<(Stored, Vec<u8>), CheckpointError> {
    Ok(match (values, dtype) {
        (Values::Unread(found), _) => {
            return Err(CheckpointError::Dtype { name: name.to_owned(), found: found.clone() });
        }
        (Values::I64(values), _) => (Stored::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        (Values::F32(values), dtype) => {
            finite(name, values)?;
            if dtype == Dtype::F32 {
                (Stored::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
            } else {
                let mut bytes = Vec::with_capacity(2 * values.len());
                for &value in values {
                    let half = f16::from_f32(value);
                    if !half.is_finite() {
                        return Err(CheckpointError::TooLargeForF16 { name: name.to_owned(), value });
                    }
                    bytes.extend(half.to_le_bytes());
                }
                (Stored::F16, bytes)
            }
        }
    })
}
