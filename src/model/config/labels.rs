//! What the labels of a model mean: those that name something, and the null class.

use super::UnetConfig;

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

    /// The labels of `count` images, each of [`UnetConfig::labels`] in turn; none for a model without classes.
    pub fn labels_in_turn(&self, count: usize) -> Vec<Option<usize>> {
        let labels: Vec<usize> = self.labels().collect();
        (0..count).map(|i| labels.get(i % labels.len().max(1)).copied()).collect()
    }

    /// How many labels data may have: the null class is the model's, not the data's. For a model without classes they do
    /// not matter, and may be any byte.
    pub fn data_labels(&self) -> usize {
        self.num_class_embeds.map_or(LABELS, |_| self.classes())
    }

    /// The names of a model's classes without that of the null class.
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
        let all = UnetConfig { null_class: None, ..config.clone() };
        assert_eq!((all.classes(), all.data_names()), (3, &names[..]));
        let bare = UnetConfig { num_class_embeds: None, null_class: None, class_names: Vec::new(), ..config };
        assert_eq!((bare.classes(), bare.data_labels(), bare.labels_in_turn(2)), (0, 256, vec![None; 2]));
    }
}
