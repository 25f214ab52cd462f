//! One step of any one-evaluation sampler: a linear recombination whose numbers come from `diffusion::sampler`.
//!
//! x̂_0 = clamp(p_x·x + p_m·m, ±range), ε̂ = e_x·x + e_m·m, x' = a·x̂_0 + b·ε̂ + c·x + s·z, with m the model's output and z
//! fresh noise. DDPM (Algorithm 2) and DDIM(η) differ in the numbers alone.

use crate::graph::{Dispatch, ElementwiseParams, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// Number of coefficients: p_x, p_m, range, e_x, e_m, a, b, c, s.
pub const REVERSE_STEP_COEFFICIENTS: usize = 9;

/// x' of (x, m, z, coefficients `[1, 1, 1, 9]`).
#[derive(Debug)]
struct ReverseStep;

impl ReverseStep {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, m, z] = [inputs[0].data, inputs[1].data, inputs[2].data];
        let &[p_x, p_m, range, e_x, e_m, a, b, c, s] = inputs[3].data else {
            unreachable!("shape() has checked the number of coefficients")
        };
        for (i, o) in out.iter_mut().enumerate() {
            let x0 = (p_x * x[i] + p_m * m[i]).max(-range).min(range);
            let eps = e_x * x[i] + e_m * m[i];
            *o = a * x0 + b * eps + c * x[i] + s * z[i];
        }
    }
}

impl Op for ReverseStep {
    fn name(&self) -> &'static str {
        "reverse_step"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert!(inputs[0] == inputs[1] && inputs[1] == inputs[2], "x, the prediction and the noise have one shape");
        assert_eq!(inputs[3], Shape::vector(REVERSE_STEP_COEFFICIENTS), "a reverse step has nine coefficients");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    /// A step of sampling is not trained through.
    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None; 4]
    }
}

impl Graph {
    /// x' from x, the model's output, noise, and [`REVERSE_STEP_COEFFICIENTS`] numbers.
    pub fn reverse_step(&mut self, x: Id, model_output: Id, noise: Id, coefficients: Id) -> Id {
        self.apply(ReverseStep, &[x, model_output, noise, coefficients])
    }
}
