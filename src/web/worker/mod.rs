//! The engine's side: takes messages from a queue, and between two of them leads its jobs a little further.
//!
//! After every piece of work, one batch of images at most, the worker goes back to the browser's event loop, so that a
//! message never waits for longer than that.

mod check;
mod measure;

use super::job::{self, Job, News, Tensor, Ticket};
use super::measure::Measurement;
use super::messages::{self, FromWorker, ToWorker};
use crate::checkpoint::Checkpoint;
use crate::engine::{Choice, Engine};
use crate::playground::{Advance, Noise, PlaygroundError, Session};
use js_sys::{Function, Promise};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent, MessagePort};

/// Milliseconds between two parts of a step that are told of.
const PART_EVERY: f64 = 200.0;

/// A message, its tensors, and the bytes in case they are a file.
type Arrived = (ToWorker, Vec<Tensor>, Vec<u8>);

/// Messages that came and were not looked at yet, and how to wake who waits for one.
#[derive(Default)]
struct Inbox {
    arrived: VecDeque<Arrived>,
    wake: Option<Function>,
}

/// A prediction that is asked for, by the page or by a measurement.
struct Prediction {
    ticket: Ticket,
    timestep: usize,
    x: Vec<f32>,
}

/// The walk in progress, for the news of it.
struct Progress {
    ticket: Ticket,
    fast: bool,
    step: usize,
    until: Option<usize>,
    milliseconds: f64,
    /// When the page last heard of it.
    told: f64,
}

struct Worker {
    scope: DedicatedWorkerGlobalScope,
    inbox: Rc<RefCell<Inbox>>,
    channel: MessageChannel,
    session: Option<Session>,
    /// The model's fast student, on the same engine.
    student: Option<Session>,
    prediction: Option<Prediction>,
    progress: Option<Progress>,
    /// The first one is in progress.
    measurements: Vec<(Ticket, Measurement)>,
}

/// Listens from now on.
pub fn start(scope: DedicatedWorkerGlobalScope) {
    let to_page = scope.clone();
    std::panic::set_hook(Box::new(move |info| {
        web_sys::console::error_1(&info.to_string().into());
        post(&to_page, &FromWorker::Lost { message: info.to_string() }, &[]);
    }));
    let inbox = Rc::new(RefCell::new(Inbox::default()));
    let (arriving, to_page) = (inbox.clone(), scope.clone());
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let mut inbox = arriving.borrow_mut();
        match messages::unpack::<ToWorker>(&event.data()) {
            Ok(message) => inbox.arrived.push_back(message),
            Err(message) => post(&to_page, &FromWorker::Lost { message }, &[]),
        }
        if let Some(wake) = inbox.wake.take() {
            let _ = wake.call0(&JsValue::NULL);
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    let channel = match MessageChannel::new() {
        Ok(channel) => channel,
        Err(_) => {
            let message = "this browser gives a worker no way to pause".to_owned();
            return post(&scope, &FromWorker::Lost { message }, &[]);
        }
    };
    post(&scope, &FromWorker::Ready, &[]);
    let (session, student, prediction, progress, measurements) = Default::default();
    spawn_local(Worker { scope, inbox, channel, session, student, prediction, progress, measurements }.serve());
}

/// Sends a message; one that cannot be made is said instead.
fn post(scope: &DedicatedWorkerGlobalScope, message: &FromWorker, tensors: &[Tensor]) {
    let packet = messages::pack(message, tensors, None)
        .or_else(|message| messages::pack(&FromWorker::Lost { message }, &[], None));
    // Only a value that cannot be cloned makes it fail, and text and bytes can.
    let _ = packet.map(|packet| scope.post_message_with_transfer(&packet.message, &packet.transfer));
}

impl Worker {
    async fn serve(mut self) {
        loop {
            let next = self.inbox.borrow_mut().arrived.pop_front();
            if let Some((message, tensors, bytes)) = next {
                self.obey(message, tensors, &bytes).await;
                continue;
            }
            let walks = self.progress.as_ref().is_some_and(|walk| job::goes_on(walk.step, walk.until));
            let question = self.prediction.take().or_else(|| if walks { None } else { self.question() });
            if let Some(prediction) = question {
                self.predict(prediction).await;
                self.breathe().await;
            } else if walks {
                self.advance().await;
                self.breathe().await;
            } else {
                self.wait().await;
            }
        }
    }

    /// Gives the browser the chance to deliver what has arrived.
    async fn breathe(&self) {
        let (from, to) = (self.channel.port1(), self.channel.port2());
        let turn = Promise::new(&mut |resolve, _| MessagePort::set_onmessage(&to, Some(&resolve)));
        if from.post_message(&JsValue::NULL).is_ok() {
            let _ = JsFuture::from(turn).await;
        }
    }

    /// Waits for a message.
    async fn wait(&self) {
        let arrival = Promise::new(&mut |resolve, _| self.inbox.borrow_mut().wake = Some(resolve));
        let _ = JsFuture::from(arrival).await;
    }

    fn post(&self, message: &FromWorker) {
        post(&self.scope, message, &[]);
    }

    fn tell(&self, ticket: Ticket, news: News, tensors: &[Tensor]) {
        post(&self.scope, &FromWorker::News { ticket, news }, tensors);
    }

    async fn obey(&mut self, message: ToWorker, tensors: Vec<Tensor>, bytes: &[u8]) {
        match message {
            ToWorker::Open { engine, config, scheduler } => {
                (self.session, self.student) = (None, None);
                match open(engine, &config, scheduler.as_deref(), bytes).await {
                    Ok(session) => {
                        self.post(&FromWorker::Opened(session.engine().describe()));
                        self.session = Some(session);
                    }
                    Err(message) => self.post(&FromWorker::Refused { message }),
                }
            }
            ToWorker::Load { config, scheduler } => {
                // Without an engine somebody else has heard why.
                let Some(session) = &self.session else { return };
                let loaded = load(session.engine().clone(), &config, scheduler.as_deref(), bytes);
                let loaded = loaded.map(|student| self.student = Some(student));
                self.post(&FromWorker::Loaded(loaded));
            }
            ToWorker::Begin { ticket, job } => self.begin(ticket, job, tensors).await,
            ToWorker::Until { ticket, until } => {
                let walk = self.progress.iter_mut().filter(|walk| walk.ticket == ticket);
                walk.for_each(|walk| walk.until = until);
            }
            ToWorker::End { ticket } => {
                self.prediction.take_if(|prediction| prediction.ticket == ticket);
                self.measurements.retain(|(other, _)| *other != ticket);
                if let Some(Progress { fast, .. }) = self.progress.take_if(|progress| progress.ticket == ticket)
                    && let Some(session) = self.session(fast)
                {
                    session.stop();
                }
            }
        }
    }

    /// The model, or its student.
    fn session(&mut self, fast: bool) -> Option<&mut Session> {
        if fast { self.student.as_mut() } else { self.session.as_mut() }
    }

    async fn begin(&mut self, ticket: Ticket, job: Job, mut tensors: Vec<Tensor>) {
        if let Job::Measure(what) = job {
            return self.begin_measuring(ticket, what, tensors);
        }
        // Its length is for the session to judge.
        let x = if tensors.is_empty() { None } else { Some(tensors.swap_remove(0).values) };
        match job {
            Job::Check { engine, config } => {
                let scope = &self.scope;
                let tell = |news| post(scope, &FromWorker::News { ticket, news: News::Check(news) }, &[]);
                let checked = check::check(engine, config.as_deref(), tell, || now(scope)).await;
                let last = checked.map_or_else(|message| News::Failed { message }, |()| News::Done);
                self.tell(ticket, last, &[]);
            }
            // It has begun already.
            Job::Measure(_) => {}
            Job::Predict { timestep } => {
                self.prediction = Some(Prediction { ticket, timestep, x: x.unwrap_or_default() });
            }
            Job::Walk { settings, seed, after, until, images, watch, fast, .. } => {
                self.progress = None;
                let told = now(&self.scope);
                let noise = x.map_or(Noise::Seed(seed), |x| Noise::Given { x, steps: None, seed });
                let Some(session) = self.session(fast) else { return self.lacks_engine(ticket) };
                let begun = session.watch(&watch).and_then(|()| session.start_part(&settings, noise, after, images));
                match begun {
                    Ok(()) => {
                        self.progress = Some(Progress { ticket, fast, step: after, until, milliseconds: 0.0, told })
                    }
                    Err(error) => self.fail(ticket, &error),
                }
            }
        }
    }

    async fn predict(&mut self, Prediction { ticket, timestep, x }: Prediction) {
        let Some(session) = &mut self.session else { return self.lacks_engine(ticket) };
        let (begin, shape) = (now(&self.scope), session.image_shape());
        let answer = session.predict(&x, timestep, None).await;
        if self.measured(ticket, &answer) {
            return;
        }
        match answer {
            Ok(predicted) => {
                let tensors =
                    [Tensor::new("epsilon", shape, predicted.epsilon), Tensor::new("x0", shape, predicted.x0)];
                let milliseconds = now(&self.scope) - begin;
                self.tell(ticket, News::Predicted { milliseconds }, &tensors);
            }
            Err(error) => self.fail(ticket, &error),
        }
    }

    async fn advance(&mut self) {
        let Some(progress) = &mut self.progress else { return };
        let session = if progress.fast { &mut self.student } else { &mut self.session };
        let Some(session) = session else { return self.progress = None };
        let begin = now(&self.scope);
        let advance = session.advance().await;
        progress.milliseconds += now(&self.scope) - begin;
        let ticket = progress.ticket;
        match advance {
            Ok(Advance::Part { done, of }) => {
                let step = progress.step + 1;
                // Of a quick step only the end is worth the page's time, which two cores take from the workers'.
                if progress.told + PART_EVERY <= begin {
                    progress.told = begin;
                    self.tell(ticket, News::Part { step, done, of }, &[]);
                }
            }
            Ok(Advance::Step(frame)) => {
                let milliseconds = std::mem::take(&mut progress.milliseconds);
                (progress.step, progress.told) = (frame.step, begin);
                let image = session.image_shape();
                let shape = image.with_n(frame.x.len() / image.len());
                let news = News::Frame { step: frame.step, timestep: frame.timestep, milliseconds };
                let mut tensors = vec![Tensor::new("x", shape, frame.x), Tensor::new("x0", shape, frame.x0)];
                tensors.extend(frame.watched.into_iter().map(|w| Tensor::new(&w.name, w.shape, w.values)));
                self.tell(ticket, news, &tensors);
            }
            Ok(Advance::Finished) => {
                self.progress = None;
                self.tell(ticket, News::Done, &[]);
            }
            Err(error) => {
                self.progress = None;
                self.fail(ticket, &error);
            }
        }
    }

    /// What an engine cannot do any more is its end; all else is the job's own fault: what is asked for, or a model whose results
    /// are no numbers.
    fn fail(&self, ticket: Ticket, error: &PlaygroundError) {
        let message = error.to_string();
        match error {
            PlaygroundError::Engine(_) => self.post(&FromWorker::Lost { message }),
            _ => self.tell(ticket, News::Failed { message }, &[]),
        }
    }

    fn lacks_engine(&self, ticket: Ticket) {
        self.tell(ticket, News::Failed { message: "there is no engine yet".to_owned() }, &[]);
    }
}

async fn open(choice: Choice, config: &str, scheduler: Option<&str>, weights: &[u8]) -> Result<Session, String> {
    let engine = Engine::open(choice).await.map_err(|error| error.to_string())?;
    load(engine, config, scheduler, weights)
}

fn load(engine: Engine, config: &str, scheduler: Option<&str>, weights: &[u8]) -> Result<Session, String> {
    let scheduler = scheduler.map(str::as_bytes);
    let checkpoint =
        Checkpoint::from_bytes(config.as_bytes(), scheduler, weights).map_err(|error| error.to_string())?;
    let one_by_one = engine.describe().one_by_one;
    let mut session = Session::new(engine, checkpoint).map_err(|error| error.to_string())?;
    if one_by_one {
        // More at once would make Stop wait and save nothing.
        session.set_images_at_once(1);
    }
    Ok(session)
}

fn now(scope: &DedicatedWorkerGlobalScope) -> f64 {
    scope.performance().map_or(0.0, |performance| performance.now())
}
