//! Custom resources through the real binary, as a user with stock kubectl meets them.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{SOON, fixture};
use k3s_harness::{Cluster, ClusterOptions};

const DEFINITION: &str = include_str!("../fixtures/cron-tab-definition.yaml");

const TAB: &str = include_str!("../fixtures/cron-tab.yaml");

fn cluster() -> Result<Cluster> {
    // No pod runs here, so no node is needed.
    Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    })
}

fn establish(cluster: &Cluster) -> Result<()> {
    cluster.apply(DEFINITION)?;
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/crontabs.stable.example.com",
            "--timeout=10s",
        ])?
        .ok()?;
    Ok(())
}

#[test]
fn a_definition_makes_a_kind_of_the_api() -> Result<()> {
    let mut cluster = cluster()?;
    establish(&cluster)?;
    let resources = cluster
        .kubectl(&["api-resources", "--api-group=stable.example.com"])?
        .ok()?;
    ensure!(
        resources.contains("ct") && resources.contains("CronTab"),
        "{resources}"
    );
    let explained = cluster
        .kubectl(&["explain", "crontab.spec.cronSpec"])?
        .ok()?;
    ensure!(
        explained.contains("When it runs.") && explained.contains("CronTab"),
        "{explained}"
    );
    let created = cluster.apply(TAB)?;
    ensure!(
        created.contains("crontab.stable.example.com/nightly created"),
        "{created}"
    );
    let unchanged = cluster.apply(TAB)?;
    ensure!(unchanged.contains("unchanged"), "{unchanged}");
    let table = cluster.kubectl(&["get", "ct"])?.ok()?;
    let head: Vec<&str> = table
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    ensure!(head == ["NAME", "SPEC", "REPLICAS", "AGE"], "{table}");
    ensure!(table.contains("0 0 * * *"), "{table}");
    let wide = cluster.kubectl(&["get", "ct", "-o", "wide"])?.ok()?;
    ensure!(wide.contains("IMAGE") && wide.contains("cron:1"), "{wide}");
    ensure!(
        cluster
            .kubectl(&["get", "all"])?
            .ok()?
            .contains("crontab.stable.example.com/nightly")
    );

    verbs(&cluster)?;

    // Everything is there again after the server was killed.
    cluster.kill_server()?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    ensure!(cluster.get(&["crontab", "nightly"])?["spec"]["replicas"] == 3);

    cluster
        .kubectl(&[
            "delete",
            "crd",
            "crontabs.stable.example.com",
            "--timeout=30s",
        ])?
        .ok()?;
    let gone = cluster.kubectl(&["get", "crontabs"])?.failed()?;
    // By kubectl's cache or without it.
    let known = [
        "the server doesn't have a resource type \"crontabs\"",
        "could not find the requested resource",
    ];
    ensure!(known.iter().any(|text| gone.contains(text)), "{gone}");
    establish(&cluster)?;
    let none = cluster.kubectl(&["get", "crontabs"])?;
    ensure!(none.stderr.contains("No resources found"), "{none:?}");
    Ok(())
}

fn verbs(cluster: &Cluster) -> Result<()> {
    cluster
        .kubectl(&[
            "patch",
            "ct",
            "nightly",
            "--type=merge",
            "-p",
            r#"{"spec":{"image":"cron:2"}}"#,
        ])?
        .ok()?;
    let patch = r#"[{"op": "replace", "path": "/spec/image", "value": "cron:3"}]"#;
    cluster
        .kubectl(&["patch", "ct", "nightly", "--type=json", "-p", patch])?
        .ok()?;
    cluster
        .kubectl(&["label", "ct", "nightly", "team=a"])?
        .ok()?;
    cluster
        .kubectl(&["scale", "crontab/nightly", "--replicas=3"])?
        .ok()?;
    let status = r#"{"status":{"replicas":3}}"#;
    cluster
        .kubectl(&[
            "patch",
            "ct",
            "nightly",
            "--subresource=status",
            "--type=merge",
            "-p",
            status,
        ])?
        .ok()?;
    let object = cluster.get(&["ct", "nightly"])?;
    ensure!(
        object["spec"]["replicas"] == 3
            && object["spec"]["image"] == "cron:3"
            && object["status"]["replicas"] == 3,
        "{object}"
    );
    let edited = TAB.replace("image: cron:1", "image: cron:1, colour: red");
    let unknown = cluster
        .kubectl_with(&["apply", "-f", "-"], Some(&edited))?
        .failed()?;
    ensure!(
        unknown.contains("unknown field \"spec.colour\""),
        "{unknown}"
    );
    let lax = cluster.kubectl_with(&["apply", "--validate=false", "-f", "-"], Some(&edited))?;
    ensure!(
        lax.code == Some(0) && cluster.get(&["ct", "nightly"])?["spec"]["colour"].is_null(),
        "{lax:?}"
    );
    let invalid = TAB
        .replace("image: cron:1", "replicas: 11")
        .replace("nightly", "other");
    let refused = cluster
        .kubectl_with(&["apply", "-f", "-"], Some(&invalid))?
        .failed()?;
    let want = "The CronTab \"other\" is invalid: spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10";
    ensure!(refused.contains(want), "{refused}");
    Ok(())
}

#[test]
fn owners_namespaces_and_roles_know_custom_resources() -> Result<()> {
    let cluster = cluster()?;
    establish(&cluster)?;
    cluster.kubectl(&["create", "namespace", "team"])?.ok()?;
    cluster
        .kubectl_with(&["apply", "-n", "team", "-f", "-"], Some(TAB))?
        .ok()?;
    cluster.apply(TAB)?;
    let uid = cluster.get(&["ct", "nightly"])?["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let owned = fixture!("owned-by-cron-tab", UID = uid);
    cluster.apply(&owned)?;
    cluster.kubectl(&["delete", "ct", "nightly"])?.ok()?;
    cluster.wait_for("what the table owned is collected", SOON, || {
        let maps = cluster.kubectl(&["get", "configmap", "owned"])?;
        if maps.code == Some(0) {
            bail!("still there")
        } else {
            Ok(())
        }
    })?;
    cluster
        .kubectl(&["delete", "namespace", "team", "--timeout=60s"])?
        .ok()?;
    let left = cluster.get(&["ct", "-A"])?;
    ensure!(
        left["items"].as_array().is_some_and(Vec::is_empty),
        "{left}"
    );

    let role = &fixture!("role-aggregated-to-view");
    let can = || cluster.kubectl(&["auth", "can-i", "list", "crontabs", "--as=ann"]);
    cluster
        .kubectl(&[
            "create",
            "rolebinding",
            "ann",
            "--clusterrole=view",
            "--user=ann",
        ])?
        .ok()?;
    ensure!(can()?.stdout.trim() == "no");
    cluster.apply(role)?;
    cluster.wait_for("the role is part of view", SOON, || {
        let answer = can()?;
        ensure!(answer.stdout.trim() == "yes", "{answer:?}");
        Ok(())
    })
}

#[test]
fn a_definition_that_goes_is_asked_for_by_nobody() -> Result<()> {
    let mut cluster = cluster()?;
    establish(&cluster)?;
    cluster.apply(TAB)?;
    // What is known from the start on is followed as what comes later is.
    cluster.kill_server()?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster
        .kubectl(&[
            "delete",
            "crd",
            "crontabs.stable.example.com",
            "--timeout=60s",
        ])?
        .ok()?;
    let failed = || -> Result<u32> {
        let text = cluster.kubectl(&["get", "--raw", "/metrics"])?.ok()?;
        let lists = text
            .lines()
            .filter(|l| l.starts_with("apiserver_request_total") && l.contains("code=\"404\""));
        let lists = lists.filter(|l| l.contains("verb=\"LIST\"") || l.contains("verb=\"WATCH\""));
        Ok(lists
            .filter_map(|l| l.rsplit(' ').next()?.parse::<u32>().ok())
            .sum())
    };
    // Some may have asked before they heard. A component that keeps asking does so again within seconds.
    std::thread::sleep(Duration::from_secs(2));
    let before = failed()?;
    std::thread::sleep(Duration::from_secs(13));
    let after = failed()?;
    ensure!(before == after, "{before} failed lists became {after}");
    Ok(())
}
