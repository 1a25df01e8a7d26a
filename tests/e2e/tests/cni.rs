//! Pod networks of others, and our pod network for runtimes of others, through the real binary: Debian's
//! CNI plugins, containerd and runc.

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, answered_by, fixture, shell, wait_for_pod, web};
use k3s_harness::{Cluster, ClusterOptions, busybox, http_server, pause};

/// Plugins are linked into this folder of the machine; a corner gets a copy of its own.
const OWN_PLUGINS: &str = "cp -a /usr/lib/cni /run/cni-plugins && mount --bind /run/cni-plugins /usr/lib/cni && \
    mkdir -p /opt/cni && mount -t tmpfs tmpfs /opt/cni";

const CONFLIST: &str = r#"{"cniVersion": "1.0.0", "name": "debian", "plugins": [
  {"type": "bridge", "bridge": "deb0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/leases", "ranges": [[{"subnet": "10.42.99.0/24"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}"#;

fn host_port() -> String {
    fixture!("host-port", IMAGE = WEB_1)
}

#[test]
fn a_foreign_pod_network_is_taken_when_it_is_installed() -> Result<()> {
    let options = ClusterOptions {
        flags: vec!["--flannel-backend".into(), "none".into()],
        images: vec![busybox(SHELL)?, http_server(WEB_1, "one")?],
        prepare: vec![OWN_PLUGINS.into()],
        without_node: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start_with(options)?;
    cluster.wait_for("the node says what is missing", SOON, || {
        let message = "jsonpath={.items[0].status.conditions[?(@.type==\"Ready\")].message}";
        let said = cluster.kubectl(&["get", "nodes", "-o", message])?.ok()?;
        ensure!(said.contains("cni plugin not initialized"), "{said}");
        Ok(())
    })?;
    // As an installer does: written beside and renamed.
    let write = format!(
        "mkdir -p /etc/cni/net.d && cat > /etc/cni/net.d/.new <<'E'\n{CONFLIST}\nE\nmv /etc/cni/net.d/.new /etc/cni/net.d/10-debian.conflist"
    );
    cluster.corner().sh(&write)?.ok()?;
    cluster.wait_for_node()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&shell("client"))?;
    cluster.apply(&host_port())?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    let client = wait_for_pod(&cluster, "client")?;
    ensure!(
        client["status"]["podIP"]
            .as_str()
            .is_some_and(|ip| ip.starts_with("10.42.99.")),
        "{}",
        client["status"]
    );
    answered_by(
        &cluster,
        "client",
        "http://web.default.svc.cluster.local",
        2,
    )?;
    wait_for_pod(&cluster, "port")?;
    let fetch = || {
        cluster
            .corner()
            .sh("wget -q -T 2 -t 1 -O - http://192.0.2.10:8088")?
            .ok()
    };
    cluster.wait_for("the host port answers", SOON, fetch)?;

    cluster
        .kubectl(&["delete", "deployment,pod", "--all", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("leases, results and links are gone", SOON, || {
        let line = "ls /var/lib/cni/leases/debian | grep -c '^10.42' ; ls /var/lib/cni/results | wc -l; ip -o link | grep -c veth";
        let left = cluster.corner().sh(line)?.stdout;
        // The end of the machine's own uplink is a pair too.
        ensure!(left.split_whitespace().take(2).eq(["0", "0"]), "{left}");
        Ok(())
    })
}

/// containerd as Debian packages it, with its state in the corner.
fn containerd(images: &[k3s_harness::Image]) -> Vec<String> {
    let config = "version = 2\nroot = \"/var/lib/rancher/containerd\"\nstate = \"/run/containerd\"\n\
        [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"docker.io/library/pause:1\"\n  restrict_oom_score_adj = true\n\
        [plugins.\"io.containerd.grpc.v1.cri\".cni]\n  bin_dir = \"/usr/lib/cni\"\n  conf_dir = \"/etc/cni/net.d\"\n";
    let start = format!(
        "mkdir -p /run/containerd && cat > /run/containerd.toml <<'E'\n{config}E\n\
         setsid containerd --config /run/containerd.toml > /run/containerd.log 2>&1 < /dev/null &\n\
         for i in $(seq 100); do ctr version > /dev/null 2>&1 && exit 0; sleep 0.1; done; cat /run/containerd.log; exit 1"
    );
    let import = images
        .iter()
        .map(|image| format!("ctr -n k8s.io images import {}", image.path().display()));
    [OWN_PLUGINS.to_owned(), start]
        .into_iter()
        .chain(import)
        .collect()
}

/// A pod that calls a URL all the time and prints the answers. (containerd 1.6 has exec over SPDY only.)
fn caller(url: &str) -> String {
    fixture!("caller", IMAGE = SHELL, URL = url)
}

#[test]
fn pods_of_a_foreign_runtime_are_on_our_network() -> Result<()> {
    let images = [
        pause("docker.io/library/pause:1")?,
        busybox(SHELL)?,
        http_server(WEB_1, "one")?,
    ];
    let options = ClusterOptions {
        flags: vec![
            "--container-runtime-endpoint".into(),
            "unix:///run/containerd/containerd.sock".into(),
        ],
        prepare: containerd(&images),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start_with(options)?;
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "wide"])?.ok()?;
    ensure!(nodes.contains("containerd://"), "{nodes}");
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&caller("http://web.default.svc.cluster.local"))?;
    cluster.apply(&host_port())?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    let caller = wait_for_pod(&cluster, "caller")?;
    ensure!(
        caller["status"]["podIP"]
            .as_str()
            .is_some_and(|ip| ip.starts_with("10.42.0.")),
        "{}",
        caller["status"]
    );
    cluster.wait_for("a pod reaches the others by their service", SOON, || {
        let logs = cluster.kubectl(&["logs", "caller"])?.ok()?;
        let servers: std::collections::BTreeSet<&str> =
            logs.lines().filter(|l| l.starts_with("one web-")).collect();
        ensure!(servers.len() == 2, "{logs}");
        Ok(())
    })?;
    wait_for_pod(&cluster, "port")?;
    let fetch = || {
        cluster
            .corner()
            .sh("wget -q -T 2 -t 1 -O - http://192.0.2.10:8088")?
            .ok()
    };
    cluster.wait_for("the host port answers", SOON, fetch)?;
    let logs = cluster
        .kubectl(&["logs", "deployment/web", "--tail=5"])?
        .ok()?;
    ensure!(logs.contains("GET / HTTP/1.1"), "{logs}");

    cluster
        .kubectl(&["delete", "deployment,pod", "--all", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("addresses are given back", SOON, || {
        let left = cluster
            .corner()
            .sh("ls /var/lib/cni/networks/cbr0 | grep -c '^10.42'")?
            .stdout;
        ensure!(left.trim() == "0", "{left}");
        Ok(())
    })
}
