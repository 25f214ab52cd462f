//! A graph compiled to dispatches: buffers, pipelines and bind groups are made once, then replayed.
//!
//! `replay` runs what is compiled here.

use super::arena::Arenas;
use super::device::Device;
use super::merged_sums::MergedSums;
use super::split::Part;
use super::throughput::Throughput;
use super::{Gpu, GpuError, dispatches, memory};
use crate::engine::Cost;
use crate::engine::plan::Plan;
use crate::engine::sorting::by_key;
use crate::graph::{Graph, Id, NodeKind};
use crate::tensor::Shape;
use std::collections::HashMap;
use std::sync::Arc;

/// One dispatch, ready to be recorded.
pub(super) struct Step {
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "it names times, and a browser takes none"))]
    pub name: &'static str,
    pub pipeline: wgpu::ComputePipeline,
    pub bind_group: wgpu::BindGroup,
    /// Workgroups in x and y.
    pub workgroups: [u32; 2],
}

/// Where a value is.
#[derive(Clone, PartialEq)]
pub struct Place {
    pub(super) buffer: wgpu::Buffer,
    /// Its first byte.
    pub(super) offset: u64,
}

impl Place {
    pub(super) fn start(buffer: wgpu::Buffer) -> Self {
        Self { buffer, offset: 0 }
    }

    fn binding(&self, bytes: usize) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZeroU64::new(bytes as u64);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size })
    }
}

/// A copy of one value, or of several that lie side by side.
pub(super) struct Copy {
    from: Place,
    to: Place,
    /// Bytes.
    size: u64,
}

impl Copy {
    pub fn record(&self, recording: &mut wgpu::CommandEncoder) {
        let (from, to) = (&self.from, &self.to);
        recording.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, self.size);
    }

    /// Takes the next one in, if it goes on where this one ends.
    fn extend(&mut self, next: &Self, alignment: u64) -> bool {
        let end =
            |place: &Place| Place { offset: (place.offset + self.size).next_multiple_of(alignment), ..place.clone() };
        let goes_on = end(&self.from) == next.from && end(&self.to) == next.to;
        if goes_on {
            self.size = next.from.offset + next.size - self.from.offset;
        }
        goes_on
    }
}

/// A compiled graph.
pub struct Program {
    pub(super) device: Arc<Device>,
    pub(super) throughput: Throughput,
    pub(super) steps: Vec<Step>,
    /// The work of each step.
    pub(super) works: Vec<f64>,
    /// The assignments, carried out after all steps.
    pub(super) copies: Vec<Copy>,
    /// Shape and place of each node; dead nodes have no place.
    pub(super) values: Vec<(Shape, Option<Place>)>,
    /// Values of leaves that differ from run to run, of all runs of a submission.
    pub(super) ring: Option<wgpu::Buffer>,
    /// What is written to the ring.
    pub(super) slots: Vec<f32>,
    /// Buffers that no download uses at the moment.
    pub(super) downloads: Vec<wgpu::Buffer>,
    pub(super) cost: Cost,
}

impl Program {
    /// Some of the parameters may be there already, where they are `given`.
    pub(super) fn compile(
        gpu: &Gpu,
        graph: &Graph,
        given: &HashMap<Id, Place>,
        always_tiled: bool,
    ) -> Result<Self, GpuError> {
        let device = &gpu.device;
        device.check()?;
        let live = graph.live();
        let arenas = Arenas::new(graph, memory::bytes, alignment(device), largest(device), given.keys().copied());
        let merged_sums = MergedSums::new(graph, &arenas);
        let plan = Plan::new(graph, memory::bytes, |id| {
            given.contains_key(&id) || arenas.place(id).is_some() || merged_sums.has(id)
        });
        // The largest value of each buffer, to name it where it does not fit.
        let mut shapes = vec![Shape::SCALAR; plan.sizes.len()];
        for (node, slot) in graph.nodes().iter().zip(&plan.slot) {
            if let Some(slot) = *slot
                && memory::bytes(node.shape) == plan.sizes[slot]
            {
                shapes[slot] = node.shape;
            }
        }
        let buffers: Vec<wgpu::Buffer> = plan
            .sizes
            .iter()
            .zip(&shapes)
            .map(|(&size, &shape)| memory::storage(device, shape, size))
            .collect::<Result<_, _>>()?;
        let arena_sizes = arenas.sizes();
        let arena = |&size: &usize| memory::storage(device, Shape::vector(size / 4), size);
        let arena_buffers: Vec<wgpu::Buffer> = arena_sizes.iter().map(arena).collect::<Result<_, _>>()?;
        let mut sums = 0;
        let mut values: Vec<(Shape, Option<Place>)> = Vec::new();
        for (node, (id, slot)) in graph.nodes().iter().zip((0..).map(Id).zip(&plan.slot)) {
            let place = if let Some(place) = given.get(&id) {
                live[id.index()].then(|| place.clone())
            } else if let Some((arena, offset)) = arenas.place(id) {
                Some(Place { buffer: arena_buffers[arena].clone(), offset: offset as u64 })
            } else if merged_sums.link(id).is_some() {
                sums += memory::bytes(node.shape);
                Some(Place::start(memory::storage(device, node.shape, memory::bytes(node.shape))?))
            } else {
                slot.map(|slot| Place::start(buffers[slot].clone()))
            };
            values.push((node.shape, place));
        }

        fill_constants(device, graph, &values);
        let (steps, works) = record(gpu, graph, &values, &arenas, &merged_sums, always_tiled)?;
        let (copies, copied) = assignments(device, graph, &values)?;
        device.check()?;
        let bytes = |ids: &mut dyn Iterator<Item = Id>| -> usize {
            ids.filter(|id| live[id.index()]).map(|id| memory::bytes(graph.shape(id))).sum()
        };
        let shared = bytes(&mut given.keys().copied());
        let cost = Cost {
            dispatches: steps.len(),
            peak_bytes: plan.sizes.iter().chain(&arena_sizes).sum::<usize>() + shared + sums + copied,
            live_bytes: plan.live,
            weight_bytes: bytes(&mut graph.parameters().iter().map(|spec| spec.id)),
        };
        Ok(Self {
            device: device.clone(),
            throughput: gpu.throughput.clone(),
            steps,
            works,
            copies,
            values,
            ring: None,
            slots: Vec::new(),
            downloads: Vec::new(),
            cost,
        })
    }

    /// Dispatches per run, and bytes of buffers.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

/// Values that a binding begins with lie at multiples of this.
fn alignment(device: &Device) -> usize {
    device.limits.min_storage_buffer_offset_alignment as usize
}

/// The bytes of the largest buffer that a kernel can be given.
fn largest(device: &Device) -> usize {
    device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size) as usize
}

/// Fills constants in; buffers start as zeros, so zero is there already.
fn fill_constants(device: &Device, graph: &Graph, values: &[(Shape, Option<Place>)]) {
    for (node, (shape, place)) in graph.nodes().iter().zip(values) {
        if let (NodeKind::Constant { value }, Some(place)) = (&node.kind, place)
            && *value != 0.0
        {
            let filled = vec![*value; shape.len()];
            device.write(&place.buffer, place.offset, bytemuck::cast_slice(&memory::pad(*shape, &filled)));
        }
    }
}

/// Makes the pipeline and the bind group of every part of every live op, group or chain of ops, and says how much work
/// it is.
fn record(
    gpu: &Gpu,
    graph: &Graph,
    values: &[(Shape, Option<Place>)],
    arenas: &Arenas,
    merged_sums: &MergedSums,
    always_tiled: bool,
) -> Result<(Vec<Step>, Vec<f64>), GpuError> {
    let device = &gpu.device;
    let fewest_tiled = if always_tiled { 0 } else { dispatches::fewest_tiled(device.software) };
    let has_place = |id: Id| values[id.index()].1.is_some();
    let dispatches = dispatches::dispatches(graph, has_place, arenas, merged_sums, device.software, fewest_tiled);

    // All Params stand in one buffer.
    let alignment = device.limits.min_uniform_buffer_offset_alignment as usize;
    let mut bytes = Vec::new();
    let mut offsets = Vec::new();
    for (part, _) in &dispatches {
        bytes.resize(bytes.len().next_multiple_of(alignment), 0);
        offsets.push(bytes.len());
        bytes.extend(&part.dispatch.params);
    }
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let params = device.buffer("params", bytes.len().max(4) as u64, usage);
    device.write(&params, 0, &bytes);

    let mut steps = Vec::with_capacity(dispatches.len());
    for ((Part { dispatch, .. }, bound), offset) in dispatches.iter().zip(offsets) {
        let pipeline = gpu.kernels.pipeline(device, dispatch.shader)?;
        let own = Place { buffer: params.clone(), offset: offset as u64 };
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: own.binding(dispatch.params.len()) }];
        for (binding, &(id, size)) in (1..).zip(bound) {
            let place = values[id.index()].1.as_ref().expect("inputs of live nodes are live");
            entries.push(wgpu::BindGroupEntry { binding, resource: place.binding(size) });
        }
        let bind_group = device.bind_group(dispatch.shader, &pipeline, &entries);
        let workgroups = fold(dispatch.workgroups as u32, device.limits.max_compute_workgroups_per_dimension);
        steps.push(Step { name: dispatch.shader, pipeline, bind_group, workgroups });
    }
    Ok((steps, dispatches.iter().map(|(part, _)| part.work).collect()))
}

/// Workgroups in x and y, at least as many as asked for; kernels ignore the surplus.
fn fold(workgroups: u32, max: u32) -> [u32; 2] {
    let y = workgroups.div_ceil(max).max(1);
    [workgroups.div_ceil(y).max(1), y]
}

/// The copies that carry out the assignments, and the bytes of buffers made for them.
///
/// A value that is itself a leaf some other assignment overwrites is put aside first. Copies between values that lie side by
/// side are one; what is between them is zero on both sides.
fn assignments(
    device: &Device,
    graph: &Graph,
    values: &[(Shape, Option<Place>)],
) -> Result<(Vec<Copy>, usize), GpuError> {
    let place = |id: Id| values[id.index()].1.clone().expect("assigned nodes are live");
    let (mut aside, mut copies, mut bytes) = (Vec::new(), Vec::new(), 0);
    for &(state, value) in graph.assigns().iter().filter(|(state, value)| state != value) {
        let size = memory::bytes(graph.shape(state));
        let mut from = place(value);
        if graph.assigns().iter().any(|&(other, _)| other == value) {
            let kept = Place::start(memory::storage(device, graph.shape(value), size)?);
            aside.push(Copy { from, to: kept.clone(), size: size as u64 });
            bytes += size;
            from = kept;
        }
        copies.push(Copy { from, to: place(state), size: size as u64 });
    }
    let copies = by_key(copies, |copy| (copy.from.offset as usize, 0));
    let alignment = alignment(device) as u64;
    for copy in copies {
        if !aside.iter_mut().any(|before: &mut Copy| before.extend(&copy, alignment)) {
            aside.push(copy);
        }
    }
    Ok((aside, bytes))
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn workgroups_fold_into_y() {
        assert_eq!(fold(0, 65_535), [1, 1]);
        assert_eq!(fold(65_535, 65_535), [65_535, 1]);
        for n in [65_536, 131_071, 1_000_003] {
            let [x, y] = fold(n, 65_535);
            assert!(x <= 65_535 && y <= 65_535 && x * y >= n && x * (y - 1) < n, "{n}: {x} × {y}");
        }
    }
}
