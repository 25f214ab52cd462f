//! The model's three files, fetched from beside the page.

use super::dom;
use crate::checkpoint::{SCHEDULER_FILE, SchedulerConfig, WEIGHTS_FILE};
use crate::diffusion::Schedule;
use crate::model::config::{CONFIG_FILE, UnetConfig};
use crate::tensor::Shape;
use crate::web::state::Limits;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

/// What the page knows of the model; the worker gets the same texts and the weights.
pub struct Model {
    /// config.json.
    pub config_text: String,
    /// scheduler_config.json, where there is one.
    pub scheduler_text: Option<String>,
    /// The network.
    pub config: UnetConfig,
    /// β and ᾱ.
    pub schedule: Schedule,
    /// The safetensors file, in the browser's memory and not the program's, for as many workers as may come.
    pub weights: Uint8Array,
}

impl Model {
    /// Fetches and reads the folder `base`, a relative address that ends in a slash. The parameters are the worker's to judge.
    ///
    /// # Errors
    /// One sentence.
    pub async fn fetch(base: &str) -> Result<Self, String> {
        let config_text = text(&get(base, CONFIG_FILE).await?.ok_or_else(|| missing(base, CONFIG_FILE))?).await?;
        let config = UnetConfig::from_json(config_text.as_bytes()).map_err(|error| error.to_string())?;
        let scheduler_text = match get(base, SCHEDULER_FILE).await? {
            Some(response) => Some(text(&response).await?),
            None => None,
        };
        let scheduler = scheduler_text.as_ref().map(|text| SchedulerConfig::from_json(text.as_bytes())).transpose();
        let scheduler = scheduler.map_err(|error| error.to_string())?.unwrap_or_default();
        let schedule = scheduler.schedule().map_err(|error| error.to_string())?;
        let weights = get(base, WEIGHTS_FILE).await?.ok_or_else(|| missing(base, WEIGHTS_FILE))?;
        let buffer = weights.array_buffer().map_err(|error| dom::reason(&error))?;
        let buffer: ArrayBuffer =
            JsFuture::from(buffer).await.map_err(|error| broken(WEIGHTS_FILE, &dom::reason(&error)))?.unchecked_into();
        Ok(Self { config_text, scheduler_text, config, schedule, weights: Uint8Array::new(&buffer) })
    }

    /// `[1, H, W, C]`.
    pub fn shape(&self) -> Shape {
        let [h, w] = self.config.sample_size;
        Shape::new(1, h, w, self.config.channels)
    }

    /// What it allows.
    pub fn limits(&self) -> Limits {
        Limits {
            timesteps: self.schedule.timesteps(),
            classes: self.config.classes(),
            none: self.config.num_class_embeds.is_none() || self.config.null_class.is_some(),
        }
    }

    /// What a class is called.
    pub fn class_name(&self, class: usize) -> String {
        self.config.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
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
