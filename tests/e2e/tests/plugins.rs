//! Batteries by strangers: a pod network of another design, plugins that misbehave, replacement while
//! everything runs, and what an operator gets wrong.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k3s_e2e::guests::{self, PUSH, build};
use k3s_e2e::{SHELL, SOON, answered_by, cluster, exec, shell, wait_for_pod, web};
use k3s_harness::{Cluster, ClusterOptions, Corner, busybox, http_server, until};

/// Trying is over by then also on a loaded machine: five seconds of a loop, twice, and back-off.
const LATE: Duration = Duration::from_secs(120);

#[test]
fn pods_get_the_network_of_a_foreign_component() -> Result<()> {
    let calico = build("calico")?;
    let images = vec![busybox(SHELL)?, http_server(k3s_e2e::WEB_1, "one")?];
    let flags = vec!["--plugin".to_owned(), format!("cni={}", calico.display())];
    let cluster = Cluster::start_with(ClusterOptions {
        flags,
        images,
        ..ClusterOptions::default()
    })?;
    cluster.apply(&web("web", 2, k3s_e2e::WEB_1))?;
    cluster.apply(&shell("client"))?;
    wait_for_pod(&cluster, "client")?;
    // Services and DNS on top of it.
    answered_by(&cluster, "client", "http://web", 2)?;
    let pod = cluster.get(&["pod", "client"])?;
    let ip = pod["status"]["podIP"]
        .as_str()
        .context("no address")?
        .to_owned();
    let routes = cluster
        .corner()
        .sh("ip -4 route; ip -4 link show type bridge")?
        .ok()?;
    ensure!(
        routes
            .lines()
            .any(|l| l.starts_with(&format!("{ip} dev veth"))),
        "no route to {ip}:\n{routes}"
    );
    ensure!(!routes.contains("cni0"), "there is a bridge:\n{routes}");
    let addresses = exec(&cluster, "client", "ip -4 addr show eth0")?;
    ensure!(addresses.contains(&format!("{ip}/32")), "{addresses}");
    let plugins = cluster.kubectl(&["get", "plugins"])?.ok()?;
    let row = plugins
        .lines()
        .find(|l| l.starts_with("cni "))
        .context("no cni")?;
    ensure!(row.contains("calico") && row.contains("Ready"), "{plugins}");
    let refused = cluster
        .kubectl(&["delete", "plugins.k3s.io", "cni"])?
        .failed()?;
    ensure!(refused.contains("MethodNotAllowed"), "{refused}");
    cluster
        .kubectl(&["delete", "pod", "client", "--wait"])?
        .ok()?;
    let left = cluster.corner().sh("ip -4 route")?.ok()?;
    ensure!(
        !left.lines().any(|l| l.starts_with(&format!("{ip} "))),
        "the route stayed:\n{left}"
    );
    Ok(())
}

/// A default cluster with a web service, a client that calls it all the time, and a configuration
/// that the test changes.
struct Rig {
    cluster: Cluster,
}

impl Rig {
    fn new() -> Result<Self> {
        let cluster = cluster()?;
        cluster.apply(&web("web", 2, k3s_e2e::WEB_1))?;
        cluster.apply(&shell("client"))?;
        wait_for_pod(&cluster, "client")?;
        answered_by(&cluster, "client", "http://web", 2)?;
        let line = "(while :; do /usr/bin/wget -q -T 5 -O /dev/null http://web || date >> /tmp/failed; done) >/dev/null 2>&1 &";
        exec(&cluster, "client", line)?;
        Ok(Self { cluster })
    }

    /// Chooses a pod network (`None`: the bundled one) and has the server act on it.
    fn choose(&self, plugin: Option<&str>) -> Result<()> {
        let text = plugin.map_or("plugin: []\n".to_owned(), |plugin| {
            format!("plugin:\n  - '{plugin}'\n")
        });
        let file = self.cluster.corner().dir().join("config.yaml");
        std::fs::write(&file, text)?;
        let line = format!(
            "mkdir -p /etc/rancher/k3s && cp {} /etc/rancher/k3s/config.yaml && pkill -HUP -o -f 'k3s server'",
            file.display()
        );
        self.cluster.corner().sh(&line)?.ok().map(drop)
    }

    /// Waits for an Event about the pod network.
    fn told(&self, reason: &str, part: &str) -> Result<()> {
        self.cluster
            .wait_for(&format!("an Event {reason} says {part:?}"), SOON, || {
                let events = self
                    .cluster
                    .kubectl(&[
                        "get",
                        "events",
                        "-n",
                        "default",
                        "--field-selector",
                        "involvedObject.kind=Plugin",
                    ])?
                    .ok()?;
                ensure!(
                    events
                        .lines()
                        .any(|l| l.contains(reason) && l.contains(part)),
                    "{events}"
                );
                Ok(())
            })
    }

    fn serves(&self, name: &str) -> Result<()> {
        self.cluster
            .wait_for(&format!("{name} serves as cni"), SOON, || {
                let plugin = self.cluster.get(&["plugin", "cni"])?;
                ensure!(plugin["status"]["name"] == name, "{plugin}");
                Ok(())
            })
    }

    /// Chooses the hostile network in one of its modes, under a name of its own.
    fn misbehaving(&self, mode: &str, guest: &Path) -> Result<()> {
        let dir = self.cluster.corner().dir();
        let (plugin, config) = (
            dir.join(format!("hostile-{mode}.wasm")),
            dir.join(format!("{mode}.json")),
        );
        std::fs::copy(guest, &plugin)?;
        std::fs::write(&config, format!("{{\"mode\": \"{mode}\"}}"))?;
        self.choose(Some(&format!(
            "cni={},config={}",
            plugin.display(),
            config.display()
        )))
    }

    fn pod_is_told(&self, pod: &str, part: &str) -> Result<()> {
        self.cluster.apply(&shell(pod))?;
        self.cluster
            .wait_for(&format!("pod {pod} is told {part:?}"), LATE, || {
                let selector = format!("involvedObject.name={pod}");
                let events = self
                    .cluster
                    .kubectl(&["get", "events", "--field-selector", &selector])?
                    .ok()?;
                ensure!(events.contains(part), "{events}");
                Ok(())
            })
    }

    fn not_one_request_failed(&self) -> Result<()> {
        let failed = exec(
            &self.cluster,
            "client",
            "cat /tmp/failed 2>/dev/null || true",
        )?;
        ensure!(failed.is_empty(), "requests failed at {failed}");
        Ok(())
    }
}

#[test]
fn a_misbehaving_network_is_contained_and_replaced() -> Result<()> {
    let hostile = build("hostile-cni")?;
    let rig = Rig::new()?;
    for (mode, said) in [
        ("loop", "did not come back within"),
        ("hog", "above its limit of"),
        ("huge", "fuel"),
        ("lie", "\"not an address\" as an address"),
        ("grab", "not granted"),
        ("flood", "flooded on purpose"),
    ] {
        rig.misbehaving(mode, &hostile)?;
        rig.told(
            "Replaced",
            &format!(
                "by {}",
                rig.cluster
                    .corner()
                    .dir()
                    .join(format!("hostile-{mode}.wasm"))
                    .display()
            ),
        )?;
        rig.serves("hostile")?;
        let pod = format!("victim-{mode}");
        rig.pod_is_told(&pod, said)
            .with_context(|| mode.to_owned())?;
        rig.cluster
            .kubectl(&["delete", "pod", &pod, "--wait=false"])?
            .ok()?;
    }
    // Every call traps: two pods, each shunned after two failures, are more than the restarts allow.
    rig.misbehaving("trap", &hostile)?;
    rig.cluster.apply(&format!(
        "{}---\n{}",
        shell("trapped-a"),
        shell("trapped-b")
    ))?;
    rig.told("Quarantined", "unreachable")?;
    let wide = rig
        .cluster
        .kubectl(&["get", "plugins", "-o", "wide"])?
        .ok()?;
    ensure!(
        wide.contains("with pod default/trapped-"),
        "the input is not named:\n{wide}"
    );
    // Back to the bundled one: what waited gets its network.
    rig.choose(None)?;
    rig.serves("flannel")?;
    rig.cluster
        .wait_for("the pods that waited are Ready", LATE, || {
            for pod in ["trapped-a", "trapped-b"] {
                let pod = rig.cluster.get(&["pod", pod])?;
                ensure!(k3s_e2e::condition(&pod, "Ready"), "{}", pod["status"]);
            }
            Ok(())
        })?;
    rig.not_one_request_failed()?;
    let metrics = rig.cluster.kubectl(&["get", "--raw", "/metrics"])?.ok()?;
    ensure!(
        metrics
            .lines()
            .any(|l| l.starts_with("k3s_plugin_traps_total") && !l.ends_with(" 0")),
        "no traps counted"
    );
    Ok(())
}

#[test]
fn a_bad_replacement_never_takes_over() -> Result<()> {
    let (hostile, rig) = (build("hostile-cni")?, Rig::new()?);
    let broken = rig.cluster.corner().dir().join("broken.wasm");
    std::fs::write(&broken, "no component")?;
    for (plugin, said) in [
        ("cni=/no/such.wasm".to_owned(), "/no/such.wasm"),
        (
            format!("cni={}", broken.display()),
            "not a WebAssembly component",
        ),
        (
            format!("cni={},digest=sha256:{}", hostile.display(), "0".repeat(64)),
            "the digest is",
        ),
        ("datastore=flannel".to_owned(), "no datastore plugin"),
    ] {
        rig.choose(Some(&plugin))?;
        rig.told("NotReplaced", said)?;
        rig.serves("flannel")?;
    }
    for (mode, said) in [
        ("refuse", "refuses its configuration"),
        ("fail-sync", "no network, on purpose"),
    ] {
        rig.misbehaving(mode, &hostile)?;
        rig.told("NotReplaced", said)?;
        rig.serves("flannel")?;
    }
    // A pod made now is on the network that is still active.
    rig.cluster.apply(&shell("later"))?;
    wait_for_pod(&rig.cluster, "later")?;
    answered_by(&rig.cluster, "later", "http://web", 2)?;
    Ok(())
}

#[test]
fn mistakes_get_one_clear_sentence() -> Result<()> {
    let (calico, corner) = (build("calico")?, Corner::new()?);
    let zeros = "0".repeat(64);
    let wasm = calico.display();
    for (plugin, said) in [
        ("dns=flannel".to_owned(), "unknown kind of plugin"),
        ("cni=nothing".to_owned(), "(bundled: flannel)"),
        ("cni=/no/such.wasm".to_owned(), "/no/such.wasm"),
        ("cni=/etc/passwd".to_owned(), "not a WebAssembly component"),
        (format!("datastore={wasm}"), "not a datastore plugin"),
        (
            format!("cni={wasm},digest=sha256:{zeros}"),
            "the digest is sha256:",
        ),
        (format!("cni={wasm},grant=root"), "unknown grant"),
        (
            format!("cni={wasm},config=/etc/passwd"),
            "config=/etc/passwd",
        ),
        (
            format!("cni=oci://127.0.0.1:1/a/b@sha256:{zeros}"),
            "127.0.0.1:1",
        ),
        ("cni=oci://127.0.0.1:5000/a/b:v1".to_owned(), "by digest"),
    ] {
        guests::refused(&corner, &plugin, said)?;
    }
    Ok(())
}

#[test]
fn components_come_from_a_registry_by_digest() -> Result<()> {
    let (calico, corner) = (build("calico")?, Corner::new()?);
    let (dir, k3s) = (
        corner.dir().display().to_string(),
        k3s_harness::k3s_binary()?,
    );
    let registry = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {dir}/registry}}}}\nhttp: {{addr: '127.0.0.1:5000'}}\n"
    );
    std::fs::write(corner.dir().join("registry.yml"), registry)?;
    let _registry = corner.background(
        &format!("exec docker-registry serve {dir}/registry.yml"),
        "registry.log",
    )?;
    until("the registry answers", Duration::from_secs(20), || {
        corner.sh("curl -sf http://127.0.0.1:5000/v2/")?.ok()
    })?;
    std::fs::write(corner.dir().join("push.sh"), PUSH)?;
    let push = format!(
        "DIR={dir} REPO=mirrored/cni/calico FILE={} sh {dir}/push.sh",
        calico.display()
    );
    let digest = corner.sh(&push)?.ok()?.trim().to_owned();

    let inspect =
        |reference: &str| corner.sh(&format!("{} plugin inspect {reference}", k3s.display()));
    let direct = inspect(&format!(
        "oci://127.0.0.1:5000/mirrored/cni/calico@{digest}"
    ))?
    .ok()?;
    ensure!(
        direct.contains("kind:     cni")
            && direct.contains("calico")
            && direct.contains("grants:   none"),
        "{direct}"
    );
    let mirrors = "mirrors:\n  registry.test:\n    endpoint: ['http://127.0.0.1:5000']\n    rewrite: {'^(.*)$': 'mirrored/$1'}\n";
    std::fs::write(corner.dir().join("registries.yaml"), mirrors)?;
    corner
        .sh(&format!(
            "mkdir -p /etc/rancher/k3s && cp {dir}/registries.yaml /etc/rancher/k3s/"
        ))?
        .ok()?;
    let mirrored = inspect(&format!("oci://registry.test/cni/calico@{digest}"))?.ok()?;
    ensure!(mirrored.contains("kind:     cni"), "{mirrored}");
    let other = inspect(&format!(
        "oci://registry.test/cni/calico@sha256:{}",
        "1".repeat(64)
    ))?
    .failed()?;
    ensure!(
        other.contains("not found") || other.contains("registry.test"),
        "{other}"
    );
    Ok(())
}

#[test]
fn plugins_are_listed_inspected_and_checked_without_a_cluster() -> Result<()> {
    let calico = build("calico")?.display().to_string();
    let bundled = guests::k3s(&["plugin", "list", "--bundled"])?;
    ensure!(
        bundled.contains("sqlite") && bundled.contains("flannel"),
        "{bundled}"
    );
    for plugin in ["flannel", calico.as_str()] {
        let checked = guests::k3s(&["plugin", "check", plugin])?;
        ensure!(
            checked.contains("keeps the contract of cni plugins") && !checked.contains("FAILED"),
            "{checked}"
        );
    }
    for (plugin, kind) in [
        ("traefik", "ingress"),
        ("klipper", "load-balancer"),
        ("local-path", "storage"),
    ] {
        let checked = guests::k3s(&["plugin", "check", plugin])?;
        ensure!(
            checked.contains(&format!("keeps the contract of {kind} plugins")),
            "{checked}"
        );
    }
    let inspected = guests::k3s(&["plugin", "inspect", "sqlite"])?;
    ensure!(
        inspected.contains("k3s:sql/sql@0.1.0") && inspected.contains("offered"),
        "{inspected}"
    );
    let hostile: PathBuf = build("hostile-cni")?;
    match guests::k3s(&["plugin", "check", &hostile.display().to_string()]) {
        Ok(text) => bail!("a network that connects nothing keeps the contract?\n{text}"),
        Err(error) => ensure!(format!("{error:#}").contains("cases failed"), "{error:#}"),
    }
    Ok(())
}

/// The contract is not shaped by Rust; and a language that imports WASI needs the grant.
#[test]
fn a_network_in_javascript_serves_pods() -> Result<()> {
    let network = guests::build_javascript()?.display().to_string();
    let checked = guests::k3s(&["plugin", "check", &network])?;
    ensure!(checked.contains("keeps the contract"), "{checked}");
    let inspected = guests::k3s(&["plugin", "inspect", &network])?;
    ensure!(
        inspected.contains("grants:   wasi") && inspected.contains("name:     javascript"),
        "{inspected}"
    );
    let corner = Corner::new()?;
    let denied = corner.sh(&format!(
        "{} server --plugin 'cni={network}'",
        k3s_harness::k3s_binary()?.display()
    ))?;
    let said = denied.failed()?;
    ensure!(said.contains("needs the grant \"wasi\""), "{said}");
    drop(corner);
    let flags = vec![format!("--plugin=cni={network},grant=wasi")];
    let images = vec![busybox(SHELL)?];
    // The first start compiles 12 MB of JavaScript engine, before the node is there.
    let mut cluster = Cluster::start_with(ClusterOptions {
        flags,
        images,
        without_node: true,
        ..ClusterOptions::default()
    })?;
    cluster.wait_for("the network is compiled", LATE * 3, || {
        let plugin = cluster.get(&["plugin", "cni"])?;
        ensure!(plugin["status"]["name"] == "javascript", "{plugin}");
        Ok(())
    })?;
    cluster.take_as_fresh()?;
    cluster.wait_for_node()?;
    cluster.apply(&format!("{}---\n{}", shell("one"), shell("two")))?;
    wait_for_pod(&cluster, "one")?;
    let ip = wait_for_pod(&cluster, "two")?["status"]["podIP"]
        .as_str()
        .context("no address")?
        .to_owned();
    exec(&cluster, "one", &format!("ping -c 1 -W 5 {ip}"))?;
    Ok(())
}
