//! How a message travels: an array of JSON text and, where there is one, a block of bytes that changes hands without a copy.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};

/// A message and what must be handed over with it.
pub struct Packet {
    /// For `postMessage`.
    pub message: JsValue,
    /// What changes hands.
    pub transfer: Array,
}

/// Packs a message.
pub fn pack(message: &impl Serialize, bytes: Option<Uint8Array>) -> Packet {
    let text = serde_json::to_string(message).unwrap_or_default();
    let (parts, transfer) = (Array::of1(&JsValue::from(text)), Array::new());
    if let Some(bytes) = bytes {
        transfer.push(&bytes.buffer());
        parts.push(&bytes);
    }
    Packet { message: parts.into(), transfer }
}

/// Unpacks a message; `None` if it is none of ours.
pub fn unpack<T: DeserializeOwned>(data: &JsValue) -> Option<(T, Vec<u8>)> {
    let parts: &Array = data.dyn_ref()?;
    let message = serde_json::from_str(&parts.get(0).as_string()?).ok()?;
    let bytes = parts.get(1).dyn_into::<Uint8Array>().map(|bytes| bytes.to_vec());
    Some((message, bytes.unwrap_or_default()))
}

/// The bytes of numbers.
pub fn bytes_of(values: &[f32]) -> Uint8Array {
    Uint8Array::from(bytemuck::cast_slice::<f32, u8>(values))
}

/// The numbers in bytes; what does not fill a number is left out.
pub fn floats_of(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect()
}
