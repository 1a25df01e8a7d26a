//! `k3s plugin check`: the contract suite of a component's kind, on fakes of the host's side.

use anyhow::{Result, bail};
use k3s_adapters::check::{self, Case};
use k3s_plugin_host::Grants;

use super::one;
use super::open::{Opened, OwnHost, runtime};

pub(super) fn run(words: &[String]) -> Result<()> {
    let opened = Opened::read(one(words, "check REF")?)?;
    let contract = opened.contract()?;
    // Whether the operator will grant it is another question.
    let own = OwnHost::new()?;
    let host = own.host.granting(Grants { wasi: true });
    let (source, kind) = (opened.source(), contract.kind);
    let cases = runtime()?.block_on(check::run(&host, kind, source))?;
    let failed = cases.iter().filter(|case| case.outcome.is_err()).count();
    cases.iter().for_each(print);
    match failed {
        0 => {
            println!("{}: keeps the contract of {kind} plugins ({} cases)", opened.name, cases.len());
            Ok(())
        }
        failed => bail!("{}: {failed} of {} cases failed", opened.name, cases.len()),
    }
}

fn print(case: &Case) {
    match &case.outcome {
        Ok(()) => println!("ok      {}", case.name),
        Err(why) => println!("FAILED  {}: {why}", case.name),
    }
}
