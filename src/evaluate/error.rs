//! Why a model cannot be measured.

use crate::diffusion::DiffusionError;
use crate::playground::PlaygroundError;

/// Why a model cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Engine, weights or network.
    #[error(transparent)]
    Playground(#[from] PlaygroundError),
    /// The model's schedule.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    /// Pictures that the model does not take.
    #[error("the pictures are {}, the model takes {}", size(.found), size(.expected))]
    Size {
        /// H, W, C of the model.
        expected: [usize; 3],
        /// H, W, C of the data.
        found: [usize; 3],
    },
    /// A label beyond the model's class embedding.
    #[error("a picture has label {found}, the model's are 0 to {}", .rows.saturating_sub(1))]
    Label {
        /// The label.
        found: u8,
        /// Rows of the class embedding.
        rows: usize,
    },
    /// No pictures, or more than there are.
    #[error("{wanted} pictures are to be measured, expected 1 to {found}")]
    Images {
        /// The number asked for.
        wanted: usize,
        /// The number there is.
        found: usize,
    },
    /// Nothing else was asked for.
    #[error("each picture is to be noised {found} times, expected at least once")]
    Draws {
        /// The number asked for.
        found: usize,
    },
    /// The computation left the real numbers.
    #[error("the predictions are not finite: the weights are damaged, or the engine is")]
    NotFinite,
}

fn size([h, w, c]: &[usize; 3]) -> String {
    format!("{h}×{w}×{c}")
}
