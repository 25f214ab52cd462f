//! An operation of one's own, x·|x|, in a graph on the CPU engine, with its gradient: `cargo run --example custom_op`.
//!
//! The GPU engine has kernels for the library's own operations only, and refuses a graph with another one by name.

use noisette::engine::Choice;
use noisette::graph::{Dispatch, ElementwiseParams, Float, Graph, Id, Op, View};
use noisette::tensor::Shape;
use noisette::{Engine, reference};
use std::error::Error;

/// x·|x|, element by element.
#[derive(Debug)]
struct SignedSquare;

impl SignedSquare {
    /// The definition, for f32 and f64 alike.
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(inputs[0].data) {
            *o = x * x.abs();
        }
    }
}

impl Op for SignedSquare {
    fn name(&self) -> &'static str {
        "signed_square"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    // d(x·|x|)/dx = 2·|x|
    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        vec![Some(g.apply(SignedSquareGrad, &[inputs[0], cotangent]))]
    }
}

/// dx = dy·2·|x|, of (x, dy).
#[derive(Debug)]
struct SignedSquareGrad;

impl SignedSquareGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        for ((o, &x), &dy) in out.iter_mut().zip(inputs[0].data).zip(inputs[1].data) {
            *o = dy * (x.abs() + x.abs());
        }
    }
}

impl Op for SignedSquareGrad {
    fn name(&self) -> &'static str {
        "signed_square_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        inputs[0]
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        ElementwiseParams::dispatch(self.name(), out)
    }

    // A gradient of a gradient is not needed here: the input counts as fixed.
    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None, None]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (loss, gradient) = pollster::block_on(run(&[1.0, -2.0, 3.0]))?;
    println!("loss {loss}, gradient {gradient:?}");
    Ok(())
}

/// L = mean((x·|x|)²) and ∂L/∂x.
pub async fn run(x: &[f32]) -> Result<(f32, Vec<f32>), Box<dyn Error>> {
    let shape = Shape::vector(x.len());
    let mut graph = Graph::new();
    let input = graph.input("x", shape);
    let y = graph.apply(SignedSquare, &[input]);
    let zeros = graph.constant(0.0, shape);
    let loss = graph.mse(y, zeros);
    graph.output("loss", loss);
    // The gradient is more of the same graph.
    if let [Some(gradient)] = graph.gradients_of_scalar(loss, &[input])[..] {
        graph.output("gradient", gradient);
    }

    let engine = Engine::open(Choice::Cpu).await?;
    let mut program = engine.compile(&graph)?;
    program.write("x", x)?;
    program.run()?;
    Ok((program.read("loss").await?[0], program.read("gradient").await?))
}
