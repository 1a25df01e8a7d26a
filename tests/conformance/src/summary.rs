//! What a run says at its end.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::baseline::Comparison;
use crate::report::{Outcome, Specs};

/// Prints the table by SIG, failed specs, and the differences from the list.
pub(crate) fn print(specs: &Specs, comparison: &Comparison) {
    println!("{}", text(specs, comparison));
}

#[derive(Clone, Copy, Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

fn text(specs: &Specs, comparison: &Comparison) -> String {
    let mut text = failures(specs);
    text += &table(specs);
    for (heading, names) in [
        ("passed and not listed in passing.txt", &comparison.new),
        ("listed in passing.txt, but no spec", &comparison.unknown),
        (
            "listed in passing.txt, but did not pass",
            &comparison.broken,
        ),
    ] {
        if !names.is_empty() {
            let _ = writeln!(text, "\n{heading}: {}", names.len());
            for name in names {
                let _ = writeln!(text, "  {name}");
            }
        }
    }
    text
}

fn failures(specs: &Specs) -> String {
    let mut text = String::new();
    for (name, outcome) in specs.selected() {
        if let Outcome::Failed(reason) = outcome {
            let _ = writeln!(text, "FAILED {name}\n       {reason}");
        }
    }
    text
}

fn table(specs: &Specs) -> String {
    let mut sigs: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut all = Counts::default();
    for (name, outcome) in specs.selected() {
        let counts = sigs.entry(sig(name)).or_default();
        for counts in [counts, &mut all] {
            *match outcome {
                Outcome::Passed => &mut counts.passed,
                Outcome::Failed(_) => &mut counts.failed,
                Outcome::Skipped(_) => &mut counts.skipped,
            } += 1;
        }
    }
    let mut text = row("SIG", &["passed", "failed", "skipped"]);
    for (sig, counts) in sigs.into_iter().chain([("all", all)]) {
        let counts = [counts.passed, counts.failed, counts.skipped].map(|count| count.to_string());
        text += &row(sig, &counts);
    }
    text
}

fn row(first: &str, rest: &[impl AsRef<str>; 3]) -> String {
    let [passed, failed, skipped] = rest.each_ref().map(AsRef::as_ref);
    format!("{first:<22} {passed:>7} {failed:>7} {skipped:>7}\n")
}

/// `sig-node` of `[sig-node] Pods …`.
fn sig(name: &str) -> &str {
    name.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or("none", |(sig, _)| sig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_by_sig_and_names_what_failed_and_differs() {
        let specs = Specs(
            [
                ("[sig-node] Pods a", Some(Outcome::Passed)),
                ("[sig-node] Pods b", Some(Outcome::Failed("no".into()))),
                ("[sig-apps] Job", Some(Outcome::Skipped("why".into()))),
                ("[sig-apps] ReplicaSet", None),
                ("without", Some(Outcome::Passed)),
            ]
            .map(|(name, outcome)| (name.to_owned(), outcome))
            .into(),
        );
        let comparison = Comparison {
            broken: vec!["[sig-node] Pods b".into()],
            unknown: Vec::new(),
            new: vec!["without".into()],
        };
        assert_eq!(
            text(&specs, &comparison),
            "FAILED [sig-node] Pods b
       no
SIG                     passed  failed skipped
none                         1       0       0
sig-apps                     0       0       1
sig-node                     1       1       0
all                          2       1       1

passed and not listed in passing.txt: 1
  without

listed in passing.txt, but did not pass: 1
  [sig-node] Pods b
"
        );
    }
}
