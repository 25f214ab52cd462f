//! A network that suits data: their size, channels and classes with the widths of the digits' network; and what becomes of
//! the null class and of the names of classes.

use super::Recipe;
use crate::data::Dataset;
use crate::data::names::numbers;
use crate::model::config::UnetConfig;
use serde_json::{Map, Value};

/// Height and width of pictures that have to be resized, unless told otherwise.
const SIZE: usize = 32;

/// Why no network suits.
#[derive(Debug, thiserror::Error)]
pub enum SuitError {
    /// Pictures that cannot be halved so often.
    #[error(
        "{data} has {}×{} images, a new network of {blocks} blocks takes multiples of {multiple}: ask for fewer \
         (net.block_out_channels, net.down_block_types, net.up_block_types)",
        .sides[0], .sides[1]
    )]
    Sides {
        /// What the data are called.
        data: String,
        /// Their height and width.
        sides: [usize; 2],
        /// Resolutions of the network.
        blocks: usize,
        /// What height and width must be multiples of.
        multiple: usize,
    },
    /// A null class and is never seen.
    #[error(
        "`label_dropout` is 0, so that the null class (`_null_class`, here {none}) would learn nothing: \
         expected a larger share, or net._null_class=none and one less for net.num_class_embeds"
    )]
    NullClass {
        /// The label.
        none: usize,
    },
}

/// Height and width of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// They stay what they are.
    Fixed([usize; 2]),
    /// The pictures can be made to fit. All have these, or they differ.
    Fitted(Option<[usize; 2]>),
}

/// What a network must know of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Height and width.
    pub sides: Sides,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// The names of the classes; empty without classes.
    pub classes: Vec<String>,
}

impl Traits {
    /// Those of a data set in memory whose classes are called `classes`.
    pub fn of(dataset: &Dataset, classes: Vec<String>) -> Self {
        Self { sides: Sides::Fixed([dataset.height, dataset.width]), channels: dataset.channels, classes }
    }
}

/// A new network for data, which errors call `data`: one label more than there are classes, the null class. `asked` are the settings
/// that it has already, under the names of config.json, which decide what sizes it can take. Pictures that can be made to fit keep a
/// height and width that all have, if the network can take them and they are at most 32, and get 32 otherwise.
///
/// # Errors
/// Pictures of a size that the network cannot take.
pub fn suitable_net(traits: Traits, asked: Option<&Value>, data: &str) -> Result<UnetConfig, SuitError> {
    let asked = |key: &str| asked.and_then(|net| net.get(key));
    let usual = UnetConfig::digits();
    let blocks = asked("block_out_channels").and_then(Value::as_array).map_or(usual.block_out_channels.len(), Vec::len);
    // More than a network may have are refused with the other settings.
    let multiple = 1 << blocks.clamp(1, 8).saturating_sub(1);
    let fits = |sides: &[usize; 2]| sides.iter().all(|side| side.is_multiple_of(multiple));
    let sides = match traits.sides {
        Sides::Fixed(sides) if asked("sample_size").is_none() && !fits(&sides) => {
            return Err(SuitError::Sides { data: data.to_owned(), sides, blocks, multiple });
        }
        Sides::Fixed(sides) => sides,
        Sides::Fitted(common) => {
            common.filter(|sides| fits(sides) && sides.iter().all(|&side| side <= SIZE)).unwrap_or([SIZE; 2])
        }
    };
    let classes = Some(traits.classes.len()).filter(|&count| count > 0);
    Ok(UnetConfig {
        sample_size: sides,
        channels: traits.channels,
        num_class_embeds: classes.map(|count| count + 1),
        null_class: classes,
        class_names: traits.classes,
        ..usual
    })
}

impl Recipe {
    /// Whether the null class would learn nothing, since no labels are dropped, in a network that was made for the data: it
    /// should do without ([`Recipe::without_null_class`]). `settings` are those that were asked for.
    ///
    /// # Errors
    /// The label was asked for: guidance with it would be noise.
    pub fn has_idle_null_class(&self, settings: &Map<String, Value>) -> Result<bool, SuitError> {
        let Some(none) = self.net.null_class.filter(|_| self.options.label_dropout == 0.0) else { return Ok(false) };
        let net = |key: &str| settings.get("net").and_then(|net| net.get(key));
        match net("_null_class").or(net("num_class_embeds")) {
            Some(_) => Err(SuitError::NullClass { none }),
            None => Ok(true),
        }
    }

    /// The recipe for a network without the null class, if that is the last.
    pub fn without_null_class(mut self) -> Self {
        let last = self.net.num_class_embeds.and_then(|rows| rows.checked_sub(1));
        if self.net.null_class.is_some() && self.net.null_class == last {
            self.net.num_class_embeds = self.net.null_class.take();
        }
        self
    }
}

/// What the classes of a model are called that goes on with other data. `written` are names that came with the data; they decide. Else
/// the model keeps its own if it `was_trained_on` the very same data, or if they are numbers; and its classes go by their numbers if
/// not, which is nothing here.
pub fn continued_names(
    net: &UnetConfig,
    written: Option<Vec<String>>,
    was_trained_on: impl FnOnce() -> bool,
) -> Option<Vec<String>> {
    let own = || net.class_names == numbers(net.class_names.len()) || was_trained_on();
    written.or_else(|| own().then(|| net.class_names.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn traits(sides: Sides, classes: &[&str]) -> Traits {
        Traits { sides, channels: 3, classes: classes.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn a_network_takes_after_its_data() {
        let net = suitable_net(traits(Sides::Fixed([28, 20]), &["a", "b"]), None, "it").expect("a network");
        assert_eq!(
            (net.sample_size, net.channels, net.num_class_embeds, net.null_class),
            ([28, 20], 3, Some(3), Some(2))
        );
        assert!(net.class_names == ["a", "b"] && net.problems().is_empty());
        let net = suitable_net(traits(Sides::Fitted(None), &[]), None, "it").expect("a network");
        assert_eq!((net.sample_size, net.num_class_embeds, net.null_class), ([32, 32], None, None));
        for (common, expected) in [([24, 16], [24, 16]), ([64, 64], [32, 32]), ([30, 28], [32, 32])] {
            let net = suitable_net(traits(Sides::Fitted(Some(common)), &[]), None, "it").expect("a network");
            assert_eq!(net.sample_size, expected, "{common:?}");
        }
    }

    #[test]
    fn sizes_are_those_that_the_blocks_can_halve() {
        let odd = || traits(Sides::Fixed([30, 28]), &[]);
        let error = suitable_net(odd(), None, "it").expect_err("30 is no multiple of 4").to_string();
        assert!(
            error.starts_with("it has 30×28 images, a new network of 3 blocks takes multiples of 4: ask for"),
            "{error}"
        );
        let asked = json!({ "block_out_channels": [8, 8] });
        assert_eq!(suitable_net(odd(), Some(&asked), "it").expect("two blocks").sample_size, [30, 28]);
        let asked = json!({ "sample_size": 32 });
        assert!(suitable_net(odd(), Some(&asked), "it").is_ok(), "another size is asked for");
    }

    #[test]
    fn a_label_that_learns_nothing_goes_or_is_refused() {
        let mut recipe = Recipe::new(suitable_net(traits(Sides::Fitted(None), &["a"]), None, "it").expect("a network"));
        let none = Map::new();
        assert!(!recipe.has_idle_null_class(&none).expect("labels are dropped"));
        recipe.options.label_dropout = 0.0;
        assert!(recipe.has_idle_null_class(&none).expect("nobody asked for it"));
        for key in ["_null_class", "num_class_embeds"] {
            let asked = Map::from_iter([("net".to_owned(), json!({ key: 1 }))]);
            let error = recipe.has_idle_null_class(&asked).expect_err("it was asked for").to_string();
            assert!(error.contains("here 1) would learn nothing"), "{error}");
        }
        let without = recipe.without_null_class();
        assert_eq!((without.net.num_class_embeds, without.net.null_class), (Some(1), None));
        assert!(!without.has_idle_null_class(&none).expect("it is gone"));
    }

    #[test]
    fn names_belong_to_data() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let net = UnetConfig { class_names: names(&["cat", "dog"]), ..UnetConfig::digits() };
        assert_eq!(continued_names(&net, Some(names(&["x"])), || true), Some(names(&["x"])));
        assert_eq!(continued_names(&net, None, || true), Some(net.class_names.clone()));
        assert_eq!(continued_names(&net, None, || false), None);
        let digits = UnetConfig { class_names: names(&["0", "1"]), ..net };
        assert_eq!(continued_names(&digits, None, || false), Some(names(&["0", "1"])));
    }
}
