//! Completion indexes in their text form: `0-2,5`.

use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i64>);

impl Indexes {
    pub(super) fn parse(text: &str) -> Self {
        let mut indexes = BTreeSet::new();
        for part in text.split(',') {
            let (from, to) = match part.split_once('-') {
                Some(ends) => ends,
                None => (part, part),
            };
            let from = from.parse::<i64>();
            let to = to.parse::<i64>();
            if let (Ok(from), Ok(to)) = (from, to) {
                indexes.extend(from..=to);
            }
        }
        Self(indexes)
    }

    pub(super) fn text(&self) -> String {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for &index in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        let mut texts = Vec::with_capacity(runs.len());
        for (from, to) in runs {
            let text = if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            };
            texts.push(text);
        }
        texts.join(",")
    }

    pub(super) fn insert(&mut self, index: i64) {
        self.0.insert(index);
    }

    pub(super) fn contains(&self, index: i64) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> i64 {
        crate::common::number::count(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shortened_and_read_back() {
        let indexes = Indexes::parse("0-2,5,7-8");
        assert_eq!(indexes.len(), 6);
        assert_eq!(indexes.text(), "0-2,5,7-8");
        let mut more = indexes.clone();
        more.insert(6);
        assert_eq!(more.text(), "0-2,5-8");
        assert!(Indexes::parse("").text().is_empty());
    }
}
