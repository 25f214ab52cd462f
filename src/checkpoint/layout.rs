//! Parameters in files and in graphs: the same numbers in another order, under the same names.
//!
//! | kind | file (PyTorch) | graph |
//! |---|---|---|
//! | convolution | `[co, ci, kh, kw]` | `[kh, kw, ci, co]` |
//! | linear | `[out, in]` | `[1, 1, in, out]` |
//! | bias, scale, shift | `[C]` | `[1, 1, 1, C]` |
//! | embedding | `[rows, C]` | `[1, 1, rows, C]` |

use super::CheckpointError;
use crate::graph::{ParamKind, ParamSpec};
use crate::tensor::Shape;
use std::collections::{BTreeMap, BTreeSet};

/// Parameters by their names in the file: shape and values as the file has them.
pub type FileParameters = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The shape that a file has for a parameter of this kind and graph shape.
pub fn file_shape(kind: ParamKind, shape: Shape) -> Vec<usize> {
    let [kh, kw, ci, co] = shape.0;
    match kind {
        ParamKind::Conv => vec![co, ci, kh, kw],
        ParamKind::Linear => vec![co, ci],
        ParamKind::Bias { .. } | ParamKind::Scale | ParamKind::Shift => vec![co],
        ParamKind::Embedding => vec![ci, co],
    }
}

/// Reorders values from the file's layout to the graph's; `shape` is the graph's.
pub fn to_graph(kind: ParamKind, shape: Shape, values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; shape.len()];
    for_each_pair(kind, shape, |file, graph| out[graph] = values[file]);
    out
}

/// Reorders values from the graph's layout to the file's; `shape` is the graph's.
pub fn to_file(kind: ParamKind, shape: Shape, values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; shape.len()];
    for_each_pair(kind, shape, |file, graph| out[file] = values[graph]);
    out
}

/// Calls `f` with the index of each value in the file and in the graph.
fn for_each_pair(kind: ParamKind, shape: Shape, mut f: impl FnMut(usize, usize)) {
    let [kh, kw, ci, co] = shape.0;
    match kind {
        ParamKind::Conv | ParamKind::Linear => {
            let mut file = 0;
            for o in 0..co {
                for i in 0..ci {
                    for tap in 0..kh * kw {
                        f(file, (tap * ci + i) * co + o);
                        file += 1;
                    }
                }
            }
        }
        _ => (0..shape.len()).for_each(|i| f(i, i)),
    }
}

/// Whether these are a graph's parameters.
///
/// # Errors
/// The names and shapes must be exactly those of the graph; all that are missing, extra or of another shape are listed.
pub fn check_parameters(tensors: &FileParameters, specs: &[ParamSpec]) -> Result<(), CheckpointError> {
    let (mut missing, mut mismatched) = (Vec::new(), Vec::new());
    for spec in specs {
        let expected = file_shape(spec.kind, spec.shape);
        match tensors.get(&spec.name) {
            None => missing.push(spec.name.clone()),
            Some((found, values)) if *found != expected || values.len() != spec.shape.len() => {
                mismatched.push(format!("{} is {found:?}, expected {expected:?}", spec.name));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let extra: Vec<String> = tensors.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
    if missing.is_empty() && extra.is_empty() && mismatched.is_empty() {
        return Ok(());
    }
    Err(CheckpointError::Parameters { missing, extra, mismatched })
}

/// The values of a graph's parameters in their order and the graph's layout.
///
/// # Errors
/// As [`check_parameters`].
pub fn load_parameters(tensors: &FileParameters, specs: &[ParamSpec]) -> Result<Vec<Vec<f32>>, CheckpointError> {
    check_parameters(tensors, specs)?;
    let values = |spec: &ParamSpec| tensors.get(&spec.name).map(|(_, values)| to_graph(spec.kind, spec.shape, values));
    Ok(specs.iter().filter_map(values).collect())
}

/// What [`load_parameters`] reads: the parameters of a graph (or anything of their shapes, such as gradients) in the
/// file's layout.
///
/// # Panics
/// `values` are as many and as long as the specs say.
pub fn store_parameters(specs: &[ParamSpec], values: &[Vec<f32>]) -> FileParameters {
    assert_eq!(specs.len(), values.len(), "one vector for each parameter");
    let entry = |(spec, values): (&ParamSpec, &Vec<f32>)| {
        assert_eq!(values.len(), spec.shape.len(), "{}", spec.name);
        (spec.name.clone(), (file_shape(spec.kind, spec.shape), to_file(spec.kind, spec.shape, values)))
    };
    specs.iter().zip(values).map(entry).collect()
}

/// The present name of a parameter that an old file may call otherwise: attention once had `query`, `key`, `value` and
/// `proj_attn`.
pub(super) fn modern_name(name: &str) -> Option<String> {
    if !name.contains("attentions.") {
        return None;
    }
    let (path, part) = name.rsplit_once('.')?;
    let (path, layer) = path.rsplit_once('.')?;
    let layer = match layer {
        "query" => "to_q",
        "key" => "to_k",
        "value" => "to_v",
        "proj_attn" => "to_out.0",
        _ => return None,
    };
    Some(format!("{path}.{layer}.{part}"))
}
