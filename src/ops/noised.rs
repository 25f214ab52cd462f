//! x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε, Ho et al. 2020, eq. 4, with a timestep of its own for each image.

use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of `noised.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    /// Number of `vec4<f32>` in the output.
    len: u32,
    /// Number of `vec4<f32>` in one image.
    image: u32,
}

/// x_t of (x_0, ε, coefficients `[N, 1, 1, 2]` = (√ᾱ_t, √(1−ᾱ_t))).
#[derive(Debug)]
struct Noised;

impl Noised {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let [x0, eps, coefficients] = [inputs[0], inputs[1], inputs[2]];
        let image = out_shape.len() / out_shape.n();
        for (i, o) in out.iter_mut().enumerate() {
            let n = i / image;
            *o = coefficients.data[2 * n] * x0.data[i] + coefficients.data[2 * n + 1] * eps.data[i];
        }
    }
}

impl Op for Noised {
    fn name(&self) -> &'static str {
        "noised"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[0], inputs[1], "the noise has the shape of the picture");
        assert_eq!(inputs[2], Shape::new(inputs[0].n(), 1, 1, 2), "two coefficients per image");
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { len: out.vec4_len() as u32, image: (out.vec4_len() / out.n()) as u32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    /// x_t is linear in the picture and in the noise: the cotangent of each is the cotangent times its own coefficient.
    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let zeros = g.constant(0.0, g.shape(cotangent));
        let dx0 = g.noised(cotangent, zeros, inputs[2]);
        let deps = g.noised(zeros, cotangent, inputs[2]);
        vec![Some(dx0), Some(deps), None]
    }
}

impl Graph {
    /// x_t from x_0, ε and the two coefficients of each image, `[N, 1, 1, 2]`.
    pub fn noised(&mut self, x0: Id, eps: Id, coefficients: Id) -> Id {
        self.apply(Noised, &[x0, eps, coefficients])
    }
}
