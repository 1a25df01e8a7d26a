//! `cargo xtask run`: from a fresh checkout to a Ready node.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo, step, target_dir};

/// How long a node may take to become Ready before we say so.
const READY_WITHIN: Duration = Duration::from_secs(120);

pub(crate) fn run(flags: &[String]) -> Result<ExitCode> {
    setup::for_build()?;
    // With the packages and so the features of `cargo xtask test`: what is built here serves there too.
    step("build k3s and its components", || {
        cargo(&["build", "--workspace", "--bins"])
    })?;
    let binary = target_dir()?.join("debug/k3s");
    println!("==> start {} server {}", binary.display(), flags.join(" "));
    let start = Instant::now();
    let mut server = Command::new(&binary)
        .arg("server")
        .args(flags)
        .stderr(Stdio::piped())
        .spawn()
        .context("start k3s")?;
    let log = server.stderr.take().context("the server's log")?;
    let echo = std::thread::spawn(move || show_log(BufReader::new(log), start));
    let kubeconfig = wait_for_ready(&binary, flags, &mut server, start)?;
    if let Some(kubeconfig) = kubeconfig {
        println!(
            "==> kubeconfig: {kubeconfig}   (stop with Ctrl-C; `{} killall` removes pods that outlive the server)",
            binary.display()
        );
    }
    let status = server.wait()?;
    let _ = echo.join();
    Ok(status
        .code()
        .and_then(|c| u8::try_from(c).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Prints the timeline and whatever needs attention; the rest of the log stays in the log.
fn show_log(log: impl BufRead, start: Instant) {
    for line in log.lines().map_while(Result::ok) {
        if let Some(component) = line
            .split("component=")
            .nth(1)
            .filter(|_| line.contains("k3s::timeline"))
        {
            let name = component
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .trim_matches('"');
            println!("    {:>6} ms  {name}", start.elapsed().as_millis());
        } else if line.contains("WARN") || line.contains("ERROR") || !line.contains("INFO") {
            eprintln!("{line}");
        }
    }
}

/// Waits for the node's Ready line and prints it; `None` where the server runs no node.
fn wait_for_ready(
    binary: &std::path::Path,
    flags: &[String],
    server: &mut Child,
    start: Instant,
) -> Result<Option<String>> {
    let value = |name: &str| flag_value(flags, name);
    let kubeconfig =
        value("write-kubeconfig").unwrap_or_else(|| "/etc/rancher/k3s/k3s.yaml".into());
    if flags.iter().any(|f| f == "--disable-agent") {
        return Ok(Some(kubeconfig));
    }
    while start.elapsed() < READY_WITHIN {
        if let Some(status) = server.try_wait()? {
            bail!("the server ended: {status}");
        }
        let mut get = Command::new(binary);
        get.args([
            "kubectl",
            "--kubeconfig",
            &kubeconfig,
            "get",
            "nodes",
            "--no-headers",
        ])
        .stderr(Stdio::null());
        let output = get.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(line) = text
            .lines()
            .find(|l| l.split_whitespace().nth(1) == Some("Ready"))
        {
            println!("    {:>6} ms  node: {line}", start.elapsed().as_millis());
            return Ok(Some(kubeconfig));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("the node is not Ready after {READY_WITHIN:?}; the server keeps running");
    Ok(None)
}

fn flag_value(flags: &[String], name: &str) -> Option<String> {
    let long = format!("--{name}");
    flags
        .iter()
        .enumerate()
        .find_map(|(i, flag)| match flag.strip_prefix(&long) {
            Some("") => flags.get(i + 1).cloned(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        })
}
