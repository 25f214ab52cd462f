//! A graph compiled for the CPU: buffers are planned and allocated once, and replayed.

use super::tensor::Packed;
use super::{OutOfMemory, Tensor, zeros};
use crate::engine::{Cost, plan::Plan};
use crate::graph::{Fast, Graph, Id, NodeKind, Op, Packing, View};
use crate::tensor::Shape;
use std::collections::HashMap;
use std::sync::{Arc, RwLockReadGuard};

/// The most inputs of an op: as many as fit a GPU's storage buffers, too.
const MAX_INPUTS: usize = 8;

/// One op of a program.
struct Step {
    op: Arc<dyn Op>,
    fast: Option<Box<dyn Fast>>,
    packed: Option<(Packing, PackedInput)>,
    inputs: Vec<Id>,
    output: Id,
}

/// Where the packed form of an input is kept.
enum PackedInput {
    /// With the tensor it is a form of.
    Shared(Arc<Packed>),
    /// Here: what an op computes is another value in each run.
    Own(Vec<f32>),
}

/// A compiled graph: [`Program::run`] allocates nothing of its own.
pub struct Program {
    graph: Graph,
    steps: Vec<Step>,
    /// The buffer of each node; dead nodes have none, and neither have those whose value outlives a run.
    slot: Vec<Option<usize>>,
    buffers: Vec<Vec<f32>>,
    /// The tensor of each live parameter and state.
    tensors: Vec<Option<Arc<Tensor>>>,
    scratch: Vec<f32>,
    cost: Cost,
}

/// Whether a leaf keeps its value from run to run, so that others may use it.
fn outlives_a_run(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Parameter { .. } | NodeKind::State { .. })
}

impl Program {
    /// [`Program::sharing`] nothing.
    ///
    /// # Errors
    /// [`OutOfMemory`], with what the whole program would take.
    pub fn compile(graph: &Graph) -> Result<Self, OutOfMemory> {
        Self::sharing(graph, &HashMap::new())
    }

    /// Plans and allocates a graph some of whose parameters are there already, `given`.
    ///
    /// # Errors
    /// [`OutOfMemory`], with what the whole program would take.
    pub(in crate::engine) fn sharing(graph: &Graph, given: &HashMap<Id, Arc<Tensor>>) -> Result<Self, OutOfMemory> {
        let live = graph.live();
        let plan = Plan::new(graph, |shape| shape.len(), |id| outlives_a_run(&graph.node(id).kind));
        let mut fasts = Vec::new();
        let (mut scratch_len, mut packed_len) = (0, 0);
        for (i, node) in graph.nodes().iter().enumerate() {
            let (Some(_), NodeKind::Op { op, inputs }) = (plan.slot[i], &node.kind) else { continue };
            let shapes: Vec<_> = inputs.iter().map(|&id| graph.shape(id)).collect();
            let fast = op.fast_f32(&shapes, node.shape);
            scratch_len = scratch_len.max(fast.as_ref().map_or(0, |fast| fast.scratch_len()));
            packed_len += fast.as_ref().and_then(|fast| fast.packing()).map_or(0, |packing| packing.len);
            fasts.push((Id(i as u32), op.clone(), inputs.clone(), fast));
        }
        let is_kept = |i: &usize| live[*i] && outlives_a_run(&graph.nodes()[*i].kind);
        let kept_len: usize = (0..live.len()).filter(is_kept).map(|i| graph.nodes()[i].shape.len()).sum();
        let bytes = |values: usize| values * size_of::<f32>();
        let peak_bytes = bytes(plan.sizes.iter().sum::<usize>() + kept_len + scratch_len + packed_len);
        let out_of_memory = OutOfMemory { needed: peak_bytes };

        let mut tensors: Vec<Option<Arc<Tensor>>> = vec![None; live.len()];
        for i in (0..live.len()).filter(is_kept) {
            let given = given.get(&Id(i as u32)).cloned();
            let new = || Tensor::new(graph.nodes()[i].shape.len()).map(Arc::new);
            tensors[i] = Some(given.or_else(new).ok_or(out_of_memory)?);
        }
        let buffers: Option<Vec<_>> = plan.sizes.iter().map(|&len| zeros(len)).collect();
        let mut buffers = buffers.ok_or(out_of_memory)?;
        let scratch = zeros(scratch_len).ok_or(out_of_memory)?;
        for (node, slot) in graph.nodes().iter().zip(&plan.slot) {
            if let (Some(slot), NodeKind::Constant { value }) = (*slot, &node.kind) {
                buffers[slot][..node.shape.len()].fill(*value);
            }
        }
        let mut steps = Vec::new();
        for (output, op, inputs, fast) in fasts {
            let packed = match fast.as_ref().and_then(|fast| fast.packing()) {
                None => None,
                Some(packing) => Some((
                    packing,
                    match &tensors[inputs[packing.input].index()] {
                        Some(tensor) => PackedInput::Shared(tensor.packed(packing).map_err(|_| out_of_memory)?),
                        None => PackedInput::Own(zeros(packing.len).ok_or(out_of_memory)?),
                    },
                )),
            };
            steps.push(Step { op, fast, packed, inputs, output });
        }
        let parameters = graph.parameters().into_iter().filter_map(|spec| tensors[spec.id.index()].as_ref());
        let weight_bytes = parameters.map(|tensor| tensor.bytes()).sum();
        let live_bytes = bytes(plan.live + packed_len);
        let cost = Cost { dispatches: steps.len(), peak_bytes, live_bytes, weight_bytes };
        Ok(Self { graph: graph.clone(), steps, slot: plan.slot, buffers, tensors, scratch, cost })
    }

    /// The tensor of a live parameter or state.
    pub(in crate::engine) fn tensor(&self, id: Id) -> Option<&Arc<Tensor>> {
        self.tensors[id.index()].as_ref()
    }

    fn slot(&self, id: Id) -> Option<(usize, usize)> {
        self.slot[id.index()].map(|slot| (slot, self.graph.shape(id).len()))
    }

    /// Writes a leaf; one that nothing depends on is ignored.
    pub fn write(&mut self, id: Id, values: &[f32]) {
        if let Some(tensor) = self.tensor(id) {
            tensor.write(values);
        } else if let Some((slot, len)) = self.slot(id) {
            self.buffers[slot][..len].copy_from_slice(values);
        }
    }

    /// The value of an output or a leaf; nothing for a node that nothing depends on.
    pub fn read(&self, id: Id) -> Vec<f32> {
        match self.tensor(id) {
            Some(tensor) => tensor.read().clone(),
            None => self.slot(id).map_or(Vec::new(), |(slot, len)| self.buffers[slot][..len].to_vec()),
        }
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
        for step in &mut self.steps {
            let slot = self.slot[step.output.index()].expect("steps are live");
            // The output leaves its place while the inputs are borrowed; a plan never lets them share one.
            let mut out = std::mem::take(&mut self.buffers[slot]);
            let out_shape = self.graph.shape(step.output);
            step.run(&self.graph, &self.slot, &self.buffers, &self.tensors, out_shape, &mut out, &mut self.scratch);
            self.buffers[slot] = out;
            after(step.output, step.op.name());
        }
        for &(state, value) in self.graph.assigns().iter().filter(|(state, value)| state != value) {
            let Some(to) = self.tensor(state) else { continue };
            match self.tensor(value) {
                Some(from) => to.write(&from.read()),
                None => self.slot(value).into_iter().for_each(|(slot, len)| to.write(&self.buffers[slot][..len])),
            }
        }
    }

    /// Ops per run and bytes.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

impl Step {
    fn run(
        &mut self,
        graph: &Graph,
        slots: &[Option<usize>],
        buffers: &[Vec<f32>],
        tensors: &[Option<Arc<Tensor>>],
        shape: Shape,
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let count = self.inputs.len();
        assert!(count <= MAX_INPUTS, "{} has {count} inputs", self.op.name());
        // Tensors are held while the op reads them, each once.
        let first = |i: usize| self.inputs.iter().position(|id| *id == self.inputs[i]).unwrap_or(i);
        let held: [Option<RwLockReadGuard<Vec<f32>>>; MAX_INPUTS] = std::array::from_fn(|i| {
            let tensor = tensors[self.inputs.get(i)?.index()].as_ref()?;
            (first(i) == i).then(|| tensor.read())
        });
        let input = |i: usize| -> &[f32] {
            match &held[first(i)] {
                Some(values) => values,
                None => {
                    let id = self.inputs[i];
                    let slot = slots[id.index()].expect("inputs of live nodes are live");
                    &buffers[slot][..graph.shape(id).len()]
                }
            }
        };
        let out = &mut out[..shape.len()];
        let Some(fast) = &mut self.fast else {
            let none = View { shape: Shape::SCALAR, data: &[][..] };
            let view = |i: usize| View { shape: graph.shape(self.inputs[i]), data: input(i) };
            let inputs: [View<f32>; MAX_INPUTS] = std::array::from_fn(|i| if i < count { view(i) } else { none });
            return self.op.reference_f32(&inputs[..count], shape, out);
        };
        let mut inputs: [&[f32]; MAX_INPUTS] = std::array::from_fn(|i| if i < count { input(i) } else { &[][..] });
        let renewed;
        match &mut self.packed {
            None => {}
            Some((packing, PackedInput::Own(values))) => {
                fast.pack(inputs[packing.input], values.as_mut_slice());
                inputs[packing.input] = values;
            }
            Some((packing, PackedInput::Shared(packed))) => {
                if let Some(tensor) = &tensors[self.inputs[packing.input].index()] {
                    let values = inputs[packing.input];
                    renewed = tensor.renewed(packed, values, |values, packed| fast.pack(values, packed));
                    inputs[packing.input] = &renewed.1;
                }
            }
        }
        fast.run(&inputs[..count], out, scratch);
    }
}
