//! Writing plugins: the walk-through in the documentation, word by word, and what its plugins do in a server.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use anyhow::{Context, Result, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, exec, fixture, guests, wait_for_pod, web};
use k3s_harness::{Cluster, ClusterOptions, Corner, busybox, http_server};

/// The node's address in a corner.
const NODE: &str = "192.0.2.10";
/// What `k3s plugin new` knows, with the names that the walk-through gives them.
const PLUGINS: [(&str, &str); 5] = [
    ("cni", "mynet"),
    ("datastore", "my-datastore"),
    ("ingress", "my-ingress"),
    ("load-balancer", "my-load-balancer"),
    ("storage", "my-storage"),
];

/// The commands of the walk-through, as a reader would type them.
fn commands(document: &str) -> String {
    let blocks = document
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_walk_through_leads_to_a_server_of_own_plugins() -> Result<()> {
    let document = std::fs::read_to_string(guests::root()?.join("docs/plugins.md"))?;
    let lines = commands(&document);
    ensure!(
        lines.contains("k3s plugin new") && lines.contains("k3s plugin check"),
        "{lines}"
    );
    let corner = Corner::new()?;
    let dir = corner.dir().to_owned();
    let said = guests::follow(&dir, &lines)?;
    let kept = said
        .lines()
        .filter(|line| line.contains("keeps the contract of"))
        .count();
    ensure!(kept == PLUGINS.len() && !said.contains("FAILED"), "{said}");

    let flag = |(kind, name): &(&str, &str)| {
        format!(
            "--plugin={kind}={}",
            dir.join(format!("{name}.wasm")).display()
        )
    };
    let flags = PLUGINS.iter().map(flag).collect();
    let images = vec![busybox(SHELL)?, http_server(WEB_1, "one")?];
    let cluster = Cluster::start_with(ClusterOptions {
        flags,
        images,
        ..ClusterOptions::default()
    })?;
    cluster.wait_for("all plugins are Ready", SOON, || {
        let plugins = cluster.kubectl(&["get", "plugins"])?.ok()?;
        for (kind, name) in PLUGINS {
            let row = plugins
                .lines()
                .find(|line| line.starts_with(&format!("{kind} ")))
                .context(kind)?;
            ensure!(row.contains(name) && row.contains("Ready"), "{plugins}");
        }
        Ok(())
    })?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&fixture!("users-of-every-plugin", IMAGE = SHELL))?;
    serves(&cluster)
}

/// What each of the five has to do with it.
fn serves(cluster: &Cluster) -> Result<()> {
    wait_for_pod(cluster, "writer")?;
    exec(cluster, "writer", "echo kept > /data/file")?;
    let claim = cluster.get(&["pvc", "data"])?;
    let volume = cluster.get(&[
        "pv",
        claim["spec"]["volumeName"].as_str().context("no volume")?,
    ])?;
    let path = volume["spec"]["local"]["path"]
        .as_str()
        .context("no path")?;
    ensure!(path.ends_with("_default_data"), "{volume}");
    let found = cluster.corner().sh(&format!("cat {path}/file"))?.ok()?;
    ensure!(found.trim() == "kept", "{found}");
    cluster.wait_for("the load balancer answers", SOON, || {
        let answer = cluster
            .corner()
            .sh(&format!("curl -sf -m 2 http://{NODE}:8080/"))?
            .ok()?;
        ensure!(answer.starts_with("one web-"), "{answer}");
        let shown = cluster.get(&["service", "outside"])?;
        ensure!(
            shown["status"]["loadBalancer"]["ingress"][0]["ip"] == NODE,
            "{}",
            shown["status"]
        );
        Ok(())
    })?;
    cluster.wait_for("the ingress controller answers", SOON, || {
        let line =
            format!("curl -sf -m 2 --resolve shop.example.com:80:{NODE} http://shop.example.com/");
        let answer = cluster.corner().sh(&line)?.ok()?;
        ensure!(answer.starts_with("one web-"), "{answer}");
        let shown = cluster.get(&["ingress", "shop"])?;
        ensure!(
            shown["status"]["loadBalancer"]["ingress"][0]["ip"] == NODE,
            "{}",
            shown["status"]
        );
        Ok(())
    })
}
