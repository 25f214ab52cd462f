//! `--class`: which labels the images get, told by number or by name.

use super::{Failure, listed, shown};
use crate::data::same_name;
use crate::model::config::UnetConfig;

/// Names that an error lists at most.
const MOST: usize = 30;
/// What asks for the null class.
const NONE: &str = "none";

/// The class of each of `count` images: the one asked for ("none", a number or one of the model's names), or each in turn.
/// Of what might have meant another one a line on stderr says what was taken.
pub fn classes(config: &UnetConfig, asked: Option<&str>, count: usize) -> Result<Vec<Option<usize>>, Failure> {
    let Some(text) = asked else { return Ok(config.labels_in_turn(count)) };
    let (class, note) = meant(config, text)?;
    note.iter().for_each(|note| say!("{note}"));
    Ok(vec![class; count])
}

/// The class that is meant, and what to say where it is not the only one that could be. The one whose name is the text itself comes
/// first: names may be numbers that are not the labels, as those of EMNIST's letters, or of folders in the order 0, 1, 10, 11, 2.
/// Then "none", then the number, then the name in other capitals.
fn meant(config: &UnetConfig, text: &str) -> Result<(Option<usize>, Option<String>), String> {
    let name_of = |label: usize| config.named_labels().find(|(other, _)| *other == label).map(|(_, name)| name);
    let number = text.parse().ok().filter(|&number| config.labels().any(|label| label == number));
    if let Some((label, name)) = config.named_labels().find(|(_, name)| same_name(name, text)) {
        let note = match number {
            Some(number) if number != label => {
                let called = name_of(number).map_or(String::new(), |name| format!(", which is called {name}"));
                Some(format!(
                    "--class {text} is the class called {name}, label {label}, and not label {number}{called}"
                ))
            }
            None if text == NONE && config.null_class.is_some() => Some(format!(
                "--class {text} is the class called {name}, label {label}: pictures of no class are those of --guidance 0"
            )),
            _ => None,
        };
        return Ok((Some(label), note));
    }
    let lower = text.to_lowercase();
    let alike: Vec<_> = config.named_labels().filter(|(_, name)| same_name(&name.to_lowercase(), &lower)).collect();
    let names = |alike: &[(usize, &str)]| alike.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" or ");
    if text == NONE && (config.null_class.is_some() || config.num_class_embeds.is_none()) {
        let note = format!("--class {text} is no class, and not {}", names(&alike));
        return Ok((None, (!alike.is_empty()).then_some(note)));
    }
    if text == NONE && alike.is_empty() {
        return Err("this model has no null class, so that every image needs a class".to_owned());
    }
    if let Some(number) = number {
        let other = name_of(number).filter(|name| name.parse().is_ok_and(|other: usize| other != number));
        let note = other.map(|name| format!("--class {text} is label {number}, which is called {name}"));
        return Ok((Some(number), note));
    }
    let Some(&(label, name)) = alike.first() else { return Err(unknown(config, text)) };
    let others = names(&alike[1..]);
    let note = format!("--class {text} is the class called {name}, label {label}, and not {others}");
    Ok((Some(label), (!others.is_empty()).then_some(note)))
}

/// An error with everything that --class could be.
fn unknown(config: &UnetConfig, text: &str) -> String {
    let labels: Vec<usize> = config.labels().collect();
    if labels.is_empty() {
        return "this model has no classes: leave --class out".to_owned();
    }
    // The null class may lie between the others.
    let ranges: Vec<String> = labels
        .chunk_by(|before, label| before + 1 == *label)
        .map(|range| match range {
            [label] => label.to_string(),
            range => format!("{} to {}", range[0], range[range.len() - 1]),
        })
        .collect();
    let none = if config.null_class.is_some() { " or none" } else { "" };
    let mut expected = format!("--class is {}, expected {}{none}", shown(text), ranges.join(", "));
    // Numbers that are called by their numbers need no list.
    if config.named_labels().any(|(label, name)| name != label.to_string()) {
        let names: Vec<&str> = config.named_labels().map(|(_, name)| name).collect();
        expected += &format!(", or a name: {}", listed(&names, MOST));
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
        let blanks = "--class is hat, expected 0 to 2 or none, or a name: \" a\", \"b, c\", d";
        assert_eq!(text(&of([" a", "b, c", "d"]), "hat"), blanks);
        assert_eq!(text(&clothes, "hat"), "--class is hat, expected 0 to 2 or none, or a name: Coat, Bag, Shirt");
        assert!(text(&clothes, "3").starts_with("--class is 3, expected 0 to 2"), "the null class is no class");
        assert_eq!(text(&of(["0", "1", "2"]), ""), "--class is \"\", expected 0 to 2 or none");
        assert_eq!(text(&of(["0", "1", "2"]), "1 "), "--class is \"1 \", expected 0 to 2 or none");
        assert_eq!(text(&of(["0", "1", "2"]), "hat"), "--class is hat, expected 0 to 2 or none");
        let plain = UnetConfig { null_class: None, ..clothes.clone() };
        assert_eq!(text(&plain, "7"), "--class is 7, expected 0 to 3, or a name: Coat, Bag, Shirt");
        assert!(text(&plain, "none").contains("no null class"));
        let bare = UnetConfig { num_class_embeds: None, null_class: None, class_names: vec![], ..clothes };
        assert!(text(&bare, "hat").contains("no classes"));
        assert_eq!(classes(&bare, Some("none"), 1).unwrap(), [None]);
    }

    #[test]
    fn what_could_mean_two_classes_is_said() {
        let note = |config: &UnetConfig, text: &str| {
            let (class, note) = meant(config, text).unwrap();
            (class, note.unwrap_or_default())
        };
        // EMNIST's letters are called by numbers, the first of them 1.
        let letters = of(["1", "2", "3"]);
        for (text, label, expected) in [
            ("2", 1, "--class 2 is the class called 2, label 1, and not label 2, which is called 3"),
            ("3", 2, ""),
            ("0", 0, "--class 0 is label 0, which is called 1"),
        ] {
            assert_eq!(note(&letters, text), (Some(label), expected.to_owned()));
        }
        for (text, label) in [("0", 0), ("2", 2)] {
            assert_eq!(note(&of(["0", "1", "2"]), text), (Some(label), String::new()), "its number is its name");
        }
        let alike = "--class COAT is the class called Coat, label 0, and not coat";
        assert_eq!(note(&of(["Coat", "coat", "Bag"]), "COAT"), (Some(0), alike.to_owned()));
        let none = "--class none is the class called none, label 1: pictures of no class are those of --guidance 0";
        assert_eq!(note(&of(["a", "none", "b"]), "none"), (Some(1), none.to_owned()));
        let none = "--class none is no class, and not None";
        assert_eq!(note(&of(["a", "None", "b"]), "none"), (None, none.to_owned()));
        assert_eq!(note(&of(["a", "b", "c"]), "none"), (None, String::new()));
        assert_eq!(note(&of(["a", "None", "b"]), "None"), (Some(1), String::new()));
        let sure = UnetConfig { null_class: None, ..of(["a", "none", "b"]) };
        assert_eq!(note(&sure, "none"), (Some(1), String::new()));
        let sure = UnetConfig { null_class: None, ..of(["a", "None", "b"]) };
        assert_eq!(note(&sure, "none"), (Some(1), String::new()), "it can only be that");
    }

    #[test]
    fn a_null_class_between_the_others_is_not_offered() {
        let names = ["a", "b", "nothing", "c", "1"].map(str::to_owned).to_vec();
        let config = UnetConfig { num_class_embeds: Some(6), null_class: Some(2), class_names: names, ..of([""; 3]) };
        let text = |class: &str| meant(&config, class).unwrap_err();
        for class in ["2", "nothing"] {
            let expected = format!("--class is {class}, expected 0 to 1, 3 to 5 or none, or a name: a, b, c, 1");
            assert_eq!(text(class), expected);
        }
        assert_eq!(meant(&config, "1").unwrap().0, Some(4));
        assert_eq!(meant(&config, "5").unwrap(), (Some(5), None), "it has no name");
        let first = UnetConfig { num_class_embeds: Some(2), null_class: Some(0), class_names: vec![], ..config };
        assert_eq!(meant(&first, "0").unwrap_err(), "--class is 0, expected 1 or none");
    }
}
