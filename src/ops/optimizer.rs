//! The pieces of an optimizer: moving averages, Adam's update, and the clipping of the gradient's norm.
//!
//! `train/optimizer.rs` puts them together; they follow PyTorch's formulas to the letter.

use super::fast::elementwise;
use crate::graph::{Dispatch, ElementwiseParams, Fast, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// a + r·(b − a), of (a, b, r): Adam's first moment, and the exponential moving average of the weights.
#[derive(Debug)]
struct Lerp;

impl Lerp {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let rate = inputs[2].data[0];
        for ((o, &a), &b) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            *o = a + rate * (b - a);
        }
    }
}

impl Op for Lerp {
    fn name(&self) -> &'static str {
        "lerp"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "lerp takes two values of one shape");
        assert_eq!(inputs[2], Shape::SCALAR, "lerp has one rate");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn elementwise(&self) -> Option<usize> {
        Some(2)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Lerp))
    }
}

/// v + r·(g² − v), of (v, g, r): Adam's second moment.
#[derive(Debug)]
struct LerpSquare;

impl LerpSquare {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let rate = inputs[2].data[0];
        for ((o, &v), &g) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            *o = v + rate * (g * g - v);
        }
    }
}

impl Op for LerpSquare {
    fn name(&self) -> &'static str {
        "lerp_square"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "lerp_square takes two values of one shape");
        assert_eq!(inputs[2], Shape::SCALAR, "lerp_square has one rate");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn elementwise(&self) -> Option<usize> {
        Some(2)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::LerpSquare))
    }
}

/// p·(1 − decay) − rate·m/(√v·correction + eps), of (p, m, v, (rate, correction, eps, decay)).
///
/// With rate = lr/(1 − β₁ᵏ), correction = 1/√(1 − β₂ᵏ) and decay = 0 this is Adam (Kingma & Ba 2015) at step k; with
/// decay = lr·λ it is AdamW (Loshchilov & Hutter 2019).
#[derive(Debug)]
struct Adam;

impl Adam {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [p, m, v] = [inputs[0].data, inputs[1].data, inputs[2].data];
        let &[rate, correction, eps, decay] = inputs[3].data else {
            unreachable!("shape() has checked the number of coefficients")
        };
        for (i, o) in out.iter_mut().enumerate() {
            *o = p[i] - decay * p[i] - rate * m[i] / (v[i].sqrt() * correction + eps);
        }
    }
}

impl Op for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert!(inputs[0] == inputs[1] && inputs[1] == inputs[2], "a parameter and its moments have one shape");
        assert_eq!(inputs[3], Shape::vector(4), "Adam has four coefficients");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn elementwise(&self) -> Option<usize> {
        Some(3)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::Adam))
    }
}

/// sum + Σ x², of (x, sum): chained over all gradients it is the square of their common norm.
#[derive(Debug)]
struct SumSquares;

impl SumSquares {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        out[0] = inputs[0].data.iter().fold(inputs[1].data[0], |sum, &x| sum + x * x);
    }
}

impl Op for SumSquares {
    fn name(&self) -> &'static str {
        "sum_squares"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[1], Shape::SCALAR, "the sum so far is one number");
        Shape::SCALAR
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        let params = ElementwiseParams { len: inputs[0].vec4_len() as u32 };
        Dispatch::single(self.name(), &params)
    }

    fn accumulates(&self) -> bool {
        true
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::SumSquares))
    }
}

/// g·min(1, max/(norm + 1e-6)), of (g, norm², max): PyTorch's `clip_grad_norm_`.
#[derive(Debug)]
struct ClipNorm;

impl ClipNorm {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let norm = inputs[1].data[0].sqrt();
        let factor = (inputs[2].data[0] / (norm + super::number(1e-6))).min(T::one());
        for (o, &g) in out.iter_mut().zip(inputs[0].data) {
            *o = g * factor;
        }
    }
}

impl Op for ClipNorm {
    fn name(&self) -> &'static str {
        "clip_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert!(inputs[1] == Shape::SCALAR && inputs[2] == Shape::SCALAR, "the norm and its bound are one number each");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    fn elementwise(&self) -> Option<usize> {
        Some(1)
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }

    fn fast_f32(&self, _inputs: &[Shape], _out: Shape) -> Option<Box<dyn Fast>> {
        Some(Box::new(elementwise::ClipNorm))
    }
}

impl Graph {
    /// a + rate·(b − a).
    pub fn lerp(&mut self, a: Id, b: Id, rate: Id) -> Id {
        self.apply(Lerp, &[a, b, rate])
    }

    /// v + rate·(g² − v).
    pub fn lerp_square(&mut self, v: Id, g: Id, rate: Id) -> Id {
        self.apply(LerpSquare, &[v, g, rate])
    }

    /// A parameter after one step of Adam; coefficients `[1, 1, 1, 4]` = lr/(1 − β₁ᵏ), 1/√(1 − β₂ᵏ), eps, lr·λ.
    pub fn adam(&mut self, parameter: Id, m: Id, v: Id, coefficients: Id) -> Id {
        self.apply(Adam, &[parameter, m, v, coefficients])
    }

    /// sum + Σ x².
    pub fn sum_squares(&mut self, x: Id, sum: Id) -> Id {
        self.apply(SumSquares, &[x, sum])
    }

    /// g scaled down so that a common norm, given squared, does not exceed `max`.
    pub fn clip_norm(&mut self, g: Id, norm_squared: Id, max: Id) -> Id {
        self.apply(ClipNorm, &[g, norm_squared, max])
    }
}
