//! `k3s plugin`: inspects, checks and builds components.

mod build;
mod check;
mod inspect;
mod list;
mod new;
mod open;

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::refuse;

const USAGE: &str = "k3s plugin: the batteries as WebAssembly components

usage: k3s plugin COMMAND

  list [--bundled]        What runs, with health (needs the cluster), or what this executable contains
  inspect REF             What a component is: kind, contract, imports, grants it needs, size, digest
  check REF [--config FILE]
                          Run the contract suite of its kind against it; a failed case fails the command
  new KIND DIR            Write a plugin to start from, with the SDK beside it
                          (KIND: datastore, cni, ingress, load-balancer, storage)
  build [DIR] [-o FILE]   Build a Rust plugin and make a component of it; DIR may be a core .wasm file

REF is a bundled name (sqlite, flannel), a file, or oci://HOST/REPOSITORY@sha256:HEX.
`docs/plugins.md` walks through writing one.
";

pub(crate) fn run(words: &[String]) -> ExitCode {
    let (command, rest) = words
        .split_first()
        .map_or(("help", &[][..]), |(c, rest)| (c.as_str(), rest));
    let outcome = match command {
        "list" => return list::run(rest),
        "inspect" => inspect::run(rest),
        "check" => check::run(rest),
        "new" => new::run(rest),
        "build" => build::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => {
            return refuse(&format!(
                "unknown command `plugin {other}`; see `k3s plugin help`"
            ));
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("plugin {command}: {error:#}")),
    }
}

/// The one argument of a command.
fn one<'a>(words: &'a [String], usage: &str) -> Result<&'a str> {
    match words {
        [one] if !one.starts_with('-') => Ok(one),
        _ => bail!("usage: k3s plugin {usage}"),
    }
}
