//! How page and worker talk: a message is a few bytes (postcard's, whose readers are a third of JSON's), and a block beside it that
//! changes hands without a copy: the values of the tensors that the message names, or a file.

use super::job::{Job, News, Tensor, Ticket};
use crate::engine::{Choice, Description};
use crate::tensor::Shape;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the page to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Open an engine and take the model into its care. Bytes: the safetensors file.
    Open {
        /// Which.
        engine: Choice,
        /// config.json.
        config: String,
        /// scheduler_config.json, where there is one.
        scheduler: Option<String>,
    },
    /// Take the model's fast student into its care as well. Bytes: the safetensors file.
    Load {
        /// config.json.
        config: String,
        /// scheduler_config.json, where there is one.
        scheduler: Option<String>,
    },
    /// Begin a job.
    Begin {
        /// Comes back with all news of it.
        ticket: Ticket,
        /// What to do.
        job: Job,
    },
    /// Let a walk go as far as this, and keep it there.
    Until {
        /// Which.
        ticket: Ticket,
        /// Steps after which it waits; without them it goes on to its end.
        until: Option<usize>,
    },
    /// Drop a job.
    End {
        /// Which.
        ticket: Ticket,
    },
}

/// From a worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// It runs and listens.
    Ready,
    /// The engine is open and the model fits.
    Opened(Description),
    /// The student is in its care, too, or why it is not.
    Loaded(Result<(), String>),
    /// It is not, or does not: another engine might.
    Refused {
        /// One sentence.
        message: String,
    },
    /// A job has come to something.
    News {
        /// Which.
        ticket: Ticket,
        /// To what.
        news: News,
    },
    /// The engine is no longer usable, or the program has stopped: a lost device, a fault.
    Lost {
        /// One sentence.
        message: String,
    },
}

/// A message, and which tensors lie in the block beside it.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    message: T,
    tensors: Vec<(String, [usize; 4])>,
}

/// A message as bytes.
///
/// # Errors
/// One sentence: it cannot be written.
pub fn encode(message: &impl Serialize, tensors: &[Tensor]) -> Result<Vec<u8>, String> {
    let tensors = tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.0)).collect();
    let bytes = postcard::to_allocvec(&Envelope { message, tensors });
    bytes.map_err(|error| format!("a message could not be made: {error}"))
}

/// The message in some bytes, and the tensors in the block beside it.
///
/// # Errors
/// One sentence: it is none of ours, or the block is not what it says.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], block: &[u8]) -> Result<(T, Vec<Tensor>), String> {
    let unreadable = |why: &str| format!("a message could not be read: {why}");
    let Envelope { message, tensors } = postcard::from_bytes(bytes).map_err(|error| unreadable(&error.to_string()))?;
    let mut rest = block;
    let mut read = Vec::new();
    for (name, sizes) in tensors {
        let len = sizes.iter().try_fold(4, |product: usize, &size| product.checked_mul(size));
        let (own, others) = len
            .and_then(|len| rest.split_at_checked(len))
            .ok_or_else(|| unreadable(&format!("it has too few bytes for {name}")))?;
        let values = own.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect();
        read.push(Tensor { name, shape: Shape(sizes), values });
        rest = others;
    }
    Ok((message, read))
}

#[cfg(target_arch = "wasm32")]
pub use browser::{Packet, pack, unpack};

#[cfg(target_arch = "wasm32")]
mod browser {
    use super::{decode, encode};
    use crate::web::job::Tensor;
    use js_sys::{Array, Uint8Array};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use wasm_bindgen::{JsCast, JsValue};

    /// Bytes of the browser's memory.
    fn bytes_of(data: JsValue) -> Vec<u8> {
        data.dyn_into::<Uint8Array>().map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    /// A message and what must be handed over with it.
    pub struct Packet {
        /// For `postMessage`.
        pub message: JsValue,
        /// What changes hands.
        pub transfer: Array,
    }

    /// Packs a message with its tensors, or with a file.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn pack(message: &impl Serialize, tensors: &[Tensor], file: Option<Uint8Array>) -> Result<Packet, String> {
        let message = Uint8Array::from(&encode(message, tensors)?[..]);
        let (parts, transfer) = (Array::of1(&message), Array::new());
        let block = file.or_else(|| {
            let all: Vec<f32> = tensors.iter().flat_map(|tensor| &tensor.values).copied().collect();
            (!all.is_empty()).then(|| Uint8Array::from(bytemuck::cast_slice::<f32, u8>(&all)))
        });
        if let Some(block) = block {
            transfer.push(&block.buffer());
            parts.push(&block);
        }
        Ok(Packet { message: parts.into(), transfer })
    }

    /// Unpacks a message with its tensors; the block, too, in case it is a file.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn unpack<T: DeserializeOwned>(data: &JsValue) -> Result<(T, Vec<Tensor>, Vec<u8>), String> {
        let parts: Array = data.dyn_ref().cloned().unwrap_or_default();
        let [bytes, block] = [0, 1].map(|part| bytes_of(parts.get(part)));
        let (message, tensors) = decode(&bytes, &block)?;
        Ok((message, tensors, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::SamplerConfig;
    use crate::playground::Settings;

    fn walk() -> ToWorker {
        let settings = Settings { classes: vec![Some(3), None], guidance: 1.5, sampler: SamplerConfig::default() };
        let job = Job::Walk {
            settings,
            seed: 6,
            after: 1,
            until: None,
            images: 0..2,
            watch: vec!["attention".to_owned()],
            fast: false,
            looks_back: false,
        };
        ToWorker::Begin { ticket: 9, job }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let tensors = [
            Tensor::new("x", Shape::new(1, 1, 2, 1), vec![0.5, -3.25]),
            Tensor::new("mask", Shape::SCALAR, vec![f32::NAN]),
        ];
        let bytes = encode(&walk(), &tensors).expect("bytes");
        let block: Vec<u8> = tensors.iter().flat_map(|t| &t.values).flat_map(|v| v.to_ne_bytes()).collect();
        let (message, read) = decode::<ToWorker>(&bytes, &block).expect("a message");
        assert_eq!((message, &read[0]), (walk(), &tensors[0]));
        assert!(read[1].name == "mask" && read[1].values[0].is_nan() && read.len() == 2);
        let problem = decode::<ToWorker>(&bytes, &block[1..]).expect_err("one byte short");
        assert!(problem.ends_with("too few bytes for mask"), "{problem}");
    }

    #[test]
    fn what_is_no_message_is_said_and_nothing_is_taken_for_it() {
        let bytes = encode(&walk(), &[]).expect("bytes");
        for (from, to) in [("ddpm", "magi"), ("leading", "leaping"), ("diffusers", "confusers")] {
            let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).expect(from);
            let mut other = bytes.clone();
            other[at..at + to.len()].copy_from_slice(to.as_bytes());
            let problem = decode::<ToWorker>(&other, &[]).expect_err("no message");
            assert!(problem.starts_with("a message could not be read: "), "{problem}");
        }
        // Cut anywhere it is none, and none of another kind.
        for end in 0..bytes.len() {
            assert!(decode::<ToWorker>(&bytes[..end], &[]).is_err(), "{end} of {} bytes", bytes.len());
        }
        assert!(decode::<ToWorker>(&[200, 1, 0], &[]).is_err());
        let huge = encode(&walk(), &[Tensor { name: "x".to_owned(), shape: Shape([usize::MAX; 4]), values: vec![] }]);
        assert!(decode::<ToWorker>(&huge.expect("bytes"), &[]).is_err(), "more than there is memory");
    }
}
