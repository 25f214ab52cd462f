//! The page's end of a worker.

use super::dom;
use crate::web::job::Tensor;
use crate::web::messages::{self, FromWorker, ToWorker};
use js_sys::Uint8Array;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// What a worker says, or why there will be nothing more from it.
pub type Said = Result<(FromWorker, Vec<Tensor>), String>;

/// A running worker; dropping it ends it.
pub struct Connection {
    worker: Worker,
    // Kept for as long as the worker may call them.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Connection {
    /// Starts a worker, and hands what it says to `receive`.
    ///
    /// # Errors
    /// One sentence, where the browser refuses.
    pub fn start(receive: Rc<dyn Fn(Said)>) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options("worker.js", &options)
            .map_err(|error| format!("the engine's worker did not start: {}", dom::reason(&error)))?;
        let hear = receive.clone();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            hear(messages::unpack(&event.data()).map(|(message, tensors, _)| (message, tensors)));
        });
        let error = Closure::<dyn FnMut(ErrorEvent)>::new(move |event: ErrorEvent| {
            // A plain event where the script itself could not be fetched: then there is no text.
            let text = js_sys::Reflect::get(&event, &"message".into()).ok().and_then(|text| text.as_string());
            receive(Err(text.filter(|t| !t.is_empty()).unwrap_or_else(|| "worker.js could not be loaded".into())));
        });
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: message, _on_error: error })
    }

    /// Sends a message with its tensors, or with a file, which is then the worker's.
    ///
    /// # Errors
    /// One sentence: the message could not be made, or not be sent.
    pub fn send(&self, message: &ToWorker, tensors: &[Tensor], file: Option<Uint8Array>) -> Result<(), String> {
        let packet = messages::pack(message, tensors, file)?;
        let sent = self.worker.post_message_with_transfer(&packet.message, &packet.transfer);
        sent.map_err(|error| format!("a message could not be sent: {}", dom::reason(&error)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}
