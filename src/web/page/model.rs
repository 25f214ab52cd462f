//! The models beside the page: their list, and of one of them the three files.

use super::dom;
use crate::checkpoint::{SCHEDULER_FILE, SchedulerConfig, WEIGHTS_FILE};
use crate::diffusion::Schedule;
use crate::model::config::{CONFIG_FILE, UnetConfig};
use crate::tensor::Shape;
use crate::web::models::{self, Entry, MODELS_FILE};
use crate::web::state::{Limits, Sampling};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

/// What the page knows of the model; the worker gets the same texts and the weights.
#[derive(Clone)]
pub struct Model {
    /// Its entry in the list.
    pub entry: Entry,
    /// config.json.
    pub config_text: String,
    /// scheduler_config.json, where there is one.
    pub scheduler_text: Option<String>,
    /// The network.
    pub config: UnetConfig,
    /// What it predicts, and how it is sampled.
    pub scheduler: SchedulerConfig,
    /// β and ᾱ.
    pub schedule: Schedule,
    /// The safetensors file, in the browser's memory and not the program's, for as many workers as may come; none before it is
    /// fetched, which takes the longest.
    pub weights: Option<Uint8Array>,
}

impl Model {
    /// Fetches and reads what the folder of a model in `base`, a relative address that ends in a slash, holds beside the weights.
    ///
    /// # Errors
    /// One sentence.
    pub async fn fetch(base: &str, entry: Entry) -> Result<Self, String> {
        let base = &format!("{base}{}/", entry.name);
        let config_text = text(&get(base, CONFIG_FILE).await?.ok_or_else(|| missing(base, CONFIG_FILE))?).await?;
        let config = UnetConfig::from_json(config_text.as_bytes()).map_err(|error| error.to_string())?;
        let scheduler_text = match get(base, SCHEDULER_FILE).await? {
            Some(response) => Some(text(&response).await?),
            None => None,
        };
        let scheduler = scheduler_text.as_ref().map(|text| SchedulerConfig::from_json(text.as_bytes())).transpose();
        let scheduler = scheduler.map_err(|error| error.to_string())?.unwrap_or_default();
        let schedule = scheduler.schedule().map_err(|error| error.to_string())?;
        Ok(Self { entry, config_text, scheduler_text, config, scheduler, schedule, weights: None })
    }

    /// Fetches the weights, and tells how many bytes have come, of how many if that is known. They are the worker's to judge.
    ///
    /// # Errors
    /// One sentence.
    pub async fn fetch_weights(mut self, base: &str, progress: impl Fn(f64, Option<f64>)) -> Result<Self, String> {
        let base = &format!("{base}{}/", self.entry.name);
        let response = get(base, WEIGHTS_FILE).await?.ok_or_else(|| missing(base, WEIGHTS_FILE))?;
        let weights = bytes(&response, progress).await.map_err(|error| broken(WEIGHTS_FILE, &dom::reason(&error)))?;
        self.weights = Some(weights);
        Ok(self)
    }

    /// `[1, H, W, C]`.
    pub fn shape(&self) -> Shape {
        self.config.image_shape()
    }

    /// How its folder suggests to sample it.
    pub fn sampling(&self) -> Sampling {
        Sampling::suggested(&self.scheduler.suggested, self.schedule.timesteps())
    }

    /// What it allows, with so many sample pictures.
    pub fn limits(&self, pictures: usize) -> Limits {
        Limits {
            timesteps: self.schedule.timesteps(),
            classes: self.config.classes(),
            pictures,
            none: self.config.num_class_embeds.is_none() || self.config.null_class.is_some(),
        }
    }

    /// What a class is called.
    pub fn class_name(&self, class: usize) -> String {
        self.config.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

/// The list of the models in `base`.
///
/// # Errors
/// One sentence.
pub async fn list(base: &str) -> Result<Vec<Entry>, String> {
    let response = get(base, MODELS_FILE).await?.ok_or_else(|| missing(base, MODELS_FILE))?;
    models::parse(&text(&response).await?)
}

/// The body of an answer, piece by piece.
async fn bytes(response: &Response, progress: impl Fn(f64, Option<f64>)) -> Result<Uint8Array, JsValue> {
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

/// A file of the folder; `None` where the server has none.
async fn get(base: &str, file: &str) -> Result<Option<Response>, String> {
    let answer = JsFuture::from(dom::window().fetch_with_str(&format!("{base}{file}"))).await;
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
