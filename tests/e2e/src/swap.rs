//! Replacing batteries while everything runs, as an operator does: another choice in `config.yaml`, and SIGHUP.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use k3s_harness::Cluster;
use serde_json::Value;

use crate::SOON;

/// Chooses plugins (`KIND=REF…`; none: the bundled ones) and has the server act on it.
///
/// # Errors
/// When the file cannot be written or the signal not be sent.
pub fn choose(cluster: &Cluster, plugins: &[&str]) -> Result<()> {
    let lines: String = plugins
        .iter()
        .map(|plugin| format!("\n  - '{plugin}'"))
        .collect();
    let file = cluster.corner().dir().join("config.yaml");
    fs::write(
        &file,
        if lines.is_empty() {
            "plugin: []\n".to_owned()
        } else {
            format!("plugin:{lines}\n")
        },
    )?;
    let line = format!(
        "mkdir -p /etc/rancher/k3s && cp {} /etc/rancher/k3s/config.yaml && pkill -HUP -o -f 'k3s server'",
        file.display()
    );
    cluster.corner().sh(&line)?.ok().map(drop)
}

/// A file in the cluster's folder, for `config=`.
///
/// # Errors
/// When it cannot be written.
pub fn settings(cluster: &Cluster, name: &str, json: &Value) -> Result<PathBuf> {
    let file = cluster.corner().dir().join(format!("{name}.json"));
    fs::write(&file, json.to_string())?;
    Ok(file)
}

/// Waits for an Event about a kind's plugin.
///
/// # Errors
/// When it does not come.
pub fn told(cluster: &Cluster, kind: &str, reason: &str, part: &str) -> Result<()> {
    cluster.wait_for(
        &format!("an Event {reason} about {kind} says {part:?}"),
        SOON * 2,
        || {
            let about = format!("involvedObject.kind=Plugin,involvedObject.name={kind}");
            let events = cluster
                .kubectl(&["get", "events", "-n", "default", "--field-selector", &about])?
                .ok()?;
            ensure!(
                events
                    .lines()
                    .any(|line| line.contains(reason) && line.contains(part)),
                "{events}"
            );
            Ok(())
        },
    )
}

/// Waits until a component of this name serves as a kind.
///
/// # Errors
/// When it does not.
pub fn serves(cluster: &Cluster, kind: &str, name: &str) -> Result<()> {
    cluster.wait_for(&format!("{name} serves as {kind}"), SOON * 2, || {
        let plugin = cluster.get(&["plugin", kind])?;
        ensure!(plugin["status"]["name"] == name, "{plugin}");
        Ok(())
    })
}

/// A steady load until it is ended.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stop: PathBuf,
}

impl Load {
    /// Starts `steady-load` (the program of this crate at `program`) inside a cluster's corner: `rate` requests a
    /// second. `within` are words before the command, such as `ip netns exec NAME`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        cluster: &Cluster,
        program: &str,
        within: &[&str],
        target: [&str; 3],
        rate: u32,
    ) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let stop = cluster.corner().dir().join(format!(
            "load-{}.stop",
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let words: Vec<&str> = within
            .iter()
            .copied()
            .chain([program])
            .chain(target)
            .collect();
        let (first, rest) = words.split_first().context("no program")?;
        let mut command: Command = cluster.corner().command(first);
        command.args(rest).arg(rate.to_string()).arg(&stop);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start the load")?;
        Ok(Self { child, stop })
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn sent(&self) -> u32 {
        let sent = fs::read_to_string(self.stop.with_extension("stop.sent")).unwrap_or_default();
        sent.parse().unwrap_or_default()
    }

    /// Ends it. Gives the number of requests; not one may have failed.
    ///
    /// # Errors
    /// With what failed.
    pub fn end(mut self) -> Result<u32> {
        fs::write(&self.stop, "")?;
        let (mut said, mut failures) = (String::new(), String::new());
        std::io::Read::read_to_string(
            &mut self.child.stdout.take().context("no output")?,
            &mut said,
        )?;
        std::io::Read::read_to_string(
            &mut self.child.stderr.take().context("no output")?,
            &mut failures,
        )?;
        ensure!(
            self.child.wait()?.success(),
            "the load ended early: {failures}"
        );
        let (sent, failed) = said.trim().split_once(' ').context("two figures")?;
        let (sent, failed): (u32, u32) = (sent.parse()?, failed.parse()?);
        ensure!(
            failed == 0,
            "{failed} of {sent} requests failed:\n{failures}"
        );
        Ok(sent)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
