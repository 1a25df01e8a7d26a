//! Whether memory comes back: the server's anonymous memory when fresh, at its peak, and a minute after the work.
//!
//! What was made is removed before the minute begins, Events included, so that what is left is what the server
//! keeps without need. `MALLOC_CONF` in the environment changes the allocator's settings for a comparison.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use k3s_base::Random;
use k3s_client::{Client, DeleteParams, ListParams, Patch, resources};
use k3s_harness::{Cluster, ClusterOptions, Image, LayerBuilder, LayeredImage, write_archive};
use serde_json::json;

use crate::load::client;
use crate::row;
use crate::stats::anonymous_kib;

const SERVER: &str = "k3s server";
/// After the start, for what is only needed then.
const SETTLE: Duration = Duration::from_secs(20);
/// After the work.
const REST: Duration = Duration::from_secs(60);
const SAMPLE: Duration = Duration::from_millis(100);
const PODS: &str = "2000";
const REFUSED: &str = "1000";
const AT_ONCE: usize = 16;
const NAMESPACE: Option<&str> = Some("default");
const NODE: &str = "bench";
const IMAGE: &str = "docker.io/library/large:1";
/// An archive of 400 MiB.
const FILES: usize = 400;
const FILE_BYTES: usize = 1 << 20;

pub(crate) fn run() -> Result<()> {
    requests("2,000 pods come and go", &["memory-pods", PODS])?;
    requests(
        "1,000 bodies of 1 MiB are refused",
        &["memory-refused", REFUSED],
    )?;
    import()
}

/// A server without a node does what the words of [`crate::load::inside`] ask for.
fn requests(what: &str, words: &[&str]) -> Result<()> {
    let cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    })?;
    measure(&cluster, what, |sample| {
        let mut child = cluster
            .corner()
            .command(std::env::current_exe()?)
            .arg("inside")
            .args(words)
            .stdout(Stdio::null())
            .spawn()?;
        loop {
            sample()?;
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "{words:?}: {status}");
                return Ok(());
            }
            std::thread::sleep(SAMPLE);
        }
    })
}

fn import() -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let image = large_image(dir.path())?;
    let cluster = Cluster::start()?;
    measure(&cluster, "an archive of 400 MiB is imported", |sample| {
        cluster.add_image(&image)?;
        let deadline = Duration::from_secs(300);
        cluster.wait_for("the archive is imported", deadline, || {
            sample()?;
            let log = std::fs::read_to_string(cluster.log_path())?;
            ensure!(log.contains(IMAGE), "no line about {IMAGE}");
            Ok(())
        })
    })
}

/// Prints the three figures. `work` calls what it is given as often as it can, for the peak.
fn measure(
    cluster: &Cluster,
    what: &str,
    work: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<()>,
) -> Result<()> {
    std::thread::sleep(SETTLE);
    let fresh = anonymous_kib(cluster, SERVER)?;
    let mut peak = fresh;
    work(&mut || {
        peak = peak.max(anonymous_kib(cluster, SERVER)?);
        Ok(())
    })?;
    std::thread::sleep(REST);
    let after = anonymous_kib(cluster, SERVER)?;
    row(
        &format!("anonymous memory of the server: fresh, peak, a minute after {what}"),
        format!(
            "{} MiB, {} MiB, {} MiB ({} % of fresh)",
            fresh / 1024,
            peak / 1024,
            after / 1024,
            after * 100 / fresh.max(1)
        ),
    );
    Ok(())
}

/// An archive whose bytes no compression helps with.
fn large_image(dir: &Path) -> Result<Image> {
    let random = Random::seeded(1);
    let mut bytes = vec![0; FILE_BYTES];
    let mut layer = LayerBuilder::create(&dir.join("layer.tar"))?;
    for n in 0..FILES {
        random.fill(&mut bytes);
        layer.file(&format!("file-{n}"), 0o644, &bytes)?;
    }
    let image = LayeredImage {
        references: vec![IMAGE.to_owned()],
        layers: vec![layer.finish()?],
        config: json!({}),
    };
    let path = dir.join("large.tar");
    write_archive(&path, &[image])?;
    Ok(Image::from_archive(&path))
}

/// Inside: makes pods, binds them, writes their status and Events about them, and removes all of it.
pub(crate) async fn pods(count: usize) -> Result<String> {
    let client = client()?;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    client.create(&resources::NODES, None, &node).await?;
    let all = (0..count).map(|n| live(&client, format!("memory-{n}")));
    let mut lives = futures_util::stream::iter(all).buffer_unordered(AT_ONCE);
    while let Some(outcome) = lives.next().await {
        outcome?;
    }
    let at_once = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    for kind in [&resources::PODS, &resources::EVENTS] {
        client
            .delete_collection(kind, NAMESPACE, &at_once, &ListParams::default())
            .await?;
    }
    client
        .delete(&resources::NODES, None, NODE, &at_once)
        .await?;
    Ok(String::new())
}

async fn live(client: &Client, name: String) -> Result<()> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "memory"}},
        "spec": {"schedulerName": "bench", "containers": [{"name": "c", "image": "registry.test/image:1",
            "env": [{"name": "A", "value": "x".repeat(200)}]}]}});
    client.create(&resources::PODS, NAMESPACE, &pod).await?;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": NAMESPACE},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
    client
        .create_subresource(&resources::PODS, NAMESPACE, &name, "binding", &binding)
        .await?;
    for (phase, ready) in [("Pending", "False"), ("Running", "True")] {
        let status = json!({"status": {"phase": phase, "podIP": "10.42.0.9",
            "conditions": [{"type": "Ready", "status": ready}, {"type": "Initialized", "status": "True"}]}});
        client
            .patch_status(&resources::PODS, NAMESPACE, &name, &Patch::Merge(status))
            .await?;
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.{ready}").to_lowercase()},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE, "name": name},
            "reason": phase, "message": "Container image is present on the machine", "type": "Normal",
            "source": {"component": "bench"}});
        client.create(&resources::EVENTS, NAMESPACE, &event).await?;
    }
    Ok(())
}

/// Inside: sends ConfigMaps that are too large in ways that show only once they are parsed.
pub(crate) async fn refused(count: usize) -> Result<String> {
    let client = client()?;
    let values: Vec<_> = (0..40_000)
        .map(|n| json!({"n": n, "deep": [[[n]]]}))
        .collect();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "refused"}, "data": {"k": values}});
    let body = serde_json::to_vec(&object)?;
    let path = resources::CONFIG_MAPS.path(None, NAMESPACE, None);
    let all = (0..count).map(|_| post(&client, &path, &body));
    let mut answers = futures_util::stream::iter(all).buffer_unordered(AT_ONCE);
    while let Some(outcome) = answers.next().await {
        outcome?;
    }
    Ok(String::new())
}

async fn post(client: &Client, path: &str, body: &[u8]) -> Result<()> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(body.to_vec())?;
    let answer = client.raw(request).await?;
    let status = answer.status();
    let collected = answer.into_body().collect().await;
    collected
        .map_err(|error| anyhow::anyhow!(error))
        .context("read the answer")?;
    ensure!(status.is_client_error(), "it was not refused: {status}");
    Ok(())
}
