//! What the labels of a model mean: those that name something, and the null class.

use super::UnetConfig;
use std::collections::HashMap;

/// Labels of a data set are bytes.
const LABELS: usize = 256;

impl UnetConfig {
    /// The number of labels that name something: those of the class embedding without the null class.
    pub fn classes(&self) -> usize {
        self.num_class_embeds.map_or(0, |n| n - usize::from(self.null_class.is_some()))
    }

    /// These labels, in order.
    pub fn labels(&self) -> impl Iterator<Item = usize> {
        let none = self.null_class;
        (0..self.num_class_embeds.unwrap_or(0)).filter(move |&label| none != Some(label))
    }

    /// These labels with what they are called, as far as they have names.
    pub fn named_labels(&self) -> impl Iterator<Item = (usize, &str)> {
        self.labels().filter_map(|label| Some((label, self.class_names.get(label)?.as_str())))
    }

    /// What is wrong with these names: a person could not tell two classes apart, or not name one.
    pub(super) fn name_problems(&self) -> Vec<String> {
        let mut first = HashMap::new();
        let problem = |(label, name)| match str::trim(name) {
            "" => Some(format!("`_class_names` calls label {label} {name:?}, expected a name")),
            _ => first.insert(name, label).map(|other| {
                format!("`_class_names` calls labels {other} and {label} both {name:?}, expected a name for each")
            }),
        };
        self.named_labels().filter_map(problem).collect()
    }

    /// The labels of `count` images, each of [`UnetConfig::labels`] in turn; none for a model without classes.
    pub fn labels_in_turn(&self, count: usize) -> Vec<Option<usize>> {
        let labels: Vec<usize> = self.labels().collect();
        (0..count).map(|i| labels.get(i % labels.len().max(1)).copied()).collect()
    }

    /// One more than the largest label that data may have: the null class is the model's, not the data's. For a model without
    /// classes labels do not matter, and may be any byte.
    pub fn data_labels(&self) -> usize {
        self.num_class_embeds.map_or(LABELS, |_| self.labels().last().map_or(0, |last| last + 1))
    }

    /// The names of these labels, that of a null class among them included: a name's place is its label.
    pub fn data_names(&self) -> &[String] {
        &self.class_names[..self.class_names.len().min(self.data_labels())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_that_means_none_names_nothing() {
        let names = ["a", "b", "none"].map(str::to_owned).to_vec();
        let config = UnetConfig {
            num_class_embeds: Some(3),
            null_class: Some(2),
            class_names: names.clone(),
            ..UnetConfig::digits()
        };
        assert_eq!((config.classes(), config.data_labels(), config.data_names()), (2, 2, &names[..2]));
        assert_eq!(config.labels_in_turn(3), [Some(0), Some(1), Some(0)]);
        let first = UnetConfig { null_class: Some(0), ..config.clone() };
        assert_eq!(first.labels().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((first.classes(), first.data_labels(), first.data_names()), (2, 3, &names[..]));
        let middle = UnetConfig { null_class: Some(1), ..config.clone() };
        assert_eq!((middle.data_labels(), middle.data_names()), (3, &names[..]), "label 2 is a class");
        assert_eq!(middle.named_labels().collect::<Vec<_>>(), [(0, "a"), (2, "none")]);
        let all = UnetConfig { null_class: None, ..config.clone() };
        assert_eq!((all.classes(), all.data_names()), (3, &names[..]));
        let bare = UnetConfig { num_class_embeds: None, null_class: None, class_names: Vec::new(), ..config };
        assert_eq!((bare.classes(), bare.data_labels(), bare.labels_in_turn(2)), (0, 256, vec![None; 2]));
    }

    #[test]
    fn every_class_has_a_name_of_its_own_or_none_at_all() {
        let of = |names: &[&str], null_class| {
            let class_names = names.iter().map(|&name| name.to_owned()).collect();
            let net = UnetConfig { num_class_embeds: Some(5), null_class, class_names, ..UnetConfig::digits() };
            net.problems().join("; ")
        };
        assert_eq!(of(&["a", "b", "A"], None), "");
        let equal = "`_class_names` calls labels 0 and 2 both \"a\", expected a name for each";
        assert_eq!(of(&["a", "b", "a"], None), equal);
        assert_eq!(of(&["a", "b", "a"], Some(1)), equal);
        assert_eq!(of(&["a", " ", "b"], None), "`_class_names` calls label 1 \" \", expected a name");
        assert_eq!(of(&["a", "", ""], None).matches("expected a name").count(), 2);
        for null in ["", "a"] {
            assert_eq!(of(&["a", null, "b"], Some(1)), "", "nobody asks for the null class by name");
        }
    }
}
