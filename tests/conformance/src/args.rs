//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use k3s_harness::DatabaseKind;

/// What the command line offers.
pub const USAGE: &str = "usage: cargo xtask conformance [OPTIONS]

  --focus RE          only conformance specs whose name matches the regular expression; may be repeated
  --skip RE           leave out specs whose name matches; may be repeated
  --quick             only the selection of tests/conformance/quick.txt
  --procs N           processes for specs that run beside others (default 4)
  --datastore WHICH   sqlite (default), postgres or mysql: a server of its own in the cluster's corner
  --nodes N           nodes of the cluster (default 1)
  --json              let the suite speak JSON with the API instead of protobuf
  --accept            add specs that passed to tests/conformance/passing.txt
  --results FOLDER    where reports and logs are put (default: a folder of the cache)
";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Regular expressions, as ginkgo takes them.
    pub(crate) focus: Vec<String>,
    pub(crate) skip: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) procs: u16,
    /// `None` for SQLite.
    pub(crate) database: Option<DatabaseKind>,
    pub(crate) json: bool,
    pub(crate) accept: bool,
    pub(crate) results: PathBuf,
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// When one is unknown or has no value, or asks for what the product cannot do.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            focus: Vec::new(),
            skip: Vec::new(),
            quick: false,
            procs: 4,
            database: None,
            json: false,
            accept: false,
            results: crate::cache::Cache::root()?.join("results"),
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if options.switch(name) {
                ensure!(value.is_none(), "{name} takes no value");
                continue;
            }
            let value = || {
                value
                    .or_else(|| rest.next().cloned())
                    .with_context(|| format!("{name} needs a value"))
            };
            options.set(name, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn switch(&mut self, name: &str) -> bool {
        let field = match name {
            "--quick" => &mut self.quick,
            "--json" => &mut self.json,
            "--accept" => &mut self.accept,
            _ => return false,
        };
        *field = true;
        true
    }

    fn set(&mut self, name: &str, value: impl FnOnce() -> Result<String>) -> Result<()> {
        match name {
            "--focus" => self.focus.push(value()?),
            "--skip" => self.skip.push(value()?),
            "--procs" => self.procs = number(name, &value()?)?,
            "--datastore" => self.database = datastore(&value()?)?,
            "--nodes" => nodes(number(name, &value()?)?)?,
            "--results" => self.results = std::path::absolute(value()?)?,
            other => bail!("unknown option {other:?}\n{USAGE}"),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let is_default = self.database.is_none() && !self.json;
        ensure!(
            !self.accept || is_default,
            "--accept goes with the defaults only: the list is about protobuf and SQLite"
        );
        ensure!(
            !self.quick || self.focus.is_empty(),
            "--quick is a selection of its own and takes no --focus"
        );
        Ok(())
    }
}

fn number(name: &str, value: &str) -> Result<u16> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("{name} {value:?}: not a number above 0"),
    }
}

fn nodes(count: u16) -> Result<()> {
    ensure!(
        count == 1,
        "--nodes {count}: the server does not let agents join yet, so a cluster has one node"
    );
    Ok(())
}

fn datastore(value: &str) -> Result<Option<DatabaseKind>> {
    match value {
        "sqlite" => Ok(None),
        "postgres" => Ok(Some(DatabaseKind::Postgres)),
        "mysql" => Ok(Some(DatabaseKind::MariaDb)),
        "etcd" | "nats" => bail!("--datastore {value}: the server does not support it yet"),
        other => bail!("--datastore {other:?}: expected sqlite, postgres or mysql"),
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
    fn values_stand_after_an_equals_sign_or_as_the_next_word() -> Result<()> {
        let options = parse("--focus=a.b --focus c --procs 2 --datastore=postgres --json")?;
        assert_eq!(options.focus, ["a.b", "c"]);
        assert_eq!(options.procs, 2);
        assert_eq!(options.database, Some(DatabaseKind::Postgres));
        assert!(options.json && !options.quick);
        Ok(())
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_one_sentence() {
        for (line, reason) in [
            ("--nodes 2", "does not let agents join"),
            ("--datastore etcd", "does not support it yet"),
            ("--datastore foo", "expected sqlite"),
            ("--procs 0", "not a number above 0"),
            ("--procs", "needs a value"),
            ("--quick=yes", "takes no value"),
            ("--quick --focus a", "takes no --focus"),
            ("--accept --json", "protobuf and SQLite"),
            ("--foo", "unknown option"),
        ] {
            let error = parse(line).err().map(|e| e.to_string());
            assert!(
                error.as_ref().is_some_and(|text| text.contains(reason)),
                "{line}: {error:?}"
            );
        }
    }
}
