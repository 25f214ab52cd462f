//! Weights: a diffusers folder, read and written.
//!
//! `config.json` says which network, `scheduler_config.json` how it was trained, `diffusion_pytorch_model.safetensors`
//! holds the parameters under PyTorch's names and in PyTorch's layouts. The same files open in diffusers and here.

mod files;
mod folder;
mod layout;
mod scheduler;
mod shards;
mod suggested;
mod tensor_file;

#[doc(hidden)]
pub use files::{check_place, remove_leftovers, replace_files};
pub use files::{read_dir, read_tensors, write_dir, write_tensors};
pub use folder::{ModelFolder, read_net};
pub use layout::{FileParameters, check_parameters, file_shape, load_parameters, store_parameters, to_file, to_graph};
pub use scheduler::{SCHEDULER_FILE, SchedulerConfig};
pub use suggested::{NotMadeFor, Suggested};
pub use tensor_file::{Dtype, FileTensor, TensorFile, Values};

use crate::graph::ParamSpec;
use crate::model::config::fields::list;
use crate::model::config::{CONFIG_FILE, ConfigError, UnetConfig};

/// Name of the parameters' file in a weights folder.
pub const WEIGHTS_FILE: &str = "diffusion_pytorch_model.safetensors";

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// One of the two configs.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Not a safetensors file, or not a whole one, or beyond the limits.
    #[error("not a usable safetensors file: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// A type of number that is not written.
    #[error("{name} holds {found}, expected F32, F16, BF16 or I64")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// NaN or infinity.
    #[error("{name} holds {value} at index {index}, expected finite numbers")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Where.
        index: usize,
        /// What.
        value: f32,
    },
    /// F16 ends at 65504.
    #[error("{name} holds {value:e}, which F16 cannot: its largest number is 65504; write F32 instead")]
    TooLargeForF16 {
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
    },
    /// An input that has to be there.
    #[error("there is no tensor {name}; found: {found}")]
    NoTensor {
        /// The tensor.
        name: String,
        /// The first names that are there.
        found: String,
    },
    /// Another type of number than expected, such as whole numbers for fractions.
    #[error("{name} holds {found}, expected {expected}")]
    Kind {
        /// The tensor.
        name: String,
        /// What is expected.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Another number of axes than expected.
    #[error("{name} has the shape {shape:?}, expected {axes} axes")]
    Axes {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The number of axes expected.
        axes: usize,
    },
    /// One parameter under its old and its present name.
    #[error("the weights hold {name} twice, under an old and a new name")]
    Twice {
        /// The present name.
        name: String,
    },
    /// Other parameters than the config implies.
    #[error("the weights do not fit the config: {}", parameters(.missing, .extra, .mismatched))]
    Parameters {
        /// Names that the config implies and the file has not.
        missing: Vec<String>,
        /// Names that the file has and the config does not imply.
        extra: Vec<String>,
        /// Name, shape found and shape expected.
        mismatched: Vec<String>,
    },
    /// Weights as a pickle, which may run programs when it is opened.
    #[error(
        "{path} is a pickle, which is not read because opening one can run any program; in Python, load the folder with \
         UNet2DModel.from_pretrained and save it with save_pretrained to get {WEIGHTS_FILE}"
    )]
    Pickle {
        /// The file.
        path: String,
    },
    /// A folder without a file that it must have.
    #[error("{dir} has no {file}: {advice}")]
    NoFile {
        /// The folder.
        dir: String,
        /// The file.
        file: &'static str,
        /// What lies there, and what to do.
        advice: String,
    },
    /// Weights in several files that are not all there, or not what their index says.
    #[error("not usable as weights in several files: {detail}")]
    Shards {
        /// What is wrong with them.
        detail: String,
    },
    /// The same error with the file it concerns.
    #[error("{path}: {source}")]
    In {
        /// The file.
        path: String,
        /// What is wrong.
        source: Box<CheckpointError>,
    },
    /// The file system.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

fn parameters(missing: &[String], extra: &[String], mismatched: &[String]) -> String {
    let kinds = [("missing", missing), ("not expected", extra), ("of another shape", mismatched)];
    let part = |(what, names): &(&str, &[String])| format!("{} {what} ({})", names.len(), list(names));
    kinds.iter().filter(|(_, names)| !names.is_empty()).map(part).collect::<Vec<_>>().join(", ")
}

/// A network with its parameters, and how it was trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which network.
    pub config: UnetConfig,
    /// How it was trained and is sampled.
    pub scheduler: SchedulerConfig,
    /// The folder said nothing of the noise that the model was trained with, so that it is diffusers' default in `scheduler`.
    pub assumed_scheduler: bool,
    /// The parameters in the file's layout, under their present names.
    pub tensors: FileParameters,
}

impl Checkpoint {
    /// Reads the contents of the three files. A folder saved from the UNet alone has no scheduler config: `None`. One that says
    /// nothing of the noise ([`SchedulerConfig::tells_noise`]) is followed in the rest.
    ///
    /// # Errors
    /// Anything that is not understood; whether names and shapes are the config's is [`Checkpoint::load_parameters`]'s question.
    pub fn from_bytes(config: &[u8], scheduler: Option<&[u8]>, weights: &[u8]) -> Result<Self, CheckpointError> {
        let config = UnetConfig::from_json(config)?;
        let assumed_scheduler = !scheduler.is_some_and(SchedulerConfig::tells_noise);
        let scheduler = scheduler.map(SchedulerConfig::from_json).transpose()?;
        Ok(Self { assumed_scheduler, ..Self::new(config, scheduler, TensorFile::from_bytes(weights)?)? })
    }

    /// A checkpoint of parts that were read already; without a scheduler's config it has diffusers' default.
    ///
    /// # Errors
    /// Weights that are no numbers of F32, F16 or BF16, or one under two names.
    pub fn new(
        config: UnetConfig,
        scheduler: Option<SchedulerConfig>,
        weights: TensorFile,
    ) -> Result<Self, CheckpointError> {
        let mut tensors = FileParameters::new();
        for (name, tensor) in weights.tensors {
            let values = match tensor.values {
                Values::F32(values) => values,
                other => {
                    return Err(CheckpointError::Kind { name, expected: tensor_file::FLOATS, found: other.dtype() });
                }
            };
            let name = layout::modern_name(&name).unwrap_or(name);
            if tensors.insert(name.clone(), (tensor.shape, values)).is_some() {
                return Err(CheckpointError::Twice { name });
            }
        }
        let assumed_scheduler = scheduler.is_none();
        Ok(Self { config, scheduler: scheduler.unwrap_or_default(), assumed_scheduler, tensors })
    }

    /// The files of the folder by name.
    ///
    /// # Errors
    /// Values that the file cannot hold: not finite, or too large for F16.
    pub fn to_files(&self, dtype: Dtype) -> Result<Vec<(String, Vec<u8>)>, CheckpointError> {
        let mut file = TensorFile::new();
        for (name, (shape, values)) in &self.tensors {
            file.insert_f32(name, shape, values.clone());
        }
        Ok(vec![
            (CONFIG_FILE.to_owned(), self.config.to_json().into_bytes()),
            (SCHEDULER_FILE.to_owned(), self.scheduler.to_json().into_bytes()),
            (WEIGHTS_FILE.to_owned(), file.to_bytes(dtype)?),
        ])
    }

    /// [`load_parameters`] of this checkpoint.
    ///
    /// # Errors
    /// As there.
    pub fn load_parameters(&self, specs: &[ParamSpec]) -> Result<Vec<Vec<f32>>, CheckpointError> {
        load_parameters(&self.tensors, specs)
    }
}
