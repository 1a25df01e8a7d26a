//! `k3s plugin check`: the contract suite of a component's kind, on fakes of the host's side.

use std::path::Path;

use anyhow::{Context, Result, bail};
use k3s_plugin_check::{Case, Tried};
use k3s_plugin_host::Grants;
use serde_json::{Map, Value};

use super::open::{Opened, OwnHost, runtime};

pub(super) fn run(words: &[String]) -> Result<()> {
    let (reference, settings) = match words {
        [one] if !one.starts_with('-') => (one, Map::new()),
        [one, flag, file] | [flag, file, one] if flag == "--config" => {
            (one, read(Path::new(file))?)
        }
        _ => bail!("usage: k3s plugin check REF [--config FILE]"),
    };
    let opened = Opened::read(reference)?;
    let contract = opened.contract()?;
    // Whether the operator will grant it is another question.
    let own = OwnHost::new()?;
    let host = own.host.granting(Grants { wasi: true });
    let tried = Tried {
        host: &host,
        source: opened.source(),
        settings: &settings,
    };
    let (kind, runtime) = (contract.kind, runtime()?);
    // The datastores' suite is the store's own, whose cases fail by panicking; what they say is printed below.
    std::panic::set_hook(Box::new(|_| {}));
    let cases = runtime.block_on(k3s_plugin_check::run(kind, tried))?;
    let failed = cases.iter().filter(|case| case.outcome.is_err()).count();
    cases.iter().for_each(print);
    match failed {
        0 => {
            println!(
                "{}: keeps the contract of {kind} plugins ({} cases)",
                opened.name,
                cases.len()
            );
            Ok(())
        }
        failed => bail!("{}: {failed} of {} cases failed", opened.name, cases.len()),
    }
}

/// The plugin's settings, as the server takes them with `config=FILE`.
fn read(file: &Path) -> Result<Map<String, Value>> {
    let what = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(what)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: not a JSON object", what()))
}

fn print(case: &Case) {
    match &case.outcome {
        Ok(()) => println!("ok      {}", case.name),
        Err(why) => println!("FAILED  {}: {why}", case.name),
    }
}
