//! Completion indexes in their text form: `0-2,5`.

use std::collections::BTreeSet;

use crate::common::number::count;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i64>);

impl Indexes {
    /// Reads indexes below `completions`; the rest has no place in the Job.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let mut indexes = BTreeSet::new();
        for part in text.split(',') {
            let (from, to) = match part.split_once('-') {
                Some(ends) => ends,
                None => (part, part),
            };
            let from = from.parse::<i64>();
            let to = to.parse::<i64>();
            if let (Ok(from), Ok(to)) = (from, to) {
                indexes.extend(from.max(0)..=to.min(completions - 1));
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
        let text = |(from, to): (i64, i64)| match to - from {
            0 => from.to_string(),
            1 => format!("{from},{to}"),
            _ => format!("{from}-{to}"),
        };
        let texts: Vec<String> = runs.into_iter().map(text).collect();
        texts.join(",")
    }

    pub(super) fn insert(&mut self, index: i64) {
        self.0.insert(index);
    }

    pub(super) fn contains(&self, index: i64) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> i64 {
        count(self.0.len())
    }

    /// How many indexes both hold.
    pub(super) fn shared(&self, other: &Self) -> i64 {
        count(self.0.intersection(&other.0).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shortened_and_read_back() {
        let indexes = Indexes::parse("0-2,5,7,8", 10);
        assert_eq!(indexes.len(), 6);
        assert_eq!(indexes.text(), "0-2,5,7,8");
        let mut more = indexes.clone();
        more.insert(6);
        assert_eq!(more.text(), "0-2,5-8");
        assert_eq!(more.shared(&Indexes::parse("1,3,6-9", 10)), 4);
        assert!(Indexes::parse("", 10).text().is_empty());
    }

    #[test]
    fn what_the_job_has_no_place_for_is_not_read() {
        let text = "0-9999999999,-3,x";
        assert_eq!(Indexes::parse(text, 2).text(), "0,1");
    }
}
