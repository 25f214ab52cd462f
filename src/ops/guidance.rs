//! Classifier-free guidance (Ho & Salimans 2022): ε = ε_∅ + w·(ε_c − ε_∅).

use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of `guidance.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    /// Number of `vec4<f32>` in the output.
    len: u32,
}

/// ε of (the model's output `[2N, H, W, C]`, w): the first N images know their class, the others do not.
#[derive(Debug)]
struct Guidance;

impl Guidance {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let (with, without) = inputs[0].data.split_at(out.len());
        let w = inputs[1].data[0];
        for ((o, &c), &u) in out.iter_mut().zip(with).zip(without) {
            *o = u + w * (c - u);
        }
    }
}

impl Op for Guidance {
    fn name(&self) -> &'static str {
        "guidance"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert!(inputs[0].n().is_multiple_of(2), "guidance takes two predictions per image");
        assert_eq!(inputs[1], Shape::SCALAR, "there is one guidance scale");
        inputs[0].with_n(inputs[0].n() / 2)
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { len: out.vec4_len() as u32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    /// A step of sampling is not trained through.
    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None, None]
    }
}

impl Graph {
    /// ε_∅ + w·(ε_c − ε_∅) of predictions `[2N, H, W, C]`, those with the class first, and the scalar w.
    pub fn guidance(&mut self, predictions: Id, w: Id) -> Id {
        self.apply(Guidance, &[predictions, w])
    }
}
