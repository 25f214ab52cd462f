//! SiLU, x·σ(x), and its gradient (Elfwing et al. 2018; "swish" in the DDPM code).

use super::fast::elementwise;
use crate::graph::{Dispatch, ElementwiseParams, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// x·σ(x), element by element.
#[derive(Debug)]
pub(super) struct Silu;

impl Silu {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(inputs[0].data) {
            *o = x / (T::one() + (-x).exp());
        }
    }
}

impl Op for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.apply(SiluGrad, &[inputs[0], cotangent]))]
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Silu))
    }
}

/// dx = dy·σ(x)·(1 + x·(1 − σ(x))), of (x, dy).
#[derive(Debug)]
pub(super) struct SiluGrad;

impl SiluGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for ((o, &x), &dy) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            let sigmoid = T::one() / (T::one() + (-x).exp());
            *o = dy * sigmoid * (T::one() + x * (T::one() - sigmoid));
        }
    }
}

impl Op for SiluGrad {
    fn name(&self) -> &'static str {
        "silu_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::SiluGrad))
    }
}

impl Graph {
    /// x·σ(x).
    pub fn silu(&mut self, x: Id) -> Id {
        self.apply(Silu, &[x])
    }
}
