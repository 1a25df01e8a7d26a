//! What a run does, from the command line.

use anyhow::{Context, Result, bail};
use regex::Regex;

/// Requests of a run that is not told how many.
const REQUESTS: u64 = 2_000;
/// Requests of a quick run.
const QUICK: u64 = 1_000;

/// How a run is used.
pub const USAGE: &str =
    "usage: cargo xtask differential [--seed N] [--requests N] [--kind REGEX] [--case N] [--quick]

  --seed N        which cases are made (default 1)
  --requests N    how many requests are sent to each server (default 2000)
  --kind REGEX    only cases whose title matches: 'Pod', 'update Deployment'
  --case N        only this case, with both exchanges in full
  --quick         a thousand requests; faults that `faults.yaml` lists do not fail it
";

/// What a run does.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which cases are made.
    pub seed: u64,
    /// How many requests are sent to each server.
    pub requests: u64,
    /// Titles of cases.
    pub kind: Option<Regex>,
    /// One case.
    pub case: Option<u64>,
    /// A short run that known faults do not fail.
    pub quick: bool,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// On a word that means nothing.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            seed: 1,
            requests: REQUESTS,
            kind: None,
            case: None,
            quick: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word.as_str() {
                "--seed" => options.seed = value()?.parse().context("--seed")?,
                "--requests" => options.requests = value()?.parse().context("--requests")?,
                "--case" => options.case = Some(value()?.parse().context("--case")?),
                "--kind" => options.kind = Some(Regex::new(value()?).context("--kind")?),
                "--quick" => {
                    options.requests = QUICK;
                    options.quick = true;
                }
                other => bail!("unknown option {other:?}\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read() -> Result<()> {
        let options = parse("--seed 7 --requests 20000 --kind Pod --case 3")?;
        assert_eq!(
            (options.seed, options.requests, options.case),
            (7, 20_000, Some(3))
        );
        assert!(
            options
                .kind
                .is_some_and(|kind| kind.is_match("create Pod, x"))
        );
        assert_eq!(parse("--quick")?.requests, QUICK);
        Ok(())
    }

    #[test]
    fn bad_options_are_refused() {
        for line in ["--seed", "--seed x", "--kind (", "--other", "Pod"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
