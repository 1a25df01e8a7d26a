//! The manifests directory through the real binary.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::fs;

use anyhow::{Context, Result, ensure};
use k3s_e2e::{SOON, fixture};
use k3s_harness::{Cluster, ClusterOptions};

const NONE: &str = "NotFound";

fn options() -> ClusterOptions {
    // No pod runs here, so no node is needed.
    ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    }
}

/// The folder as the server sees it; the corner has its own.
const FOLDER: &str = "/var/lib/rancher/k3s/server/manifests";

fn put(cluster: &Cluster, file: &str, text: &str) -> Result<()> {
    let upload = cluster.corner().dir().join("upload");
    fs::write(&upload, text).with_context(|| upload.display().to_string())?;
    let line = format!(
        "mkdir -p $(dirname {FOLDER}/{file}) && cp {} {FOLDER}/{file}",
        upload.display()
    );
    cluster.corner().sh(&line)?.ok()?;
    Ok(())
}

fn map(name: &str, value: &str) -> String {
    fixture!("config-map-of-one", NAME = name, VALUE = value)
}

fn value_is(cluster: &Cluster, name: &str, want: &str) -> Result<()> {
    cluster.wait_for(&format!("configmap {name} holds {want}"), SOON, || {
        let map = cluster.get(&["configmap", name])?;
        ensure!(map["data"]["k"] == want, "{map}");
        Ok(())
    })
}

fn is_gone(cluster: &Cluster, what: &[&str]) -> Result<()> {
    cluster.wait_for(&format!("{what:?} is gone"), SOON, || {
        let mut args = vec!["get"];
        args.extend(what);
        let found = cluster.kubectl(&args)?;
        ensure!(found.stderr.contains(NONE), "{found:?}");
        Ok(())
    })
}

/// Waits for an event of this reason about an AddOn; gives its message.
fn event(cluster: &Cluster, addon: &str, reason: &str) -> Result<String> {
    cluster.wait_for(&format!("event {reason} of {addon}"), SOON, || {
        let select =
            format!("involvedObject.kind=Addon,involvedObject.name={addon},reason={reason}");
        let events = cluster.get(&["events", "-n", "kube-system", "--field-selector", &select])?;
        events["items"][0]["message"]
            .as_str()
            .map(str::to_owned)
            .context("no such event")
    })
}

#[test]
fn files_become_objects_and_follow_their_changes() -> Result<()> {
    let mut cluster = Cluster::start_with(options())?;
    put(&cluster, "app.yaml", &(map("one", "1") + &map("two", "1")))?;
    value_is(&cluster, "one", "1")?;
    value_is(&cluster, "two", "1")?;
    let map_one = cluster.get(&["configmap", "one"])?;
    let annotations = &map_one["metadata"]["annotations"];
    ensure!(
        annotations["objectset.rio.cattle.io/owner-name"] == "app",
        "{map_one}"
    );
    ensure!(
        annotations["objectset.rio.cattle.io/owner-gvk"] == "k3s.cattle.io/v1, Kind=Addon",
        "{map_one}"
    );
    ensure!(event(&cluster, "app", "AppliedManifest")?.starts_with("Applied manifest at "));
    let addon = cluster.get(&["addon", "-n", "kube-system", "app"])?;
    ensure!(
        addon["spec"]["checksum"]
            .as_str()
            .is_some_and(|sum| sum.len() == 64),
        "{addon}"
    );
    ensure!(
        addon["spec"]["source"]
            .as_str()
            .is_some_and(|path| path.ends_with("/app.yaml")),
        "{addon}"
    );

    // Fields that another client added stay; fields that left the file are removed.
    cluster
        .kubectl(&[
            "patch",
            "configmap",
            "one",
            "--type=merge",
            "-p",
            r#"{"data":{"own":"x"}}"#,
        ])?
        .ok()?;
    put(&cluster, "app.yaml", &map("one", "2"))?;
    value_is(&cluster, "one", "2")?;
    is_gone(&cluster, &["configmap", "two"])?;
    ensure!(cluster.get(&["configmap", "one"])?["data"]["own"] == "x");

    // A folder that is made later is noticed, also in the other formats.
    put(
        &cluster,
        "deep/er/list.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "deep"}, "data": {"k": "1"}}]}"#,
    )?;
    value_is(&cluster, "deep", "1")?;

    // Removing a file deletes no object.
    cluster
        .corner()
        .sh(&format!("rm {FOLDER}/app.yaml"))?
        .ok()?;
    put(&cluster, "marker.yaml", &map("marker", "1"))?;
    value_is(&cluster, "marker", "1")?;
    ensure!(cluster.get(&["configmap", "one"])?["data"]["k"] == "2");

    // What changed while the server was away is put right at the start.
    cluster.kill_server()?;
    put(&cluster, "marker.yaml", &map("marker", "2"))?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    value_is(&cluster, "marker", "2")
}

#[test]
fn bad_files_disable_only_themselves() -> Result<()> {
    let cluster = Cluster::start_with(options())?;
    put(&cluster, "broken.yaml", "a: [\n")?;
    put(&cluster, "nokind.yaml", &fixture!("unknown-kind"))?;
    put(&cluster, "good.yaml", &map("good", "1"))?;
    value_is(&cluster, "good", "1")?;
    let broken = event(&cluster, "broken", "ParseManifestFailed")?;
    ensure!(
        broken.contains("broken.yaml") && broken.contains("error parsing YAML"),
        "{broken}"
    );
    let unknown = event(&cluster, "nokind", "ApplyManifestFailed")?;
    ensure!(
        unknown.contains("no matches for kind \"Nothing\" in version \"example.com/v1\""),
        "{unknown}"
    );
    // The same file put right works.
    put(&cluster, "broken.yaml", &map("mended", "1"))?;
    value_is(&cluster, "mended", "1")?;

    put(&cluster, "left.yaml.skip", "")?;
    put(&cluster, "left.yaml", &map("left", "1"))?;
    put(&cluster, "after.yaml", &map("after", "1"))?;
    value_is(&cluster, "after", "1")?;
    is_gone(&cluster, &["configmap", "left"])?;

    // A definition and its object in one file.
    let both = &fixture!("thing-and-its-definition");
    put(&cluster, "things.yaml", both)?;
    cluster.wait_for("the thing is there", SOON, || {
        cluster.kubectl(&["get", "thing", "a"])?.ok()
    })?;
    Ok(())
}

#[test]
fn a_disabled_name_takes_back_what_its_file_made() -> Result<()> {
    let mut cluster = Cluster::start_with(options())?;
    put(&cluster, "extra.yaml", &map("extra", "1"))?;
    value_is(&cluster, "extra", "1")?;
    cluster.kill_server()?;
    cluster.add_flags(&["--disable=extra"]);
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    is_gone(&cluster, &["configmap", "extra"])?;
    is_gone(&cluster, &["addon", "-n", "kube-system", "extra"])?;
    cluster.wait_for("the file is gone", SOON, || {
        cluster
            .corner()
            .sh(&format!("test ! -e {FOLDER}/extra.yaml"))?
            .ok()
    })?;
    Ok(())
}

#[test]
fn what_the_server_brings_is_addons_too() -> Result<()> {
    let mut cluster = Cluster::start_with(options())?;
    let addons = |cluster: &Cluster| cluster.kubectl(&["get", "addons", "-A"])?.ok();
    cluster.wait_for("the AddOns are listed", SOON, || {
        let shown = addons(&cluster)?;
        for name in ["coredns", "local-storage", "traefik"] {
            let row = shown
                .lines()
                .find(|line| line.contains(name))
                .context(shown.clone())?;
            ensure!(
                row.starts_with("kube-system") && row.contains(&format!("{FOLDER}/{name}.yaml")),
                "{shown}"
            );
            ensure!(
                row.split_whitespace()
                    .last()
                    .is_some_and(|sum| sum.len() == 64),
                "{shown}"
            );
        }
        Ok(())
    })?;
    let service = cluster.get(&["service", "-n", "kube-system", "kube-dns"])?;
    ensure!(service["spec"]["clusterIP"] == "10.43.0.10", "{service}");
    // What a user changes in a file is overwritten at the next start, unless it is skipped.
    cluster.stop_server(std::time::Duration::from_secs(10))?;
    for file in ["coredns", "traefik"] {
        cluster
            .corner()
            .sh(&format!(
                "echo '{}' > {FOLDER}/{file}.yaml",
                map("mine", file).replace('\'', "\"")
            ))?
            .ok()?;
    }
    cluster
        .corner()
        .sh(&format!("touch {FOLDER}/traefik.yaml.skip"))?
        .ok()?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for("the file is as it was", SOON, || {
        cluster
            .corner()
            .sh(&format!("grep -q kube-dns {FOLDER}/coredns.yaml"))?
            .ok()
    })?;
    cluster
        .corner()
        .sh(&format!("grep -q mine {FOLDER}/traefik.yaml"))?
        .ok()?;
    cluster.get(&["ingressclass", "traefik"])?;

    cluster.stop_server(std::time::Duration::from_secs(10))?;
    cluster.restart_with(&["--disable-agent", "--disable=coredns"])?;
    is_gone(&cluster, &["service", "-n", "kube-system", "kube-dns"])?;
    is_gone(&cluster, &["addon", "-n", "kube-system", "coredns"])?;
    cluster.get(&["storageclass", "local-path"]).map(drop)
}

#[test]
fn without_coredns_its_service_and_endpoints_are_gone() -> Result<()> {
    let mut cluster = Cluster::start()?;
    let left = |cluster: &Cluster| {
        let names = "jsonpath={.items[*].metadata.name}";
        let shown = cluster
            .kubectl(&[
                "get",
                "services,endpointslices",
                "-n",
                "kube-system",
                "-o",
                names,
            ])?
            .ok()?;
        anyhow::Ok(
            shown
                .split_whitespace()
                .filter(|name| name.starts_with("kube-dns"))
                .count(),
        )
    };
    cluster.wait_for("Service and endpoints are there", SOON, || {
        ensure!(left(&cluster)? == 2);
        cluster.get(&["addon", "-n", "kube-system", "coredns"])
    })?;
    cluster.stop_server(std::time::Duration::from_secs(20))?;
    cluster.restart_with(&["--disable=coredns"])?;
    cluster.wait_for("nothing is left of them", SOON, || {
        let left = left(&cluster)?;
        ensure!(left == 0, "{left} objects");
        Ok(())
    })
}
