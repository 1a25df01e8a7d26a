//! Behaviour through the real binary: what the tests in `tests/` share.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

pub mod fixtures;
pub mod guests;
pub mod swap;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_harness::{Cluster, ClusterOptions, busybox, http_server};
use serde_json::Value;

/// Long enough for a loaded two-core machine, short enough to see a hang.
pub const SOON: Duration = Duration::from_secs(60);

/// The image of shell pods.
pub const SHELL: &str = "docker.io/library/shell:1";
/// The HTTP server in two versions.
pub const WEB_1: &str = "docker.io/library/web:1";
/// The second version.
pub const WEB_2: &str = "docker.io/library/web:2";

/// A cluster with the shell image and both versions of the HTTP server delivered as archives.
///
/// # Errors
/// When it does not become ready.
pub fn cluster() -> Result<Cluster> {
    let images = vec![
        busybox(SHELL)?,
        http_server(WEB_1, "one")?,
        http_server(WEB_2, "two")?,
    ];
    Cluster::start_with(ClusterOptions {
        images,
        ..ClusterOptions::default()
    })
}

/// A Deployment of the HTTP server with a Service in front.
#[must_use]
pub fn web(name: &str, replicas: u32, image: &str) -> String {
    fixture!("web", NAME = name, REPLICAS = replicas, IMAGE = image)
}

/// A pod that sleeps, to run commands in.
#[must_use]
pub fn shell(name: &str) -> String {
    fixture!("shell", NAME = name, IMAGE = SHELL)
}

/// Waits until a pod is Ready.
///
/// # Errors
/// With the pod's state when it does not become so.
pub fn wait_for_pod(cluster: &Cluster, name: &str) -> Result<Value> {
    cluster.wait_for(&format!("pod {name} is Ready"), SOON, || {
        let pod = cluster.get(&["pod", name])?;
        if condition(&pod, "Ready") {
            Ok(pod)
        } else {
            bail!("{}", pod["status"])
        }
    })
}

/// Whether an object's condition is True.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    conditions
        .filter(|c| c["type"] == kind)
        .any(|c| c["status"] == "True")
}

/// Runs a shell line in a pod.
///
/// # Errors
/// When the line fails.
pub fn exec(cluster: &Cluster, pod: &str, line: &str) -> Result<String> {
    cluster
        .kubectl(&["exec", pod, "--", "sh", "-c", line])?
        .ok()
}

/// Calls a URL from a pod until every one of `expected` servers has answered.
///
/// # Errors
/// When some never answer.
pub fn answered_by(
    cluster: &Cluster,
    pod: &str,
    url: &str,
    expected: usize,
) -> Result<Vec<String>> {
    let line = format!(
        "for i in $(seq 40); do /usr/bin/wget -q -T 2 -O - {url} || exit 1; done | sort -u"
    );
    cluster.wait_for(
        &format!("{url} is answered by {expected} servers"),
        SOON,
        || {
            let answers: Vec<String> = exec(cluster, pod, &line)?
                .lines()
                .map(str::to_owned)
                .collect();
            ensure!(answers.len() == expected, "answered by {answers:?}");
            Ok(answers)
        },
    )
}
