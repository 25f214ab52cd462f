//! Multiplication with a fixed number.

use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// factor·x, element by element.
#[derive(Debug)]
struct Scale {
    factor: f32,
}

/// `Params` of `scale.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    len: u32,
    factor: f32,
}

impl Scale {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let factor = super::number::<T>(f64::from(self.factor));
        for (o, &x) in out.iter_mut().zip(inputs[0].data) {
            *o = factor * x;
        }
    }
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { len: out.vec4_len() as u32, factor: self.factor };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, _inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.scale(cotangent, self.factor))]
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        struct FastScale(f32);
        impl Fast for FastScale {
            fn run(&mut self, inputs: &[&[f32]], out: &mut [f32], _scratch: &mut [f32]) {
                for (o, x) in out.iter_mut().zip(inputs[0]) {
                    *o = self.0 * x;
                }
            }
        }
        Some(Box::new(FastScale(self.factor)))
    }
}

impl Graph {
    /// `factor`·x.
    pub fn scale(&mut self, x: Id, factor: f32) -> Id {
        self.apply(Scale { factor }, &[x])
    }
}
