//! The engine's side: takes commands from a queue, and between two of them leads the run a little further.
//!
//! After every piece of work, one batch of images at most, the worker goes back to the browser's event loop, so that a
//! command never waits for longer than that.

use super::protocol::{CheckNews, Command, Event, Request, Stage};
use super::wire;
use crate::checkpoint::Checkpoint;
use crate::engine::{Choice, Engine};
use crate::playground::{Advance, Noise, PlaygroundError, Session, Settings};
use js_sys::{Function, Promise, Uint8Array};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent, MessagePort};

/// Commands that came and were not looked at yet, and how to wake who waits for one.
#[derive(Default)]
struct Inbox {
    commands: VecDeque<(Command, Vec<u8>)>,
    wake: Option<Function>,
}

/// The run in progress, for the messages about it.
struct Progress {
    run: u32,
    step: usize,
    milliseconds: f64,
}

struct Worker {
    scope: DedicatedWorkerGlobalScope,
    inbox: Rc<RefCell<Inbox>>,
    channel: MessageChannel,
    session: Option<Session>,
    predict: Option<(u32, usize, Vec<f32>)>,
    progress: Option<Progress>,
}

/// Listens from now on.
pub fn start(scope: DedicatedWorkerGlobalScope) {
    let to_page = scope.clone();
    std::panic::set_hook(Box::new(move |info| {
        web_sys::console::error_1(&info.to_string().into());
        post(&to_page, &Event::Panicked { message: info.to_string() }, None);
    }));
    let inbox = Rc::new(RefCell::new(Inbox::default()));
    let arriving = inbox.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let mut inbox = arriving.borrow_mut();
        inbox.commands.extend(wire::unpack::<Command>(&event.data()));
        if let Some(wake) = inbox.wake.take() {
            let _ = wake.call0(&JsValue::NULL);
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    let Ok(channel) = MessageChannel::new() else { return };
    post(&scope, &Event::Ready, None);
    let worker = Worker { scope, inbox, channel, session: None, predict: None, progress: None };
    spawn_local(worker.serve());
}

fn post(scope: &DedicatedWorkerGlobalScope, event: &Event, bytes: Option<Uint8Array>) {
    let packet = wire::pack(event, bytes);
    // Only a value that cannot be cloned makes it fail, and text and bytes can.
    let _ = scope.post_message_with_transfer(&packet.message, &packet.transfer);
}

impl Worker {
    async fn serve(mut self) {
        loop {
            let next = self.inbox.borrow_mut().commands.pop_front();
            if let Some((command, bytes)) = next {
                self.obey(command, bytes).await;
            } else if let Some((id, timestep, x_t)) = self.predict.take() {
                self.answer(id, timestep, &x_t).await;
                self.breathe().await;
            } else if self.progress.is_some() {
                self.advance().await;
                self.breathe().await;
            } else {
                self.wait().await;
            }
        }
    }

    fn post(&self, event: &Event, bytes: Option<Uint8Array>) {
        post(&self.scope, event, bytes);
    }

    /// Gives the browser the chance to deliver what has arrived.
    async fn breathe(&self) {
        let (from, to) = (self.channel.port1(), self.channel.port2());
        let turn = Promise::new(&mut |resolve, _| MessagePort::set_onmessage(&to, Some(&resolve)));
        if from.post_message(&JsValue::NULL).is_ok() {
            let _ = JsFuture::from(turn).await;
        }
    }

    /// Waits for a command.
    async fn wait(&self) {
        let arrival = Promise::new(&mut |resolve, _| self.inbox.borrow_mut().wake = Some(resolve));
        let _ = JsFuture::from(arrival).await;
    }

    async fn obey(&mut self, command: Command, bytes: Vec<u8>) {
        match command {
            Command::Open { engine, config, scheduler } => {
                self.session = None;
                match open(engine, &config, scheduler.as_deref(), &bytes).await {
                    Ok(session) => {
                        self.post(&Event::Opened { engine: session.engine().describe() }, None);
                        self.session = Some(session);
                    }
                    Err(message) => {
                        self.post(&Event::Failed { during: Stage::Opening, message, fatal: false }, None);
                    }
                }
            }
            Command::Predict { id, timestep } => self.predict = Some((id, timestep, wire::floats_of(&bytes))),
            Command::Generate { run, request, after, images } => {
                self.progress = None;
                let Some(session) = &mut self.session else { return };
                match begin(session, &request, after, images, wire::floats_of(&bytes)) {
                    Ok(()) => self.progress = Some(Progress { run, step: after, milliseconds: 0.0 }),
                    Err(error) => self.fail(Stage::Generating, &error),
                }
            }
            Command::Check { engine, config } => {
                let scope = &self.scope;
                let tell = |news| post(scope, &Event::Check(news), None);
                if let Err(message) = super::check::check(engine, config.as_deref(), tell, || now(scope)).await {
                    tell(CheckNews::Failed { message });
                }
            }
            Command::Stop => {
                self.progress = None;
                if let Some(session) = &mut self.session {
                    session.stop();
                }
            }
        }
    }

    async fn answer(&mut self, id: u32, timestep: usize, x_t: &[f32]) {
        let Some(session) = &mut self.session else { return };
        let begin = now(&self.scope);
        match session.predict(x_t, timestep, None).await {
            Ok(predicted) => {
                let both = [predicted.epsilon, predicted.x0].concat();
                let milliseconds = now(&self.scope) - begin;
                self.post(&Event::Predicted { id, milliseconds }, Some(wire::bytes_of(&both)));
            }
            Err(error) => self.fail(Stage::Predicting, &error),
        }
    }

    async fn advance(&mut self) {
        let (Some(session), Some(progress)) = (&mut self.session, &mut self.progress) else {
            self.progress = None;
            return;
        };
        let begin = now(&self.scope);
        let advance = session.advance().await;
        progress.milliseconds += now(&self.scope) - begin;
        let run = progress.run;
        match advance {
            Ok(Advance::Part { done, of }) => {
                let step = progress.step + 1;
                self.post(&Event::Part { run, step, done, of }, None);
            }
            Ok(Advance::Step(frame)) => {
                let milliseconds = std::mem::take(&mut progress.milliseconds);
                progress.step = frame.step;
                let (step, steps, timestep) = (frame.step, frame.steps, frame.timestep);
                let event = Event::Frame { run, step, steps, timestep, milliseconds };
                self.post(&event, Some(wire::bytes_of(&frame.x)));
            }
            Ok(Advance::Finished) => {
                self.progress = None;
                self.post(&Event::Finished { run }, None);
            }
            Err(error) => {
                self.progress = None;
                self.fail(Stage::Generating, &error);
            }
        }
    }

    fn fail(&self, during: Stage, error: &PlaygroundError) {
        let fatal = matches!(error, PlaygroundError::Engine(_) | PlaygroundError::NotFinite { .. });
        self.post(&Event::Failed { during, message: error.to_string(), fatal }, None);
    }
}

async fn open(choice: Choice, config: &str, scheduler: Option<&str>, weights: &[u8]) -> Result<Session, String> {
    let scheduler = scheduler.map(str::as_bytes);
    let checkpoint =
        Checkpoint::from_bytes(config.as_bytes(), scheduler, weights).map_err(|error| error.to_string())?;
    let engine = Engine::open(choice).await.map_err(|error| error.to_string())?;
    let one_by_one = engine.describe().one_by_one;
    let mut session = Session::new(engine, checkpoint).map_err(|error| error.to_string())?;
    if one_by_one {
        // More at once would make Stop wait and save nothing.
        session.set_images_at_once(1);
    }
    Ok(session)
}

fn begin(
    session: &mut Session,
    request: &Request,
    after: usize,
    images: Range<usize>,
    x: Vec<f32>,
) -> Result<(), PlaygroundError> {
    let sampler = request.sampler_config(session.scheduler());
    let settings = Settings { classes: request.classes.clone(), guidance: request.guidance, sampler };
    let seed = request.seed;
    let noise = if x.is_empty() { Noise::Seed(seed) } else { Noise::Given { x, steps: None, seed } };
    session.start_part(&settings, noise, after, images)
}

fn now(scope: &DedicatedWorkerGlobalScope) -> f64 {
    scope.performance().map_or(0.0, |performance| performance.now())
}
