//! Fetching: the list of models, and of one of them its texts, its samples and its weights.

use super::{Page, Shared, dispatch, dom, picture};
use crate::checkpoint::{SCHEDULER_FILE, WEIGHTS_FILE};
use crate::model::config::CONFIG_FILE;
use crate::web::app::{Described, Message};
use crate::web::model::Model;
use crate::web::models::{self, Entry, MODELS_FILE};
use js_sys::{Reflect, Uint8Array};
use std::cell::Cell;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

/// Milliseconds between two reports of a download.
const PROGRESS_EVERY: f64 = 50.0;

/// Where the models lie: index.html says it.
fn base() -> String {
    dom::document().document_element().and_then(|html| html.get_attribute("data-weights")).unwrap_or_default()
}

/// Fetches the list of models.
pub async fn list(page: Shared) {
    let list = fetch_list(&base()).await;
    dispatch(&page, Message::List(list));
}

/// Fetches a model: what its folder holds beside the weights, then these, as long as somebody waits for them.
pub async fn fetch(page: Shared, entry: Entry) {
    let (base, name) = (format!("{}{}/", base(), entry.name), entry.name.clone());
    let weights = ask(&base, WEIGHTS_FILE);
    let described = describe(&base, entry).await.map(Box::new);
    let there = described.is_ok();
    dispatch(&page, Message::Described(name.clone(), described));
    let awaited = {
        let (page, name) = (page.clone(), name.clone());
        move || page.borrow().app.machine.download.as_ref().is_some_and(|download| download.name == name)
    };
    if !there || !awaited() {
        return;
    }
    deliver(&page, &base, weights, name, &awaited).await;
}

/// Fetches the texts of a model's fast student.
pub async fn fetch_student(page: Shared, entry: Entry) {
    let (of, name) = (entry.name.clone(), entry.student());
    let base = format!("{}{name}/", base());
    // It shows no pictures but its teacher's.
    let entry = Entry { name, pictures: Vec::new(), credit: None, fast: false, ..entry };
    let read = read(&base, entry).await.map(Box::new);
    dispatch(&page, Message::Student(of, read));
}

/// Fetches its weights.
pub async fn fetch_student_weights(page: Shared, entry: Entry) {
    let name = entry.student();
    let base = format!("{}{name}/", base());
    let awaited = {
        let (page, name) = (page.clone(), name.clone());
        move || page.borrow().app.machine.student.as_ref().is_some_and(|student| student.download.name == name)
    };
    deliver(&page, &base, ask(&base, WEIGHTS_FILE), name, &awaited).await;
}

/// Fetches weights and hands them to the page; tells how far that is, as long as somebody waits for them.
async fn deliver(page: &Shared, base: &str, weights: JsFuture, name: String, awaited: &dyn Fn() -> bool) {
    let told = Cell::new(f64::NEG_INFINITY);
    let progress = |loaded, total| {
        // Every piece would be a hundred times a second on a quick line.
        let due = dom::now() - told.get() > PROGRESS_EVERY || Some(loaded) == total;
        if due && awaited() {
            told.set(dom::now());
            dispatch(page, Message::Arriving(name.clone(), loaded, total));
        }
    };
    let weights = read_weights(base, weights, &progress).await;
    let arrived = weights.map(|weights| {
        let bytes = weights.length();
        let all = &mut page.borrow_mut().weights;
        all.retain(|(other, _)| *other != name);
        all.push((name.clone(), weights));
        f64::from(bytes)
    });
    dispatch(page, Message::Weights(name, arrived));
    // Those of a model that is not at hand are of no use.
    let Page { weights, app, .. } = &mut *page.borrow_mut();
    weights.retain(|(name, _)| app.machine.has_use_for(name, &app.common.settings.model.name));
}

async fn fetch_list(base: &str) -> Result<Vec<Entry>, String> {
    let response = answer(ask(base, MODELS_FILE), MODELS_FILE).await?.ok_or_else(|| missing(base, MODELS_FILE))?;
    models::parse(&text(&response).await?)
}

/// Fetches and reads what a model's folder, a relative address that ends in a slash, holds beside the weights.
async fn describe(base: &str, entry: Entry) -> Result<Described, String> {
    let model = read(base, entry).await?;
    let samples = picture::samples(&model.entry).await;
    Ok(Described { model, samples })
}

/// Fetches and reads the texts of a model.
async fn read(base: &str, entry: Entry) -> Result<Model, String> {
    let (config, scheduler) = (ask(base, CONFIG_FILE), ask(base, SCHEDULER_FILE));
    let config = answer(config, CONFIG_FILE).await?.ok_or_else(|| missing(base, CONFIG_FILE))?;
    let config = text(&config).await?;
    let scheduler = match answer(scheduler, SCHEDULER_FILE).await? {
        Some(response) => Some(text(&response).await?),
        None => None,
    };
    Model::read(entry, config, scheduler)
}

/// Reads the weights, and tells how many bytes have come, of how many if that is known. They are the worker's to judge.
async fn read_weights(base: &str, asked: JsFuture, progress: &dyn Fn(f64, Option<f64>)) -> Result<Uint8Array, String> {
    let response = answer(asked, WEIGHTS_FILE).await?.ok_or_else(|| missing(base, WEIGHTS_FILE))?;
    bytes(&response, progress).await.map_err(|error| broken(WEIGHTS_FILE, &dom::reason(&error)))
}

/// The body of an answer, piece by piece.
async fn bytes(response: &Response, progress: &dyn Fn(f64, Option<f64>)) -> Result<Uint8Array, JsValue> {
    let length = response.headers().get("content-length")?.and_then(|text| text.parse::<f64>().ok());
    let Some(body) = response.body() else { return Ok(Uint8Array::new_with_length(0)) };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let (mut pieces, mut loaded) = (Vec::new(), 0);
    loop {
        let piece = Reflect::get(&JsFuture::from(reader.read()).await?, &"value".into())?;
        let Ok(piece) = piece.dyn_into::<Uint8Array>() else { break };
        loaded += piece.length();
        pieces.push(piece);
        // Of a body that travels compressed the length is another one.
        progress(f64::from(loaded), length.filter(|&length| length >= f64::from(loaded)));
    }
    let whole = Uint8Array::new_with_length(loaded);
    let mut at = 0;
    for piece in pieces {
        whole.set(&piece, at);
        at += piece.length();
    }
    Ok(whole)
}

/// Asks for a file of the folder, which is under way from then on.
fn ask(base: &str, file: &str) -> JsFuture {
    JsFuture::from(dom::window().fetch_with_str(&format!("{base}{file}")))
}

/// The file that was asked for; `None` where the server has none.
async fn answer(asked: JsFuture, file: &str) -> Result<Option<Response>, String> {
    let answer = asked.await;
    let response: Response = answer.map_err(|error| broken(file, &dom::reason(&error)))?.unchecked_into();
    match response.status() {
        404 => Ok(None),
        _ if response.ok() => Ok(Some(response)),
        status => Err(broken(file, &format!("the server answered {status}"))),
    }
}

async fn text(response: &Response) -> Result<String, String> {
    let text = response.text().map_err(|error| dom::reason(&error))?;
    let text = JsFuture::from(text).await.map_err(|error| dom::reason(&error))?;
    text.as_string().ok_or_else(|| "a config file is no text".to_owned())
}

fn missing(base: &str, file: &str) -> String {
    format!("the network is missing: there is no {base}{file} beside the page")
}

fn broken(file: &str, why: &str) -> String {
    format!("the network could not be loaded, {file}: {why}")
}
