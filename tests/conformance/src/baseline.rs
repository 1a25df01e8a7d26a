//! The list of specs that passed once and must not fail again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Outcome, Specs};

/// Names of specs.
#[derive(Debug)]
pub(crate) struct Baseline(BTreeSet<String>);

/// How a run differs from the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Listed specs that failed or skipped themselves.
    pub(crate) broken: Vec<String>,
    /// Listed names that are no spec of the suite.
    pub(crate) unknown: Vec<String>,
    /// Specs that passed and are not listed.
    pub(crate) new: Vec<String>,
}

impl Comparison {
    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty() && self.unknown.is_empty()
    }
}

impl Baseline {
    /// Reads a file with one name a line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(Self(lines.map(str::to_owned).collect()))
    }

    pub(crate) fn compare(&self, specs: &Specs) -> Comparison {
        let mut comparison = Comparison::default();
        for (name, outcome) in specs.selected() {
            let is_listed = self.0.contains(name);
            match outcome {
                Outcome::Passed if !is_listed => comparison.new.push(name.to_owned()),
                Outcome::Failed(_) | Outcome::Skipped(_) if is_listed => {
                    comparison.broken.push(name.to_owned());
                }
                _ => {}
            }
        }
        let unknown = self.0.iter().filter(|name| !specs.0.contains_key(*name));
        comparison.unknown = unknown.cloned().collect();
        comparison
    }

    /// Writes the list with more names; none is ever taken away.
    pub(crate) fn accept(&self, new: &[String], path: &Path) -> Result<()> {
        let mut all = self.0.clone();
        all.extend(new.iter().cloned());
        let text: String = all.iter().map(|name| format!("{name}\n")).collect();
        fs::write(path, text).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: &str = include_str!("../passing.txt");
    const QUICK: &str = include_str!("../quick.txt");

    fn specs(outcomes: &[(&str, Option<Outcome>)]) -> Specs {
        let owned = outcomes
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), outcome.clone()));
        Specs(owned.collect())
    }

    fn list(names: &[&str]) -> Baseline {
        Baseline(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_listed_spec_that_did_not_pass_is_named() {
        let failed = Some(Outcome::Failed("x".into()));
        let skipped = Some(Outcome::Skipped("x".into()));
        let specs = specs(&[
            ("good", Some(Outcome::Passed)),
            ("failed", failed.clone()),
            ("skipped", skipped.clone()),
            ("not selected", None),
            ("failed as before", failed),
            ("skipped as before", skipped),
        ]);
        let comparison = list(&["good", "failed", "skipped", "not selected"]).compare(&specs);
        assert_eq!(comparison.broken, ["failed", "skipped"]);
        assert!(comparison.unknown.is_empty() && comparison.new.is_empty());
        assert!(!comparison.is_good());
    }

    #[test]
    fn a_spec_that_passes_for_the_first_time_is_reported_and_harms_nothing() {
        let specs = specs(&[("new", Some(Outcome::Passed)), ("old", None)]);
        let comparison = list(&["old"]).compare(&specs);
        assert_eq!(comparison.new, ["new"]);
        assert!(comparison.is_good());
    }

    #[test]
    fn a_listed_name_that_is_no_spec_is_named() {
        let comparison = list(&["renamed"]).compare(&specs(&[("other", None)]));
        assert_eq!(comparison.unknown, ["renamed"]);
        assert!(!comparison.is_good());
    }

    #[test]
    fn accepting_adds_in_order_and_takes_nothing_away() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        list(&["c", "a"]).accept(&["b".into(), "a".into()], file.path())?;
        assert_eq!(fs::read_to_string(file.path())?, "a\nb\nc\n");
        Ok(())
    }

    #[test]
    fn the_lists_are_sorted_and_name_each_spec_once() {
        for text in [PASSING, QUICK] {
            let lines: Vec<&str> = text.lines().collect();
            let sorted: BTreeSet<&str> = lines.iter().copied().collect();
            assert_eq!(lines, sorted.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_quick_selection_is_of_specs_that_passed() {
        let passing: BTreeSet<&str> = PASSING.lines().collect();
        let others: Vec<&str> = QUICK
            .lines()
            .filter(|name| !passing.contains(name))
            .collect();
        assert!(others.is_empty(), "{others:#?}");
    }
}
