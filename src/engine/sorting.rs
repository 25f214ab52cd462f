//! Sorting for the plans of programs: one instance of the standard sort for all of them, since each costs the page's visitors
//! several kilobytes.

/// Sorts by two numbers; what is equal stays in order.
pub(super) fn by_key<T>(items: Vec<T>, key: impl Fn(&T) -> (usize, usize)) -> Vec<T> {
    let mut order: Vec<((usize, usize), usize)> = items.iter().map(key).zip(0..).collect();
    order.sort_unstable();
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, i)| items[i].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::by_key;

    #[test]
    fn equal_keys_stay_in_order() {
        let words = vec!["pear", "fig", "plum", "kiwi", "lime", "nut"];
        let sorted = by_key(words, |word| (word.len(), usize::from(word.starts_with('p'))));
        assert_eq!(sorted, ["fig", "nut", "kiwi", "lime", "pear", "plum"]);
    }
}
