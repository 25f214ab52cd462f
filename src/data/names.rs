//! What the labels of a data set are called, and which of a model's classes they are.
//!
//! Where both have names, names decide: a label without pictures is no class of a network that was made for the data, so that its other
//! classes may have other numbers. Else a label is the number of a class.

use super::{DataError, Dataset};
use unicode_normalization::UnicodeNormalization;

/// Labels are bytes.
const LABELS: usize = 256;

/// Whether two names are the same text, however their accents are written (NFC or NFD).
pub fn same_name(a: &str, b: &str) -> bool {
    a.nfc().eq(b.nfc())
}

/// The names 0, 1, … of labels that have no others.
pub fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|label| label.to_string()).collect()
}

/// The names in a text, one a line, which errors call `file`.
///
/// # Errors
/// Two classes of one name.
pub fn parse_names(text: &str, file: &str) -> Result<Vec<String>, DataError> {
    // Some editors begin a file with a mark.
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(str::to_owned).collect();
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, name)) => Err(DataError::SameName { file: file.to_owned(), name: name.clone() }),
        None => Ok(names),
    }
}

/// Whether all of a model's classes, of which there are some, go by one of these names.
pub fn are_among(classes: &[&str], names: &[String]) -> bool {
    !classes.is_empty() && classes.iter().all(|class| names.iter().any(|name| same_name(name, class)))
}

/// The classes of a new network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedNames {
    /// The names of the labels that there are pictures of.
    pub names: Vec<String>,
    /// The others, in words.
    pub unused: Vec<String>,
}

impl Dataset {
    /// Which labels there are pictures of.
    pub fn has_label(&self) -> [bool; LABELS] {
        let mut there = [false; LABELS];
        self.labels.iter().for_each(|&label| there[usize::from(label)] = true);
        there
    }

    /// One more than the largest label.
    pub fn label_count(&self) -> usize {
        self.labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
    }

    /// Whether `names` are enough for all labels, and at most `classes`; errors call them `file`.
    ///
    /// # Errors
    /// Fewer or more.
    pub fn check_names(&self, names: &[String], classes: usize, file: &str) -> Result<(), DataError> {
        let (found, labelled) = (names.len(), self.label_count());
        if (labelled..=classes).contains(&found) {
            return Ok(());
        }
        let expected = if found < labelled { labelled } else { classes };
        Err(DataError::Names { file: file.to_owned(), found, expected })
    }

    /// The classes of a new network for these pictures, out of the names of all labels, or their numbers: those with pictures. EMNIST's
    /// letters are labelled from 1, and nobody should be offered a class 0 of which the network has seen nothing.
    pub fn used_names(&self, names: Option<Vec<String>>) -> UsedNames {
        let names = names.unwrap_or_else(|| numbers(self.label_count()));
        let there = self.has_label();
        let is_used = |label: usize| there.get(label).copied().unwrap_or(false);
        let (used, unused): (Vec<_>, Vec<_>) = names.into_iter().enumerate().partition(|(label, _)| is_used(*label));
        let word = |(label, name): (usize, String)| {
            if name == label.to_string() { name } else { format!("{label} ({name})") }
        };
        UsedNames {
            names: used.into_iter().map(|(_, name)| name).collect(),
            unused: unused.into_iter().map(word).collect(),
        }
    }

    /// Numbers the labels, which are called `names`, as `classes` are; errors call the data `file`.
    ///
    /// # Errors
    /// A label whose name is no class.
    pub fn renumber(&mut self, names: &[String], classes: &[String], file: &str) -> Result<(), DataError> {
        let class = |name: &String| classes.iter().position(|class| same_name(class, name));
        let numbers: Vec<Option<usize>> = names.iter().map(class).collect();
        for (index, label) in self.labels.iter_mut().enumerate() {
            let unknown =
                || DataError::UnknownLabel { file: file.to_owned(), index, found: *label, classes: classes.to_vec() };
            let number = numbers.get(usize::from(*label)).copied().flatten().ok_or_else(unknown)?;
            let large =
                |_| DataError::LargeLabel { file: file.to_owned(), name: classes[number].clone(), label: number };
            *label = u8::try_from(number).map_err(large)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[u8]) -> Dataset {
        Dataset { images: labels.to_vec(), labels: labels.to_vec(), height: 1, width: 1, channels: 1 }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn labels_without_pictures_are_no_classes() {
        let data = of(&[3, 1, 3]);
        assert_eq!(data.label_count(), 4);
        let used = data.used_names(None);
        assert_eq!((used.names, used.unused), (names(&["1", "3"]), names(&["0", "2"])));
        let used = data.used_names(Some(names(&["a", "b", "c", "d", "e"])));
        assert_eq!((used.names, used.unused), (names(&["b", "d"]), names(&["0 (a)", "2 (c)", "4 (e)"])));
        let count = |n: usize| data.check_names(&numbers(n), 5, "it").map_err(|error| error.to_string());
        assert!(count(4).is_ok() && count(5).is_ok());
        assert_eq!(count(3).unwrap_err(), "it has 3 names for 4 classes, expected one a line");
        assert_eq!(count(6).unwrap_err(), "it has 6 names for 5 classes, expected one a line");
    }

    #[test]
    fn names_decide_which_class_a_label_is() {
        let mut data = of(&[2, 0, 2]);
        data.renumber(&names(&["zero", "one", "two"]), &names(&["two", "zero"]), "it").expect("known names");
        assert_eq!(data.labels, [0, 1, 0]);
        let error = of(&[2, 1]).renumber(&names(&["a", "b", "c"]), &names(&["c"]), "it").unwrap_err().to_string();
        assert!(error.contains("label 1 at index 1"), "{error}");
        let error = of(&[0]).renumber(&names(&["299"]), &numbers(300), "it").unwrap_err().to_string();
        assert_eq!(error, "it has pictures of the model's class 299, whose label is 299: data have labels up to 255");
        assert!(of(&[3]).renumber(&names(&["a"]), &names(&["a"]), "it").is_err());
        assert!(are_among(&["é"], &names(&["a", "e\u{301}"])), "one text in two writings");
        assert!(!are_among(&[], &names(&["a"])) && !are_among(&["a", "b"], &names(&["a"])));
    }

    #[test]
    fn a_text_names_a_class_a_line() {
        assert_eq!(parse_names("\u{feff} a b \n\nc\r\n", "it").expect("names"), ["a b", "c"]);
        assert_eq!(
            parse_names("a\nb\na", "it").unwrap_err().to_string(),
            "it calls two classes \"a\", expected a name for each"
        );
    }
}
