//! The API as kube and its runtime see it, a client that nobody here wrote.

use std::process::Command;

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, WEB_1, cluster, fixture, shell, wait_for_pod};
use k3s_harness::{Cluster, ClusterOptions};

/// Runs checks of the `kube-client` program inside the cluster's corner, one after the other.
fn checked(cluster: &Cluster, checks: &[&str]) -> Result<()> {
    for check in checks {
        let program = env!("CARGO_BIN_EXE_kube-client");
        let mut command: Command = cluster.corner().command(program);
        let output = command.arg(check).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{said}");
    }
    Ok(())
}

#[test]
fn kube_reads_writes_watches_and_controls() -> Result<()> {
    let cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    })?;
    let checks = ["typed", "dynamic", "watcher", "reflector", "controller"];
    checked(&cluster, &checks)
}

#[test]
fn kube_executes_commands_and_reads_logs() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&shell("shell"))?;
    cluster.apply(&fixture!("talker", IMAGE = SHELL))?;
    wait_for_pod(&cluster, "shell")?;
    cluster.apply(&fixture!("probed-pod-and-service", IMAGE = WEB_1))?;
    wait_for_pod(&cluster, "talker")?;
    wait_for_pod(&cluster, "web")?;
    checked(&cluster, &["exec", "logs", "port-forward"])
}
