//! `--class`: which labels the images get, told by number or by name.

use super::Failure;
use crate::data::names::find_name;
use crate::model::config::UnetConfig;

/// Names that an error lists at most.
const MOST: usize = 30;

/// The class of each of `count` images: the one asked for ("none", a number or one of the model's names), or each in turn.
pub fn classes(config: &UnetConfig, asked: Option<&str>, count: usize) -> Result<Vec<Option<usize>>, Failure> {
    let rows = config.num_class_embeds.unwrap_or(0);
    let known: Vec<usize> = config.labels().collect();
    match asked {
        None => Ok(config.labels_in_turn(count)),
        Some("none") if rows > 0 && config.null_class.is_none() => {
            Err("this model has no null class, so that every image needs a class".into())
        }
        Some("none") => Ok(vec![None; count]),
        Some(text) => match find_name(&config.class_names, text, rows).filter(|label| known.contains(label)) {
            Some(label) => Ok(vec![Some(label); count]),
            None => Err(unknown(config, text, &known).into()),
        },
    }
}

fn unknown(config: &UnetConfig, text: &str, known: &[usize]) -> String {
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return "this model has no classes: leave --class out".to_owned();
    };
    let none = if config.null_class.is_some() { " or none" } else { "" };
    let mut expected = format!("--class is {text}, expected {first} to {last}{none}");
    let names = &config.class_names;
    // Numbers that are called by their numbers need no list.
    if names.iter().enumerate().any(|(label, name)| *name != label.to_string()) {
        let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
        let rest = if names.len() > MOST { ", …" } else { "" };
        expected += &format!(", or a name: {shown}{rest}");
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: [&str; 3]) -> UnetConfig {
        let class_names = names.map(str::to_owned).to_vec();
        UnetConfig { num_class_embeds: Some(4), null_class: Some(3), class_names, ..UnetConfig::digits() }
    }

    #[test]
    fn a_class_goes_by_its_number_or_its_name() {
        let clothes = of(["Coat", "coat", "Ankle boot"]);
        for (text, label) in [("0", 0), ("coat", 1), ("COAT", 0), ("ankle boot", 2), ("Ankle boot", 2)] {
            assert_eq!(classes(&clothes, Some(text), 2).unwrap(), [Some(label); 2], "{text}");
        }
        // A number is a name first.
        assert_eq!(classes(&of(["2", "1", "7"]), Some("2"), 1).unwrap(), [Some(0)]);
        assert_eq!(classes(&of(["2", "1", "7"]), Some("7"), 1).unwrap(), [Some(2)]);
        assert_eq!(classes(&of(["2", "1", "7"]), Some("0"), 1).unwrap(), [Some(0)]);
        assert_eq!(classes(&clothes, Some("none"), 1).unwrap(), [None]);
        assert_eq!(classes(&clothes, None, 4).unwrap(), [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn what_is_no_class_is_told_what_there_is() {
        let text = |config: &UnetConfig, class: &str| classes(config, Some(class), 1).unwrap_err().to_string();
        let clothes = of(["Coat", "Bag", "Shirt"]);
        assert_eq!(text(&clothes, "hat"), "--class is hat, expected 0 to 2 or none, or a name: Coat, Bag, Shirt");
        assert!(text(&clothes, "3").starts_with("--class is 3, expected 0 to 2"), "the null class is no class");
        assert_eq!(text(&of(["0", "1", "2"]), "hat"), "--class is hat, expected 0 to 2 or none");
        let plain = UnetConfig { null_class: None, ..clothes.clone() };
        assert_eq!(text(&plain, "7"), "--class is 7, expected 0 to 3, or a name: Coat, Bag, Shirt");
        assert!(text(&plain, "none").contains("no null class"));
        let bare = UnetConfig { num_class_embeds: None, null_class: None, class_names: vec![], ..clothes };
        assert!(text(&bare, "hat").contains("no classes"));
        assert_eq!(classes(&bare, Some("none"), 1).unwrap(), [None]);
    }
}
