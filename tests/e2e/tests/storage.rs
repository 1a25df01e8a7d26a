//! Claims, volumes and StatefulSets through the real binary with stock kubectl.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{SHELL, SOON, cluster, exec, fixture, wait_for_pod};
use k3s_harness::{Cluster, ClusterOptions, busybox};

/// A set whose pods write their names into their volumes once.
fn stateful_set(replicas: u32) -> String {
    fixture!(
        "stateful-set-with-volumes",
        REPLICAS = replicas,
        IMAGE = SHELL
    )
}

/// A pod that mounts a claim.
fn user(name: &str, claim: &str, mount: &str) -> String {
    fixture!(
        "claim-user",
        NAME = name,
        CLAIM = claim,
        IMAGE = SHELL,
        MOUNT = mount
    )
}

fn claim(name: &str, class: &str) -> String {
    fixture!("claim", NAME = name) + class
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    cluster
        .kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"])?
        .ok()
        .map(drop)
}

fn gone(cluster: &Cluster, what: &[&str]) -> Result<()> {
    cluster.wait_for(&format!("{what:?} is gone"), SOON, || {
        let output = cluster.kubectl(&[&["get"], what].concat())?;
        ensure!(output.stderr.contains("NotFound"), "{output:?}");
        Ok(())
    })
}

/// The directory behind a claim.
fn directory(cluster: &Cluster, claim: &str) -> Result<String> {
    let claim = cluster.get(&["pvc", claim])?;
    let name = claim["spec"]["volumeName"].as_str().unwrap_or_default();
    let volume = cluster.get(&["pv", name])?;
    match volume["spec"]["local"]["path"].as_str() {
        Some(path) => Ok(path.to_owned()),
        None => bail!("no local path: {volume}"),
    }
}

#[test]
fn the_data_of_a_stateful_set_survives_its_pods_and_the_server() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.wait_for("the storage class is there", SOON, || {
        let classes = cluster.kubectl(&["get", "storageclass"])?.ok()?;
        ensure!(
            classes.contains("local-path (default)")
                && classes.contains("rancher.io/local-path")
                && classes.contains("WaitForFirstConsumer"),
            "{classes}"
        );
        Ok(())
    })?;
    cluster.apply(&stateful_set(2))?;
    rolled_out(&cluster)?;
    let who = |cluster: &Cluster, pod: &str| {
        exec(cluster, pod, "cat /data/who").map(|text| text.trim().to_owned())
    };
    ensure!(who(&cluster, "db-0")? == "db-0" && who(&cluster, "db-1")? == "db-1");
    let path = directory(&cluster, "data-db-0")?;
    ensure!(
        path.starts_with("/var/lib/rancher/k3s/storage/pvc-")
            && path.ends_with("_default_data-db-0"),
        "{path}"
    );
    cluster.wait_for("pods have names of their own", SOON, || {
        exec(
            &cluster,
            "db-1",
            "nslookup db-0.db.default.svc.cluster.local | grep 10.42.",
        )
    })?;

    exec(&cluster, "db-0", "echo more >> /data/who")?;
    cluster
        .kubectl(&["delete", "pod", "db-0", "--timeout=60s"])?
        .ok()?;
    rolled_out(&cluster)?;
    wait_for_pod(&cluster, "db-0")?;
    ensure!(
        who(&cluster, "db-0")? == "db-0\nmore",
        "{}",
        who(&cluster, "db-0")?
    );

    cluster.kill_server()?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;
    wait_for_pod(&cluster, "db-0")?;
    ensure!(who(&cluster, "db-0")? == "db-0\nmore" && who(&cluster, "db-1")? == "db-1");

    cluster
        .kubectl(&["scale", "statefulset/db", "--replicas=1"])?
        .ok()?;
    gone(&cluster, &["pod", "db-1"])?;
    ensure!(
        cluster.get(&["pvc", "data-db-1"])?["status"]["phase"] == "Bound",
        "the claim stays"
    );
    cluster
        .kubectl(&["scale", "statefulset/db", "--replicas=2"])?
        .ok()?;
    rolled_out(&cluster)?;
    ensure!(who(&cluster, "db-1")? == "db-1");

    // A claim in use is not deleted until its pod is.
    cluster
        .kubectl(&["delete", "pvc", "data-db-0", "--wait=false"])?
        .ok()?;
    let shown = cluster.kubectl(&["get", "pvc", "data-db-0"])?.ok()?;
    ensure!(shown.contains("Terminating"), "{shown}");
    ensure!(who(&cluster, "db-0")? == "db-0\nmore");
    cluster
        .kubectl(&["delete", "statefulset", "db", "--timeout=60s"])?
        .ok()?;
    gone(&cluster, &["pvc", "data-db-0"])?;
    cluster.wait_for("its directory goes with it", SOON, || {
        cluster.corner().sh(&format!("test ! -e {path}"))?.ok()
    })?;
    ensure!(
        cluster.get(&["pvc", "data-db-1"])?["status"]["phase"] == "Bound",
        "the other claim stays"
    );
    Ok(())
}

#[test]
fn a_stateful_set_is_updated_and_undone() -> Result<()> {
    let cluster = cluster()?;
    let set = |color: &str| fixture!("stateful-set-with-color", IMAGE = SHELL, COLOR = color);
    let color = |cluster: &Cluster| -> Result<String> {
        Ok(format!(
            "{}{}",
            exec(cluster, "db-0", "echo $COLOR")?,
            exec(cluster, "db-1", "echo $COLOR")?
        ))
    };
    cluster.apply(&set("green"))?;
    rolled_out(&cluster)?;
    cluster.apply(&set("blue"))?;
    rolled_out(&cluster)?;
    ensure!(color(&cluster)? == "blue\nblue\n");
    let history = cluster
        .kubectl(&["rollout", "history", "statefulset/db"])?
        .ok()?;
    ensure!(history.contains('1') && history.contains('2'), "{history}");
    cluster
        .kubectl(&["rollout", "undo", "statefulset/db"])?
        .ok()?;
    rolled_out(&cluster)?;
    ensure!(color(&cluster)? == "green\ngreen\n");
    Ok(())
}

#[test]
fn volumes_made_by_hand_are_bound_and_kept() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&user("early", "by-hand", "{name: v, mountPath: /data}"))?;
    cluster.wait_for("a pod without its claim says so", SOON, || {
        let pod = cluster.kubectl(&["describe", "pod", "early"])?.ok()?;
        ensure!(
            pod.contains("persistentvolumeclaim \"by-hand\" not found"),
            "{pod}"
        );
        Ok(())
    })?;
    cluster.apply(&claim("by-hand", "  storageClassName: ''\n"))?;
    cluster.wait_for("and then that it is not bound", SOON, || {
        let pod = cluster.kubectl(&["describe", "pod", "early"])?.ok()?;
        ensure!(
            pod.contains("pod has unbound immediate PersistentVolumeClaims"),
            "{pod}"
        );
        Ok(())
    })?;
    cluster.apply(&fixture!("volume-by-hand"))?;
    wait_for_pod(&cluster, "early")?;
    exec(
        &cluster,
        "early",
        "mkdir /data/sub && echo kept > /data/sub/file",
    )?;
    cluster.apply(&user(
        "reader",
        "by-hand",
        "{name: v, mountPath: /data, subPath: sub, readOnly: true}",
    ))?;
    wait_for_pod(&cluster, "reader")?;
    ensure!(exec(&cluster, "reader", "cat /data/file")? == "kept\n");
    ensure!(
        exec(&cluster, "reader", "touch /data/new").is_err(),
        "it is read only"
    );
    cluster
        .kubectl(&["delete", "pod", "early", "reader", "--timeout=60s"])?
        .ok()?;
    cluster
        .kubectl(&["delete", "pvc", "by-hand", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the volume is released", SOON, || {
        let volume = cluster.get(&["pv", "by-hand"])?;
        ensure!(volume["status"]["phase"] == "Released", "{volume}");
        Ok(())
    })?;
    ensure!(cluster.corner().sh("cat /srv/by-hand/sub/file")?.ok()? == "kept\n");
    Ok(())
}

#[test]
fn a_pod_cannot_make_teardown_leave_the_storage_folder() -> Result<()> {
    let options = ClusterOptions {
        flags: vec!["--default-local-storage-path".into(), "/srv/volumes".into()],
        images: vec![busybox(SHELL)?],
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start_with(options)?;
    cluster
        .corner()
        .sh("mkdir -p /srv/precious && echo x > /srv/precious/file")?
        .ok()?;
    cluster.apply(&claim("evil", ""))?;
    cluster.apply(&user("evil", "evil", "{name: v, mountPath: /data}"))?;
    wait_for_pod(&cluster, "evil")?;
    let path = directory(&cluster, "evil")?;
    ensure!(path.starts_with("/srv/volumes/pvc-"), "{path}");
    exec(
        &cluster,
        "evil",
        "cd /data && ln -s /srv/precious a && ln -s ../../precious b && mkdir -p c/d && ln -s / c/d/e && ln -s /srv/precious/file f",
    )?;
    cluster
        .kubectl(&["delete", "pod/evil", "pvc/evil", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the volume and its directory are gone", SOON, || {
        let volumes = cluster.get(&["pv"])?;
        ensure!(
            volumes["items"].as_array().is_some_and(Vec::is_empty),
            "{volumes}"
        );
        cluster.corner().sh(&format!("test ! -e {path}"))?.ok()
    })?;
    ensure!(cluster.corner().sh("cat /srv/precious/file")?.ok()? == "x\n");

    // The same with the directory itself replaced, as a second claim's pod that escaped might.
    cluster.apply(&claim("worse", ""))?;
    cluster.apply(&user("worse", "worse", "{name: v, mountPath: /data}"))?;
    wait_for_pod(&cluster, "worse")?;
    let path = directory(&cluster, "worse")?;
    cluster
        .kubectl(&["delete", "pod/worse", "--timeout=60s"])?
        .ok()?;
    cluster
        .corner()
        .sh(&format!("rmdir {path} && ln -s /srv/precious {path}"))?
        .ok()?;
    cluster
        .kubectl(&["delete", "pvc/worse", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the link is gone", SOON, || {
        cluster.corner().sh(&format!("test ! -L {path}"))?.ok()
    })?;
    ensure!(cluster.corner().sh("cat /srv/precious/file")?.ok()? == "x\n");
    Ok(())
}

#[test]
fn without_local_storage_there_is_no_class() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions::default())?;
    cluster.wait_for("the storage class is there", SOON, || {
        cluster.get(&["storageclass", "local-path"])
    })?;
    // Another default than ours stays one.
    let not_default = "storageclass.kubernetes.io/is-default-class=false";
    cluster
        .kubectl(&[
            "annotate",
            "--overwrite",
            "storageclass",
            "local-path",
            not_default,
        ])?
        .ok()?;
    cluster.stop_server(Duration::from_secs(20))?;
    cluster
        .corner()
        .sh("rm -f /var/lib/rancher/k3s/server/manifests/local-storage.yaml")?
        .ok()?;
    cluster.restart_with(&[])?;
    cluster.wait_for("the manifest was applied again", SOON, || {
        cluster
            .corner()
            .sh("test -e /var/lib/rancher/k3s/server/manifests/local-storage.yaml")?
            .ok()?;
        let about =
            "involvedObject.kind=Addon,involvedObject.name=local-storage,reason=AppliedManifest";
        let events = cluster.get(&["events", "-n", "kube-system", "--field-selector", about])?;
        let count: u64 = events["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["count"].as_u64())
            .sum();
        ensure!(count >= 2, "{events}");
        Ok(())
    })?;
    let class = cluster.get(&["storageclass", "local-path"])?;
    ensure!(
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "false",
        "{class}"
    );

    cluster.stop_server(Duration::from_secs(20))?;
    cluster.restart_with(&["--disable", "local-storage"])?;
    cluster.wait_for("class, settings and role are gone", SOON, || {
        for kind in [
            "storageclass",
            "configmap -n kube-system local-path-config",
            "clusterroles",
        ] {
            let words: Vec<&str> = std::iter::once("get").chain(kind.split(' ')).collect();
            let shown = cluster.kubectl(&words)?;
            ensure!(!shown.stdout.contains("local-path"), "{shown:?}");
        }
        Ok(())
    })?;
    cluster.apply(&claim("waits", ""))?;
    cluster.wait_for("the claim says why it waits", SOON, || {
        let claim = cluster.kubectl(&["describe", "pvc", "waits"])?.ok()?;
        ensure!(
            claim.contains(
                "no persistent volumes available for this claim and no storage class is set"
            ),
            "{claim}"
        );
        Ok(())
    })
}
