//! What a namespace holds its pods to: quotas, limit ranges, pod security.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, SOON, fixture};
use k3s_harness::{Cluster, ClusterOptions};

fn used(cluster: &Cluster, resource: &str, expected: &str) -> Result<()> {
    cluster.wait_for(&format!("{expected} of {resource} are used"), SOON, || {
        let used = cluster.get(&["resourcequota", "q"])?["status"]["used"].clone();
        ensure!(used[resource] == expected, "{used}");
        Ok(())
    })
}

#[test]
fn quotas_limits_and_pod_security_are_enforced() -> Result<()> {
    let flags = vec!["--disable-agent".to_owned()];
    let cluster = Cluster::start_with(ClusterOptions {
        flags,
        without_node: true,
        ..ClusterOptions::default()
    })?;
    cluster
        .kubectl(&[
            "create",
            "quota",
            "q",
            "--hard=pods=2,requests.cpu=1,count/configmaps=3",
        ])?
        .ok()?;
    // The CA's ConfigMap is there already.
    used(&cluster, "count/configmaps", "1")?;
    used(&cluster, "pods", "0")?;
    let pod =
        |name: &str, cpu: &str| fixture!("pod-with-cpu", NAME = name, IMAGE = SHELL, CPU = cpu);
    let refused = |yaml: &str| cluster.kubectl_with(&["create", "-f", "-"], Some(yaml));
    cluster.apply(&pod("a", "800m"))?;
    used(&cluster, "requests.cpu", "800m")?;
    let told = refused(&pod("b", "300m"))?.stderr;
    let expected = "exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1";
    ensure!(told.contains(expected), "{told}");
    let told = refused(&pod("c", "100m").replace("cpu: 100m", "memory: 1Mi"))?.stderr;
    ensure!(
        told.contains("failed quota: q: must specify requests.cpu for: c"),
        "{told}"
    );
    cluster
        .kubectl(&["delete", "pod", "a", "--now", "--timeout=60s"])?
        .ok()?;
    used(&cluster, "requests.cpu", "0")?;
    cluster.apply(&pod("b", "300m"))?;
    let shown = cluster.kubectl(&["describe", "quota", "q"])?.ok()?;
    ensure!(shown.contains("300m"), "{shown}");

    cluster.apply(&fixture!("limit-range"))?;
    let told =
        refused(&pod("d", "1m").replace("requests:", "limits: {memory: 2Gi}, requests:"))?.stderr;
    ensure!(
        told.contains("maximum memory usage per Container is 1Gi, but limit is 2Gi"),
        "{told}"
    );

    cluster.kubectl(&["create", "namespace", "safe"])?.ok()?;
    cluster
        .kubectl(&[
            "label",
            "namespace",
            "safe",
            "pod-security.kubernetes.io/enforce=restricted",
        ])?
        .ok()?;
    let told = cluster
        .kubectl_with(&["create", "-n", "safe", "-f", "-"], Some(&pod("e", "1m")))?
        .stderr;
    ensure!(
        told.contains(
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"
        ),
        "{told}"
    );
    let deployed = cluster.kubectl(&[
        "create",
        "-n",
        "safe",
        "deployment",
        "w",
        &format!("--image={SHELL}"),
    ])?;
    ensure!(
        deployed.code == Some(0) && deployed.stderr.contains("would violate PodSecurity"),
        "{deployed:?}"
    );
    Ok(())
}
