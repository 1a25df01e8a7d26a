//! What waits for the cluster to change goes on when it changes, and what cannot succeed is not tried without
//! end. That nothing spins meanwhile is looked at when the cluster ends.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use anyhow::{Context, Result, bail, ensure};
use k3s_e2e::{SHELL, SOON, cluster, condition, fixture, shell, wait_for_pod};
use k3s_harness::Cluster;
use serde_json::Value;

fn node(cluster: &Cluster) -> Result<String> {
    let nodes = cluster.get(&["nodes"])?;
    let name = nodes["items"][0]["metadata"]["name"].as_str();
    Ok(name.context("no node")?.to_owned())
}

/// Waits until the pod's `PodScheduled` condition gives this reason.
fn wait_for_reason(cluster: &Cluster, pod: &str, reason: &str) -> Result<()> {
    cluster.wait_for(&format!("{pod} is {reason}"), SOON, || {
        let pod = cluster.get(&["pod", pod])?;
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut scheduled = conditions.filter(|c| c["type"] == "PodScheduled");
        ensure!(
            scheduled.any(|c| c["reason"] == reason),
            "{}",
            pod["status"]
        );
        Ok(())
    })
}

fn pods_of(cluster: &Cluster, app: &str) -> Result<Vec<Value>> {
    let list = cluster.get(&["pods", "-l", &format!("app={app}")])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

#[test]
fn pods_that_wait_start_when_the_cluster_gives_them_what_they_wait_for() -> Result<()> {
    let cluster = cluster()?;
    let node = node(&cluster)?;
    cluster.apply(&fixture!("pods-that-wait", IMAGE = SHELL))?;
    wait_for_reason(&cluster, "gated", "SchedulingGated")?;
    wait_for_reason(&cluster, "follower", "Unschedulable")?;
    wait_for_reason(&cluster, "dongled", "Unschedulable")?;
    cluster.wait_for("two pods of picky wait", SOON, || {
        ensure!(pods_of(&cluster, "picky")?.len() == 2);
        Ok(())
    })?;

    let no_gates = r#"[{"op": "remove", "path": "/spec/schedulingGates"}]"#;
    cluster
        .kubectl(&["patch", "pod", "gated", "--type=json", "-p", no_gates])?
        .ok()?;
    wait_for_pod(&cluster, "gated")?;
    cluster.apply(&shell("leader"))?;
    wait_for_pod(&cluster, "follower")?;

    cluster
        .kubectl(&["label", "node", &node, "disk=ssd"])?
        .ok()?;
    cluster
        .kubectl(&["rollout", "status", "deployment/picky", "--timeout=60s"])?
        .ok()?;
    let picky = pods_of(&cluster, "picky")?;
    ensure!(picky.len() == 2, "{} pods of two: {picky:?}", picky.len());

    let advertised = r#"{"status": {"capacity": {"example.com/dongle": "1"}}}"#;
    cluster
        .kubectl(&[
            "patch",
            "node",
            &node,
            "--subresource=status",
            "-p",
            advertised,
        ])?
        .ok()?;
    wait_for_pod(&cluster, "dongled")?;
    Ok(())
}

#[test]
fn a_pod_that_cannot_run_or_go_is_not_tried_without_end() -> Result<()> {
    let cluster = cluster()?;
    let node = node(&cluster)?;
    cluster.apply(&fixture!("pod-with-finalizer", IMAGE = SHELL))?;
    wait_for_pod(&cluster, "kept")?;
    cluster
        .kubectl(&["delete", "pod", "kept", "--wait=false"])?
        .ok()?;
    cluster.wait_for("the node has done its part", SOON, || {
        let pod = cluster.get(&["pod", "kept"])?;
        ensure!(pod["metadata"]["deletionGracePeriodSeconds"] == 0, "{pod}");
        let state = &pod["status"]["containerStatuses"][0]["state"];
        ensure!(!state["terminated"].is_null(), "{pod}");
        Ok(())
    })?;

    cluster.apply(&fixture!("deployment-refused-by-nodes", IMAGE = SHELL))?;
    cluster.wait_for("the node refuses some pods", SOON, || {
        let pods = pods_of(&cluster, "refused")?;
        let refused = pods.iter().filter(|pod| pod["status"]["phase"] == "Failed");
        ensure!(refused.count() >= 3, "{pods:?}");
        Ok(())
    })?;
    let pods = pods_of(&cluster, "refused")?;
    ensure!(pods.len() <= 6, "{} pods", pods.len());

    cluster.apply(&fixture!("pod-that-tolerates-for-a-while", IMAGE = SHELL))?;
    wait_for_pod(&cluster, "patient")?;
    cluster
        .kubectl(&["taint", "node", &node, "example.com/drain:NoExecute"])?
        .ok()?;
    cluster
        .kubectl(&["wait", "--for=delete", "pod/patient", "--timeout=30s"])?
        .ok()?;
    cluster
        .kubectl(&["taint", "node", &node, "example.com/drain-"])?
        .ok()?;

    let free = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
    cluster
        .kubectl(&["patch", "pod", "kept", "--type=json", "-p", free])?
        .ok()?;
    cluster
        .kubectl(&["wait", "--for=delete", "pod/kept", "--timeout=30s"])?
        .ok()?;
    Ok(())
}

#[test]
fn what_the_control_plane_adds_to_objects_comes() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&fixture!("runtime-class", IMAGE = SHELL))?;
    let heavy = wait_for_pod(&cluster, "heavy")?;
    ensure!(
        heavy["spec"]["overhead"]["cpu"] == "10m",
        "{}",
        heavy["spec"]
    );
    let unknown =
        fixture!("runtime-class", IMAGE = SHELL).replace("ClassName: heavy", "ClassName: none");
    let told = cluster
        .kubectl_with(
            &["create", "-f", "-"],
            Some(&unknown.replace("{name: heavy}", "{name: other}")),
        )?
        .failed()?;
    ensure!(
        told.contains("pod rejected: RuntimeClass \"none\" not found"),
        "{told}"
    );

    cluster.apply(&fixture!("token-secret"))?;
    let token = cluster.wait_for("the token is there", SOON, || {
        let secret = cluster.kubectl(&[
            "get",
            "secret",
            "robot",
            "-o",
            "go-template={{.data.token | base64decode}}",
        ])?;
        let token = secret.ok()?;
        if token.starts_with("ey") {
            Ok(token)
        } else {
            bail!("{token}")
        }
    })?;
    let whoami = cluster.corner().sh(&format!(
        "wget -q -O - --no-check-certificate --header 'Authorization: Bearer {token}' \
         --header 'Content-Type: application/json' \
         --post-data '{{\"apiVersion\": \"authentication.k8s.io/v1\", \"kind\": \"SelfSubjectReview\"}}' \
         https://127.0.0.1:6443/apis/authentication.k8s.io/v1/selfsubjectreviews"
    ))?;
    let whoami = whoami.ok()?;
    ensure!(
        whoami.contains("system:serviceaccount:default:robot"),
        "{whoami}"
    );
    cluster
        .kubectl(&["delete", "serviceaccount", "robot"])?
        .ok()?;
    cluster
        .kubectl(&["wait", "--for=delete", "secret/robot", "--timeout=30s"])?
        .ok()?;

    let manifest = fixture!("static-pod", IMAGE = SHELL);
    let folder = "/var/lib/rancher/k3s/agent/pod-manifests";
    let line = format!(
        "mkdir -p {folder} && cat > {folder}/.fixed <<'END'\n{manifest}\nEND\nmv {folder}/.fixed {folder}/fixed.yaml"
    );
    cluster.corner().sh(&line)?.ok()?;
    let mirror = format!("fixed-{}", node(&cluster)?);
    let ready = |before: &Value| {
        cluster.wait_for("the mirror is ready", SOON, || {
            let pod = cluster.get(&["pod", "-n", "kube-system", &mirror])?;
            let uid = &pod["metadata"]["uid"];
            ensure!(
                uid != before && condition(&pod, "Ready"),
                "{}",
                pod["status"]
            );
            Ok(uid.clone())
        })
    };
    let first = ready(&Value::Null)?;
    cluster
        .kubectl(&[
            "delete",
            "pod",
            "-n",
            "kube-system",
            &mirror,
            "--wait=false",
        ])?
        .ok()?;
    ready(&first)?;
    Ok(())
}
