//! The CPU engine: fast f32 programs, and the interpreter that runs every op by its reference, in f64 the oracle.

use super::Cost;
use crate::graph::{Fast, Graph, Id, NodeKind, Op, View};
use num_traits::Float;
use std::collections::HashMap;
use std::sync::Arc;

/// The vector unit and the threads, for people.
pub fn describe() -> String {
    #[cfg(target_arch = "x86_64")]
    let unit = if is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "SSE2"
    };
    #[cfg(target_arch = "wasm32")]
    let unit = "WebAssembly SIMD";
    #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
    let unit = std::env::consts::ARCH;
    #[cfg(not(target_arch = "wasm32"))]
    let threads = rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    let threads = 1;
    format!("{unit}, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A program that does not fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is not enough memory: {} MB are needed", needed.div_ceil(1_000_000))]
pub struct OutOfMemory {
    /// Bytes of all values and packed weights, and of scratch.
    pub needed: usize,
}

/// So many zeros, or nothing where there is no memory for them.
fn zeros(len: usize) -> Option<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).ok()?;
    values.resize(len, 0.0);
    Some(values)
}

/// Types the references are generic over.
pub trait Real: Float {
    /// Runs an op's reference in this type.
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: crate::tensor::Shape, out: &mut [Self]);
}

impl Real for f32 {
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: crate::tensor::Shape, out: &mut [Self]) {
        op.reference_f32(inputs, shape, out);
    }
}

impl Real for f64 {
    fn reference(op: &dyn Op, inputs: &[View<Self>], shape: crate::tensor::Shape, out: &mut [Self]) {
        op.reference_f64(inputs, shape, out);
    }
}

/// Runs a graph once by its references: leaves by name in, all outputs and assigned values (under the leaf's name) out.
///
/// Panics when a leaf is missing or of the wrong length: this is the oracle of tests, not a part of the product's paths.
pub fn interpret<T: Real>(graph: &Graph, leaves: &HashMap<String, Vec<T>>) -> HashMap<String, Vec<T>> {
    let live = graph.live();
    let mut values: Vec<Vec<T>> = Vec::with_capacity(graph.nodes().len());
    for (node, live) in graph.nodes().iter().zip(&live) {
        let value = match &node.kind {
            _ if !live => Vec::new(),
            NodeKind::Constant { value } => vec![T::from(*value).expect("an f32"); node.shape.len()],
            NodeKind::Op { op, inputs } => {
                let views: Vec<View<T>> =
                    inputs.iter().map(|id| View { shape: graph.shape(*id), data: &values[id.index()] }).collect();
                let mut out = vec![T::zero(); node.shape.len()];
                T::reference(op.as_ref(), &views, node.shape, &mut out);
                out
            }
            _ => {
                let name = node.leaf_name().expect("neither op nor constant");
                let value = leaves.get(name).unwrap_or_else(|| panic!("the leaf {name} is missing"));
                assert_eq!(value.len(), node.shape.len(), "{name} has the shape {}", node.shape);
                value.clone()
            }
        };
        values.push(value);
    }
    let outputs = graph.outputs().iter().map(|(name, id)| (name.clone(), values[id.index()].clone()));
    let assigned = graph.assigns().iter().map(|(state, value)| {
        (graph.node(*state).leaf_name().expect("a leaf").to_owned(), values[value.index()].clone())
    });
    outputs.chain(assigned).collect()
}

/// One op of a program.
struct Step {
    op: Arc<dyn Op>,
    fast: Option<Box<dyn Fast>>,
    /// The node that `fast` packs, as long as it has changed since.
    packs: Option<Id>,
    stale: bool,
    inputs: Vec<Id>,
    output: Id,
}

/// A compiled graph: buffers are planned and allocated once, [`Program::run`] allocates nothing of its own.
pub struct Program {
    graph: Graph,
    steps: Vec<Step>,
    /// The buffer of each node; dead nodes have none.
    slot: Vec<Option<usize>>,
    buffers: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    cost: Cost,
}

impl Program {
    /// Plans and allocates a graph.
    ///
    /// # Errors
    /// [`OutOfMemory`], with what the whole program would take.
    pub fn compile(graph: &Graph) -> Result<Self, OutOfMemory> {
        let plan = super::memory::Plan::new(graph, |shape| shape.len());
        let mut steps = Vec::new();
        let (mut scratch_len, mut packed_len) = (0, 0);
        for (i, node) in graph.nodes().iter().enumerate() {
            let (Some(_), NodeKind::Op { op, inputs }) = (plan.slot[i], &node.kind) else { continue };
            let shapes: Vec<_> = inputs.iter().map(|&id| graph.shape(id)).collect();
            let fast = op.fast_f32(&shapes, node.shape);
            scratch_len = scratch_len.max(fast.as_ref().map_or(0, |fast| fast.scratch_len()));
            packed_len += fast.as_ref().map_or(0, |fast| fast.packed_len());
            let packs = fast.as_ref().and_then(|fast| fast.packs()).map(|input| inputs[input]);
            let (op, inputs, output) = (op.clone(), inputs.clone(), Id(i as u32));
            steps.push(Step { op, fast, packs, stale: true, inputs, output });
        }
        let bytes = |values: usize| values * size_of::<f32>();
        let cost = Cost {
            dispatches: steps.len(),
            peak_bytes: bytes(plan.sizes.iter().sum::<usize>() + scratch_len + packed_len),
            live_bytes: bytes(plan.live + packed_len),
        };
        let out_of_memory = OutOfMemory { needed: cost.peak_bytes };
        let buffers: Option<Vec<_>> = plan.sizes.iter().map(|&len| zeros(len)).collect();
        let mut buffers = buffers.ok_or(out_of_memory)?;
        let scratch = zeros(scratch_len).ok_or(out_of_memory)?;
        for (node, slot) in graph.nodes().iter().zip(&plan.slot) {
            if let (Some(slot), NodeKind::Constant { value }) = (*slot, &node.kind) {
                buffers[slot][..node.shape.len()].fill(*value);
            }
        }
        Ok(Self { graph: graph.clone(), steps, slot: plan.slot, buffers, scratch, cost })
    }

    fn slot(&self, id: Id) -> Option<(usize, usize)> {
        self.slot[id.index()].map(|slot| (slot, self.graph.shape(id).len()))
    }

    /// Writes a leaf; one that nothing depends on is ignored.
    pub fn write(&mut self, id: Id, values: &[f32]) {
        if let Some((slot, len)) = self.slot(id) {
            self.buffers[slot][..len].copy_from_slice(values);
            self.steps.iter_mut().filter(|step| step.packs == Some(id)).for_each(|step| step.stale = true);
        }
    }

    /// The value of an output or a leaf; nothing for a node that nothing depends on.
    pub fn read(&self, id: Id) -> &[f32] {
        self.slot(id).map_or(&[], |(slot, len)| &self.buffers[slot][..len])
    }

    /// Computes everything in order, then carries out the assignments.
    pub fn run(&mut self) {
        self.run_with(|_, _| {});
    }

    /// [`Program::run`], calling `after(node, op's name)` after every op, for timing.
    pub fn run_with(&mut self, after: impl FnMut(Id, &'static str) + Send) {
        // From a thread of the pool, handing an op's parts out takes no waking and no waiting on a lock.
        #[cfg(not(target_arch = "wasm32"))]
        rayon::scope(|_| self.run_here(after));
        #[cfg(target_arch = "wasm32")]
        self.run_here(after);
    }

    fn run_here(&mut self, mut after: impl FnMut(Id, &'static str)) {
        const MAX_INPUTS: usize = 8; // the most that fit a GPU's storage buffers, too
        for step in &mut self.steps {
            let shape = self.graph.shape(step.output);
            let slot = self.slot[step.output.index()].expect("steps are live");
            // The output leaves its place while the inputs are borrowed; a plan never lets them share one.
            let mut out = std::mem::take(&mut self.buffers[slot]);
            let input = |i: usize| {
                let id = step.inputs[i];
                &self.buffers[self.slot[id.index()].expect("inputs of live nodes are live")]
                    [..self.graph.shape(id).len()]
            };
            let count = step.inputs.len();
            assert!(count <= MAX_INPUTS, "{} has {count} inputs", step.op.name());
            match &mut step.fast {
                Some(fast) => {
                    if let Some(id) = step.packs.filter(|_| step.stale) {
                        let slot = self.slot[id.index()].expect("inputs of live nodes are live");
                        fast.prepare(&self.buffers[slot][..self.graph.shape(id).len()]);
                        // What an op computes is another value in the next run.
                        step.stale = !self.graph.node(id).inputs().is_empty();
                    }
                    let inputs: [&[f32]; MAX_INPUTS] =
                        std::array::from_fn(|i| if i < count { input(i) } else { &[][..] });
                    fast.run(&inputs[..count], &mut out[..shape.len()], &mut self.scratch);
                }
                None => {
                    let inputs: [View<f32>; MAX_INPUTS] = std::array::from_fn(|i| {
                        if i < count {
                            View { shape: self.graph.shape(step.inputs[i]), data: input(i) }
                        } else {
                            View { shape: crate::tensor::Shape::SCALAR, data: &[] }
                        }
                    });
                    step.op.reference_f32(&inputs[..count], shape, &mut out[..shape.len()]);
                }
            }
            self.buffers[slot] = out;
            after(step.output, step.op.name());
        }
        for &(state, value) in self.graph.assigns() {
            let (Some(to), Some(from)) = (self.slot[state.index()], self.slot[value.index()]) else { continue };
            if to != from {
                let len = self.graph.shape(state).len();
                let mut target = std::mem::take(&mut self.buffers[to]);
                target[..len].copy_from_slice(&self.buffers[from][..len]);
                self.buffers[to] = target;
            }
            self.steps.iter_mut().filter(|step| step.packs == Some(state)).for_each(|step| step.stale = true);
        }
    }

    /// Ops per run and bytes.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
