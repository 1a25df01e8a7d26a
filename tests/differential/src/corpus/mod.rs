//! The cases: made from samples, files and the tables of kinds, each by seed and index alone.

mod delete;
pub mod edit;
mod file;
mod fixed;
mod lifecycle;
mod list;
mod patch;
mod protocol;
mod sample;
mod sites;
mod subresource;
mod values;
mod write;

use std::path::Path;

use anyhow::{Context, Result};
use k3s_base::Random;

use crate::request::Request;
use file::Document;
use sample::Sample;
use subresource::Call;
use values::{Vocabulary, below};

/// Namespace of the samples.
pub const NAMESPACE: &str = "differential";
/// Namespace in which cases make and delete objects.
pub const SCRATCH: &str = "differential-scratch";
/// Spreads neighbouring indices over the seeds (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Requests that belong together, sent one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its number, by which a run with the same seed repeats it.
    pub index: u64,
    /// What is done: `create Pod, spec.hostname = "A"`.
    pub title: String,
    /// The requests.
    pub steps: Vec<Request>,
}

/// What cases are made from.
#[derive(Debug)]
pub struct Corpus {
    samples: Vec<Sample>,
    documents: Vec<Document>,
    calls: Vec<Call>,
    vocabulary: Vocabulary,
    fixed: Vec<(String, Vec<Request>)>,
}

type Family = fn(&Corpus, &Random, u64) -> (String, Vec<Request>);

/// How often each kind of case comes, in parts of their sum.
const FAMILIES: &[(u64, Family)] = &[
    (44, write::create),
    (18, write::update),
    (12, patch::patch),
    (8, list::list),
    (4, lifecycle::lifecycle),
    (8, subresource::call),
    (3, delete::delete),
    (3, protocol::protocol),
];

impl Corpus {
    /// Reads samples and files below `dir`, the folder of this crate.
    ///
    /// # Errors
    /// When one cannot be read, or is of a kind that is not served.
    pub fn load(dir: &Path) -> Result<Self> {
        let samples = sample::load(&dir.join("kinds"))?;
        let mut vocabulary = Vocabulary::default();
        for sample in &samples {
            vocabulary.learn(&sample.sites);
        }
        let mut corpus = Self {
            documents: file::load(&dir.join("files"))?,
            calls: subresource::load(&dir.join("subresources.yaml"))?,
            samples,
            vocabulary,
            fixed: Vec::new(),
        };
        corpus.fixed = fixed::cases(&corpus);
        Ok(corpus)
    }

    /// The cases that every run begins with.
    #[must_use]
    pub fn fixed(&self) -> u64 {
        u64::try_from(self.fixed.len()).unwrap_or(u64::MAX)
    }

    /// The requests that make what the cases stand on: namespaces and one object of each sample.
    #[must_use]
    pub fn world(&self) -> Vec<Request> {
        fixed::world(self)
    }

    /// The case of an index. Below [`Corpus::fixed`] the seed has no say.
    #[must_use]
    pub fn case(&self, seed: u64, index: u64) -> Case {
        let fixed = usize::try_from(index)
            .ok()
            .and_then(|at| self.fixed.get(at));
        let (title, steps) = fixed.cloned().unwrap_or_else(|| {
            let random = Random::seeded(seed ^ index.wrapping_mul(SPREAD));
            family(&random)(self, &random, index)
        });
        Case {
            index,
            title,
            steps,
        }
    }

    /// Any sample that `wanted` takes; each kind is as likely as another.
    fn sample(&self, random: &Random, wanted: impl Fn(&Sample) -> bool) -> Result<&Sample> {
        let all: Vec<&Sample> = self.samples.iter().filter(|s| wanted(s)).collect();
        let first = all.get(below(random, all.len())).context("no sample")?;
        let same: Vec<&&Sample> = all
            .iter()
            .filter(|s| std::ptr::eq(s.kind, first.kind))
            .collect();
        Ok(same.get(below(random, same.len())).map_or(*first, |s| **s))
    }
}

fn family(random: &Random) -> Family {
    let sum = FAMILIES.iter().map(|(weight, _)| weight).sum();
    let mut left = random.below(sum);
    for (weight, family) in FAMILIES {
        if left < *weight {
            return *family;
        }
        left -= weight;
    }
    write::create
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Corpus {
        Corpus::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn a_seed_and_an_index_make_the_same_case_again() {
        let (one, other) = (corpus(), corpus());
        for index in 0..one.fixed() + 300 {
            assert_eq!(one.case(7, index), other.case(7, index));
        }
    }

    #[test]
    fn another_seed_makes_other_cases() {
        let corpus = corpus();
        let random = corpus.fixed()..corpus.fixed() + 100;
        let same = random
            .filter(|i| corpus.case(1, *i) == corpus.case(2, *i))
            .count();
        assert!(same < 5, "{same} of 100 cases are the same");
    }

    #[test]
    fn every_kind_has_a_sample() {
        let corpus = corpus();
        let missing: Vec<&str> = k3s_api::kinds()
            .iter()
            .filter(|k| k.has_verb("create") && !k.group.ends_with("k3s.io"))
            .filter(|k| !k.group.ends_with("cattle.io"))
            .filter(|k| !corpus.samples.iter().any(|s| std::ptr::eq(s.kind, *k)))
            .map(|k| k.kind)
            .collect();
        assert!(missing.is_empty(), "no sample of {missing:?}");
    }

    #[test]
    fn all_families_occur() {
        let corpus = corpus();
        let from = corpus.fixed();
        let words: std::collections::BTreeSet<String> = (from..from + 400)
            .filter_map(|i| corpus.case(3, i).title.split(' ').next().map(str::to_owned))
            .collect();
        for word in [
            "create", "update", "patch", "list", "live", "call", "delete", "ask",
        ] {
            assert!(words.contains(word), "no case of {word} in {words:?}");
        }
    }
}
