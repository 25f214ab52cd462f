//! Rows of a table, picked by label.

use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// `Params` of both kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    n: u32,
    rows: u32,
    /// `vec4<f32>` per row.
    c4: u32,
}

/// Labels are whole numbers in an f32 buffer; a label outside the table picks its last row (the edge refuses such labels).
fn row<T: Float>(label: T, rows: usize) -> usize {
    label.max(T::zero()).to_usize().unwrap_or(0).min(rows - 1)
}

/// y[n] = table[label[n]]: table `[1, 1, rows, C]`, labels `[N, 1, 1, 1]` → `[N, 1, 1, C]`.
#[derive(Debug)]
struct Embedding;

impl Embedding {
    fn reference<T: Float>(&self, inputs: &[View<T>], out_shape: Shape, out: &mut [T]) {
        let [table, labels] = [inputs[0], inputs[1]];
        for n in 0..out_shape.n() {
            for c in 0..out_shape.c() {
                out[n * out_shape.c() + c] = table.at(0, 0, row(labels.data[n], table.shape.w()), c);
            }
        }
    }
}

impl Op for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        assert_eq!(inputs[1], Shape::new(inputs[1].n(), 1, 1, 1), "one label per image");
        Shape::new(inputs[1].n(), 1, 1, inputs[0].c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { n: out.n() as u32, rows: inputs[0].w() as u32, c4: out.vec4_channels() as u32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, g: &mut Graph, inputs: &[Id], _output: Id, cotangent: Id) -> Vec<Option<Id>> {
        let rows = g.shape(inputs[0]).w();
        vec![Some(g.apply(EmbeddingGrad { rows }, &[inputs[1], cotangent])), None]
    }
}

/// dtable[r] = Σ over the images with label r of dy, of (labels, dy).
#[derive(Debug)]
struct EmbeddingGrad {
    rows: usize,
}

impl EmbeddingGrad {
    fn reference<T: Float>(&self, inputs: &[View<T>], table: Shape, out: &mut [T]) {
        out.fill(T::zero());
        let [labels, dy] = [inputs[0], inputs[1]];
        for n in 0..labels.shape.n() {
            for c in 0..table.c() {
                let at = row(labels.data[n], self.rows) * table.c() + c;
                out[at] = out[at] + dy.at(n, 0, 0, c);
            }
        }
    }
}

impl Op for EmbeddingGrad {
    fn name(&self) -> &'static str {
        "embedding_grad"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        Shape::new(1, 1, self.rows, inputs[1].c())
    }

    reference!();

    fn dispatch(&self, inputs: &[Shape], out: Shape) -> Dispatch {
        let params = Params { n: inputs[0].n() as u32, rows: self.rows as u32, c4: out.vec4_channels() as u32 };
        Dispatch::per_item(self.name(), &params, out.vec4_len())
    }

    fn vjp(&self, _g: &mut Graph, _inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        super::second_derivative(self.name())
    }
}

impl Graph {
    /// The rows of `table` `[1, 1, rows, C]` that `labels` `[N, 1, 1, 1]` name, `[N, 1, 1, C]`.
    pub fn embedding(&mut self, table: Id, labels: Id) -> Id {
        self.apply(Embedding, &[table, labels])
    }
}
