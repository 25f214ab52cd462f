//! A checkpoint's network on an engine, for any number of images.

use super::Failure;
use crate::checkpoint::Checkpoint;
use crate::engine::{Engine, Program};
use crate::graph::Graph;
use crate::model::step::prediction;
use crate::model::unet::sinusoid;
use crate::tensor::Shape;

/// The compiled network. It takes batches of one size; what does not fill the last is made up by repetition.
pub struct Predictor<'a> {
    checkpoint: &'a Checkpoint,
    program: Program,
    shape: Shape,
}

impl<'a> Predictor<'a> {
    /// Compiles the network for images of `image`'s height, width and channels, at most `batch` at once.
    pub fn new(
        engine: &Engine,
        checkpoint: &'a Checkpoint,
        image: Shape,
        batch: usize,
    ) -> Result<Predictor<'a>, Failure> {
        let shape = image.with_n(batch);
        let graph = prediction(&checkpoint.config, shape);
        Ok(Self { checkpoint, program: compile(engine, checkpoint, &graph)?, shape })
    }

    /// The model's output for x `[N, H, W, C]`, a timestep per image and, for a class model, a label per image.
    pub fn predict(&mut self, x: &[f32], timesteps: &[usize], labels: &[usize]) -> Result<Vec<f32>, Failure> {
        let image = self.shape.len() / self.shape.n();
        let mut out = Vec::with_capacity(x.len());
        for first in (0..timesteps.len()).step_by(self.shape.n()) {
            let last = timesteps.len() - 1;
            let rows: Vec<usize> = (first..first + self.shape.n()).map(|row| row.min(last)).collect();
            let batch: Vec<f32> = rows.iter().flat_map(|row| &x[row * image..][..image]).copied().collect();
            let times: Vec<f32> = rows.iter().map(|&row| timesteps[row] as f32).collect();
            self.program.write("sample", &batch)?;
            self.program.write("sinusoid", &sinusoid(&self.checkpoint.config, &times))?;
            if self.checkpoint.config.num_class_embeds.is_some() {
                let labels: Vec<f32> = rows.iter().map(|&row| labels[row] as f32).collect();
                self.program.write("class_labels", &labels)?;
            }
            self.program.run()?;
            let eps = pollster::block_on(self.program.read("eps"))?;
            let wanted = (timesteps.len() - first).min(self.shape.n());
            out.extend_from_slice(&eps[..wanted * image]);
        }
        Ok(out)
    }
}

/// Compiles a graph and gives it the checkpoint's parameters.
pub fn compile(engine: &Engine, checkpoint: &Checkpoint, graph: &Graph) -> Result<Program, Failure> {
    let specs = graph.parameters();
    let weights = checkpoint.load_parameters(&specs)?;
    let mut program = engine.compile(graph)?;
    for (spec, values) in specs.iter().zip(&weights) {
        program.write(&spec.name, values)?;
    }
    Ok(program)
}
