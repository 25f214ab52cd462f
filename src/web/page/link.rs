//! The page's end of the worker: starts one, talks to it, and starts another when it is gone.

use crate::web::protocol::{Command, Event};
use crate::web::wire;
use js_sys::Uint8Array;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// What a worker has to say: a message, or the reason why there will be no more.
pub enum News {
    /// A message and its bytes.
    Event(Event, Vec<u8>),
    /// The worker has failed.
    Gone(String),
}

/// A running worker; dropping it ends it.
pub struct Link {
    worker: Worker,
    // Kept for as long as the worker may call them.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Link {
    /// Starts a worker, whose news go to `receive`.
    ///
    /// # Errors
    /// One sentence, where the browser refuses.
    pub fn start(receive: Rc<dyn Fn(News)>) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options("worker.js", &options)
            .map_err(|error| format!("the engine's worker did not start: {}", super::dom::reason(&error)))?;
        let hear = receive.clone();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some((event, bytes)) = wire::unpack(&event.data()) {
                hear(News::Event(event, bytes));
            }
        });
        let error = Closure::<dyn FnMut(ErrorEvent)>::new(move |event: ErrorEvent| {
            // A plain event where the script itself could not be fetched: then there is no text.
            let text = js_sys::Reflect::get(&event, &"message".into()).ok().and_then(|text| text.as_string());
            receive(News::Gone(
                text.filter(|t| !t.is_empty()).unwrap_or_else(|| "worker.js could not be loaded".into()),
            ));
        });
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: message, _on_error: error })
    }

    /// Sends a command and the bytes that belong to it, which are then the worker's.
    pub fn send(&self, command: &Command, bytes: Option<Uint8Array>) {
        let packet = wire::pack(command, bytes);
        let _ = self.worker.post_message_with_transfer(&packet.message, &packet.transfer);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}
