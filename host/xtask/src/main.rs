//! The project's two commands, and what they stand on: `cargo xtask run` starts a cluster from a
//! fresh checkout, `cargo xtask test` proves everything.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

mod conformance;
mod differential;
mod fuzz;
mod gen_api;
mod run;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  run [-- SERVER FLAGS]   install what is missing, build, start `k3s server`
  test [-- FILTER]        install what tests need, then every check and test (FILTER: only tests whose name contains it)
  conformance [OPTIONS]   run upstream's conformance suite (--help prints the options)
  bench [-- WHICH]        build optimised and print the README's figures
  soak [--minutes N] [--seed N]
                          build optimised, use a cluster at random with kills of its server, and fail on a leak
  differential [OPTIONS]  compare the API with upstream's kube-apiserver (--help lists the options; needs Go)
  fuzz [TARGET] [--seconds N] [--jobs N]
                          run the fuzz targets of tests/fuzz under libFuzzer; stop at the first failure
  setup                   only install what building and testing need
  fix                     format the sources
  gen-api [FACTS]         regenerate the tables of built-in kinds, from a folder of facts if one is given
  gen-zeros               read Kubernetes' Go structs for what becomes of zero values; needs Go, and gen-api afterwards
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = words
        .split_first()
        .map_or(("help", &[][..]), |(c, rest)| (c.as_str(), rest));
    let rest = if rest.first().is_some_and(|w| w == "--") {
        rest.get(1..).unwrap_or_default()
    } else {
        rest
    };
    match command {
        "run" => return run::run(rest),
        "test" => test::test(rest)?,
        "conformance" => conformance::run_suite(rest)?,
        "bench" => test::bench(rest)?,
        "soak" => test::soak(rest)?,
        "differential" => differential::compare(rest)?,
        "fuzz" => fuzz::fuzz(rest)?,
        "setup" => setup::for_tests()?,
        "gen-api" => match rest.first() {
            Some(facts) => gen_api::generate(facts.as_ref(), "host/api".as_ref())?,
            None => gen_api::write_tables("host/api".as_ref())?,
        },
        "gen-zeros" => gen_api::generate_zeros(
            "host/api".as_ref(),
            &shell::root().join("tests/differential/twin"),
        )?,
        "fix" => shell::cargo(&["fmt", "--all"])?,
        "help" | "--help" | "-h" => print!("{USAGE}"),
        other => bail!("unknown command {other:?}\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}
