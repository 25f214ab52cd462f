//! The mean squared error, ‖x − y‖²/len: the simplified objective, Ho et al. 2020, eq. 14.

use super::fast::elementwise;
use crate::graph::{Dispatch, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of both kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    /// Number of `vec4<f32>` in x.
    len: u32,
    /// 1/(number of values), 2/(number of values) in the gradient.
    factor: f32,
}

/// Mean of (x − y)², a scalar, of (x, y).
#[derive(Debug)]
struct Mse;

impl Mse {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, y] = [inputs[0], inputs[1]];
        let sum = x.data.iter().zip(y.data).fold(T::zero(), |sum, (&x, &y)| sum + (x - y) * (x - y));
        out[0] = sum / super::number(x.data.len() as f64);
    }
}

impl Op for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "mse compares two values of one shape");
        Shape::SCALAR
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        let params = Params { len: inputs[0].vec4_len() as u32, factor: 1.0 / inputs[0].len() as f32 };
        Dispatch::single(self.name(), &params)
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let dx = g.apply(MseGrad, &[inputs[0], inputs[1], cotangent]);
        vec![Some(dx), Some(g.scale(dx, -1.0))]
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Mse))
    }
}

/// dx = 2·(x − y)/len·dl, of (x, y, dl).
#[derive(Debug)]
struct MseGrad;

impl MseGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let factor = super::number::<T>(2.0) / super::number(out_shape.len() as f64) * inputs[2].data[0];
        for ((o, &x), &y) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            *o = (x - y) * factor;
        }
    }
}

impl Op for MseGrad {
    fn name(&self) -> &'static str {
        "mse_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { len: out.vec4_len() as u32, factor: 2.0 / inputs[0].len() as f32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }
}

impl Graph {
    /// The mean of (x − y)².
    pub fn mse(&mut self, x: Id, y: Id) -> Id {
        self.apply(Mse, &[x, y])
    }
}
