//! The mean absolute error, Σ|x − y|/len: a loss that minds a few large errors less than `mse` does.

use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;
use std::cmp::Ordering;

/// `Params` of both kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    /// Number of `vec4<f32>` in x.
    len: u32,
    /// 1/(number of values).
    factor: f32,
}

/// Mean of |x − y|, a scalar, of (x, y).
#[derive(Debug)]
struct Mae;

impl Mae {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, y] = [inputs[0], inputs[1]];
        let sum = x.data.iter().zip(y.data).fold(T::zero(), |sum, (&x, &y)| sum + (x - y).abs());
        out[0] = sum / super::number(x.data.len() as f64);
    }
}

impl Op for Mae {
    fn name(&self) -> &'static str {
        "mae"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "mae compares two values of one shape");
        Shape::SCALAR
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        let params = Params { len: inputs[0].vec4_len() as u32, factor: 1.0 / inputs[0].len() as f32 };
        Dispatch::single(self.name(), &params)
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let dx = g.apply(MaeGrad, &[inputs[0], inputs[1], cotangent]);
        vec![Some(dx), Some(g.scale(dx, -1.0))]
    }
}

/// dx = sign(x − y)/len·dl, of (x, y, dl), where sign(0) = 0.
#[derive(Debug)]
struct MaeGrad;

impl MaeGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let factor = inputs[2].data[0] / super::number(out_shape.len() as f64);
        for ((o, &x), &y) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            *o = match x.partial_cmp(&y) {
                Some(Ordering::Greater) => factor,
                Some(Ordering::Less) => -factor,
                // Not a number stays none.
                _ => (x - y) * factor,
            };
        }
    }
}

impl Op for MaeGrad {
    fn name(&self) -> &'static str {
        "mae_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { len: out.vec4_len() as u32, factor: 1.0 / inputs[0].len() as f32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }
}

impl Graph {
    /// The mean of |x − y|.
    pub fn mae(&mut self, x: Id, y: Id) -> Id {
        self.apply(Mae, &[x, y])
    }
}
