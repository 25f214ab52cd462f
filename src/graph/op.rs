//! What the graph, the engines and the gradient need to know about an operation, and [`Add`], the one they know by name.

use super::{Graph, Id};
use crate::tensor::Shape;
use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

/// One differentiable operation: five questions, answered in one file under `src/ops`.
///
/// An op has one output. It never sees buffers of an engine, only shapes and slices. Its `Debug` form is derived, so it names
/// every field: see [`dyn Op::key`](#method.key).
pub trait Op: Any + Debug + Send + Sync {
    /// The op's name, which is the stem of its WGSL file in `shaders/`.
    fn name(&self) -> &'static str;

    /// The shape of the output. Panics with a sentence when the inputs do not fit: a graph is built by code, not by data.
    fn shape(&self, inputs: &[Shape]) -> Shape;

    /// The definition, in f32; see [`reference!`](crate::reference).
    fn reference_f32(&self, inputs: &[View<f32>], out_shape: Shape, out: &mut [f32]);

    /// The definition, in f64: the oracle.
    fn reference_f64(&self, inputs: &[View<f64>], out_shape: Shape, out: &mut [f64]);

    /// How the GPU computes it.
    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch;

    /// A second way, for GPUs with fast workgroup memory: a kernel called `<name>_tiled`. The engine takes it where there is
    /// enough work to fill such a GPU. Adapter and shape alone decide, so a result is the same every time. Convolutions and
    /// their gradients sum in the same order either way, to the bit. Other ops agree up to rounding.
    fn dispatch_tiled(&self, _inputs: &[Shape], _out: Shape) -> Option<Dispatch> {
        None
    }

    /// How many inputs an element-wise op takes element by element: the first ones, which have the output's shape. The inputs
    /// behind them are taken whole. Zeros make zeros. So an engine can treat values that lie side by side as one.
    fn elementwise(&self) -> Option<usize> {
        None
    }

    /// Whether the op carries a sum on. Its second input is the sum so far, one number. Each value of its first input adds a
    /// term, and a zero adds nothing. So an engine can do a chain of such ops at once where their values lie side by side.
    fn accumulates(&self) -> bool {
        false
    }

    /// The gradient: appends nodes that turn `cotangent` (∂L/∂output) into ∂L/∂input for each input that has one.
    fn vjp(&self, g: &mut Graph, inputs: &[Id], output: Id, cotangent: Id) -> Vec<Option<Id>>;

    /// Multiply-adds of the definition. Only those of convolutions and of attention's products count: the rest costs next to
    /// nothing.
    fn multiply_adds(&self, _inputs: &[Shape], _out: Shape) -> usize {
        0
    }

    /// The work of a GPU, in multiplications of a convolution. It decides where that work is cut, never a result.
    fn gpu_work(&self, inputs: &[Shape], out: Shape) -> usize {
        self.multiply_adds(inputs, out)
    }

    /// A faster way than the reference for the CPU engine, where there is one.
    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        None
    }
}

impl dyn Op {
    /// The op and all its fields: two ops of one key on the same inputs have the same value. It is the derived `Debug` form. A
    /// list kept by hand could forget a field, and then unequal ops would be merged in silence.
    pub fn key(&self) -> String {
        format!("{self:?}")
    }
}

/// A fast f32 implementation of an op for fixed shapes, proved against the reference by `tests/ops.rs`.
pub trait Fast: Send {
    /// Scratch values [`Fast::run`] needs; the engine allocates once for the greediest op.
    fn scratch_len(&self) -> usize {
        0
    }

    /// The input to be packed, if any: a weight.
    fn packing(&self) -> Option<Packing> {
        None
    }

    /// Packs the input that [`Fast::packing`] names, to as many values as it says. The engine asks for it before the first run,
    /// and again once that input has changed.
    fn pack(&self, _input: &[f32], _packed: &mut [f32]) {}

    /// Computes the op. The input that [`Fast::packing`] names comes packed. `scratch` holds at least [`Fast::scratch_len`]
    /// values, of no meaning.
    fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], scratch: &mut [f32]);
}

/// An input that a fast implementation takes in another form. All who ask for one form of a weight share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Which input.
    pub input: usize,
    /// The name of the form: with the input's shape it decides every packed value.
    pub form: &'static str,
    /// Values it takes.
    pub len: usize,
}

/// An input of a reference: values and their shape.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// NHWC extents.
    pub shape: Shape,
    /// The values, row-major, no padding.
    pub data: &'a [T],
}

impl<T: Copy> View<'_, T> {
    /// The value at (n, h, w, c).
    #[inline]
    pub fn at(&self, n: usize, h: usize, w: usize, c: usize) -> T {
        self.data[index(self.shape, n, h, w, c)]
    }
}

/// The position of (n, h, w, c) in a row-major array.
#[inline]
pub fn index(shape: Shape, n: usize, h: usize, w: usize, c: usize) -> usize {
    ((n * shape.h() + h) * shape.w() + w) * shape.c() + c
}

/// How the GPU computes an op: one shader, its parameters, how many workgroups.
///
/// Bindings follow one rule: 0 is `Params` (uniform), then the inputs in order (or as [`Dispatch::operands`] says), then the
/// output. Every buffer is an `array<vec4<f32>>` over the channel axis, filled up to a multiple of four with zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Stem of the file in `shaders/`.
    pub shader: &'static str,
    /// The bytes of `Params`, a struct of u32 and f32 scalars. The first is `skipped`: how many workgroups earlier
    /// [parts](Self::part) of the dispatch did. A kernel of a [single](Self::single) workgroup has none.
    pub params: Vec<u8>,
    /// The input bound in each place; `None` stands for all in order. Where an operand is missing, another input takes its
    /// place, and `Params` tells the kernel not to look at it.
    pub operands: Option<Vec<usize>>,
    /// Workgroups to launch in all; the engine folds them into y when there are more than 65 535.
    pub workgroups: usize,
}

/// Invocations in a workgroup of every kernel that is one invocation per output.
pub const WORKGROUP: usize = 64;

impl Dispatch {
    /// One invocation per item, [`WORKGROUP`] of them in a workgroup.
    pub fn per_item(shader: &'static str, params: &impl bytemuck::NoUninit, items: usize) -> Self {
        Self::groups(shader, params, items.div_ceil(WORKGROUP))
    }

    /// A given number of workgroups.
    pub fn groups(shader: &'static str, params: &impl bytemuck::NoUninit, workgroups: usize) -> Self {
        let skipped = [0; size_of::<u32>()];
        Self { shader, params: [&skipped, bytemuck::bytes_of(params)].concat(), operands: None, workgroups }
    }

    /// One workgroup, however much there is to do. There are no parts of it.
    pub fn single(shader: &'static str, params: &impl bytemuck::NoUninit) -> Self {
        Self { shader, params: bytemuck::bytes_of(params).to_vec(), operands: None, workgroups: 1 }
    }

    /// A dispatch of only these workgroups. WebGPU numbers those of each dispatch from 0, so the kernel adds `skipped`.
    #[must_use]
    pub fn part(&self, workgroups: Range<usize>) -> Self {
        let mut params = self.params.clone();
        params[..size_of::<u32>()].copy_from_slice(&(workgroups.start as u32).to_le_bytes());
        Self { params, workgroups: workgroups.len(), ..self.clone() }
    }

    /// What is bound of these inputs, in order.
    pub fn bound<T: Clone>(&self, inputs: &[T]) -> Vec<T> {
        match &self.operands {
            Some(operands) => operands.iter().map(|&i| inputs[i].clone()).collect(),
            None => inputs.to_vec(),
        }
    }
}

/// The parameters of a kernel that only needs to know how many `vec4<f32>` there are.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ElementwiseParams {
    /// Number of `vec4<f32>` in the output.
    pub len: u32,
}

impl ElementwiseParams {
    /// Parameters and dispatch of an element-wise kernel over `out`.
    pub fn dispatch(shader: &'static str, out: Shape) -> Dispatch {
        Dispatch::per_item(shader, &Self { len: out.vec4_len() as u32 }, out.vec4_len())
    }
}

/// Forwards the two object-safe methods of [`Op`] to one generic function `fn reference<T: Float>(&self, …)`.
#[macro_export]
macro_rules! reference {
    () => {
        fn reference_f32(
            &self,
            inputs: &[$crate::graph::View<f32>],
            out_shape: $crate::tensor::Shape,
            out: &mut [f32],
        ) {
            self.reference(inputs, out_shape, out);
        }
        fn reference_f64(
            &self,
            inputs: &[$crate::graph::View<f64>],
            out_shape: $crate::tensor::Shape,
            out: &mut [f64],
        ) {
            self.reference(inputs, out_shape, out);
        }
    };
}

/// a + b, element by element. Autodiff sums cotangents with it, so it lives here and not in `ops`.
#[derive(Debug)]
pub struct Add;

impl Add {
    fn reference<T: num_traits::Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for (i, o) in out.iter_mut().enumerate() {
            *o = inputs[0].data[i] + inputs[1].data[i];
        }
    }
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "add takes two values of one shape");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(cotangent), Some(cotangent)]
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        struct FastAdd;
        impl Fast for FastAdd {
            fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
                const CHUNK: usize = 16_384;
                let add = |(i, out): (usize, &mut [f32])| {
                    let [a, b] = [inputs[0], inputs[1]].map(|x| &x[i * CHUNK..][..out.len()]);
                    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                        *o = a + b;
                    }
                };
                #[cfg(not(target_arch = "wasm32"))]
                if out.len() > CHUNK {
                    use rayon::prelude::*;
                    return out.par_chunks_mut(CHUNK).enumerate().for_each(add);
                }
                out.chunks_mut(CHUNK).enumerate().for_each(add);
            }
        }
        Some(Box::new(FastAdd))
    }
}

impl Graph {
    /// a + b, of one shape.
    pub fn add(&mut self, a: Id, b: Id) -> Id {
        self.apply(Add, &[a, b])
    }
}
