//! Batteries are replaced under load, and ones that misbehave are contained: no user of them notices.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use anyhow::{Context, Result, bail, ensure};
use k3s_e2e::guests::build;
use k3s_e2e::swap::{Load, choose, serves, settings, told};
use k3s_e2e::{SHELL, SOON, WEB_1, WEB_2, cluster, condition, fixture, web};
use k3s_harness::Cluster;
use serde_json::json;

/// The node's address in its corner.
const NODE: &str = "192.0.2.10";
/// Requests per second.
const RATE: u32 = 1000;
const LOAD: &str = env!("CARGO_BIN_EXE_steady-load");
const HOST: &str = "shop.example.com";

fn page(cluster: &Cluster, path: &str) -> Result<String> {
    cluster
        .corner()
        .sh(&format!(
            "curl -sS -f -m 10 -H 'Host: {HOST}' http://{NODE}{path}"
        ))?
        .ok()
}

fn answers(cluster: &Cluster, path: &str, begin: &str) -> Result<()> {
    cluster.wait_for(&format!("{path} is answered by {begin:?}"), SOON, || {
        let page = page(cluster, path)?;
        ensure!(page.starts_with(begin), "{page}");
        Ok(())
    })
}

fn ingress(name: &str, paths: &[(&str, &str, u16)]) -> String {
    let path = |(path, service, port): &(&str, &str, u16)| {
        fixture!(
            "ingress-path",
            PATH = path,
            TYPE = "Prefix",
            SERVICE = service,
            PORT = port
        )
    };
    let paths: String = paths.iter().map(path).collect();
    fixture!("ingress", NAME = name, HOST = HOST) + &paths
}

fn rolled_out(cluster: &Cluster, name: &str) -> Result<()> {
    let name = format!("deployment/{name}");
    cluster
        .kubectl(&["rollout", "status", &name, "--timeout=60s"])?
        .ok()
        .map(drop)
}

/// Does `work` again and again while 5,000 requests are made; not one may fail.
fn under_load(
    cluster: &Cluster,
    within: &[&str],
    at: &str,
    work: impl Fn() -> Result<()>,
) -> Result<()> {
    let load = Load::start(cluster, LOAD, within, [at, HOST, "/"], RATE)?;
    while load.sent() < 5 * RATE {
        work()?;
    }
    load.end().map(drop)
}

#[test]
fn ingress_components_are_replaced_without_a_failed_request() -> Result<()> {
    let foreign = build("hostile-ingress")?;
    let cluster = cluster()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&web("canary", 1, WEB_2))?;
    // A server outside of the cluster, reached only by a component that is configured for it.
    let dir = cluster.corner().dir().join("outside");
    std::fs::create_dir(&dir)?;
    std::fs::write(dir.join("ext"), "outside\n")?;
    let line = format!("exec busybox httpd -f -p {NODE}:9000 -h {}", dir.display());
    let _outside = cluster.corner().background(&line, "outside.log")?;
    cluster.apply(&fixture!("service-outside"))?;
    cluster.apply(&ingress("shop", &[("/", "web", 80)]))?;
    cluster.apply(&ingress("ext", &[("/ext", "outside", 9000)]))?;
    rolled_out(&cluster, "web")?;
    rolled_out(&cluster, "canary")?;
    answers(&cluster, "/", "one web-")?;
    let is_closed = || match page(&cluster, "/ext") {
        Ok(page) if page.starts_with("outside") => bail!("it leads outside"),
        _ => Ok(()),
    };
    is_closed()?;
    // Objects that no informer follows yet are not available without a restart.
    let nosy = settings(&cluster, "nosy", &json!({"mode": "nosy"}))?;
    choose(
        &cluster,
        &[&format!(
            "ingress={},config={}",
            foreign.display(),
            nosy.display()
        )],
    )?;
    told(&cluster, "ingress", "NotReplaced", "it asks for configmaps")?;
    let open = settings(
        &cluster,
        "open",
        &json!({"allowExternalNameServices": true}),
    )?;
    let canary = settings(&cluster, "canary", &json!({"service": "default/canary"}))?;
    let (open, canary) = (open.display(), canary.display());
    under_load(&cluster, &[], &format!("{NODE}:80"), || {
        choose(&cluster, &[&format!("ingress=traefik,config={open}")])?;
        answers(&cluster, "/ext", "outside")?;
        // The same from a file, of another design: it has every request answered by the canary.
        choose(
            &cluster,
            &[&format!("ingress={},config={canary}", foreign.display())],
        )?;
        answers(&cluster, "/ext", "two canary-")?;
        answers(&cluster, "/", "two canary-")?;
        serves(&cluster, "ingress", "hostile")?;
        choose(&cluster, &[])?;
        answers(&cluster, "/", "one web-")?;
        cluster.wait_for("the first configuration is in force again", SOON, is_closed)?;
        serves(&cluster, "ingress", "traefik")
    })
}

fn balancer(name: &str, port: u16) -> String {
    fixture!("load-balancer", NAME = name, APP = "web", PORT = port)
}

fn has_address(cluster: &Cluster, service: &str, wanted: &str) -> Result<()> {
    cluster.wait_for(&format!("{service} shows {wanted:?}"), SOON, || {
        let path = "jsonpath={.status.loadBalancer.ingress[*].ip}";
        let shown = cluster
            .kubectl(&["get", "service", service, "-o", path])?
            .ok()?;
        ensure!(shown == wanted, "{shown:?}");
        Ok(())
    })
}

/// A cluster with a Service on port 8080, and the words that lead to a machine beside the node.
fn balanced() -> Result<(Cluster, [&'static str; 4])> {
    let cluster = cluster()?;
    let line = "ip netns add beside && ip link set uplink netns beside && \
        ip -n beside addr add 192.0.2.1/24 dev uplink && ip -n beside link set uplink up";
    cluster.corner().sh(line)?.ok()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&balancer("lb", 8080))?;
    rolled_out(&cluster, "web")?;
    has_address(&cluster, "lb", NODE)?;
    cluster.wait_for("the node answers", SOON, || {
        cluster
            .corner()
            .sh(&format!(
                "ip netns exec beside curl -sS -f -m 5 http://{NODE}:8080"
            ))?
            .ok()
    })?;
    Ok((cluster, ["ip", "netns", "exec", "beside"]))
}

#[test]
fn load_balancers_are_replaced_without_a_failed_request() -> Result<()> {
    let foreign = build("hostile-lb")?;
    let (cluster, beside) = balanced()?;
    cluster.apply(&balancer("other", 8083))?;
    has_address(&cluster, "other", NODE)?;
    let reserved = json!({"reserved": [{"port": 8083, "by": "the operator"}]});
    let reserved = settings(&cluster, "reserved", &reserved)?;
    under_load(&cluster, &beside, &format!("{NODE}:8080"), || {
        choose(
            &cluster,
            &[&format!(
                "load-balancer=klipper,config={}",
                reserved.display()
            )],
        )?;
        has_address(&cluster, "other", "")?;
        let said = cluster.kubectl(&["describe", "service", "other"])?.ok()?;
        ensure!(
            said.contains("port 8083/TCP is used by the operator"),
            "{said}"
        );
        choose(&cluster, &[&format!("load-balancer={}", foreign.display())])?;
        has_address(&cluster, "other", NODE)?;
        serves(&cluster, "load-balancer", "hostile")?;
        choose(&cluster, &[])?;
        serves(&cluster, "load-balancer", "klipper")?;
        has_address(&cluster, "lb", NODE)
    })?;
    // The ports of the ingress controller are its own while there is one.
    cluster.apply(&balancer("web-port", 80))?;
    cluster.wait_for("port 80 is refused", SOON, || {
        let said = cluster
            .kubectl(&["describe", "service", "web-port"])?
            .ok()?;
        ensure!(
            said.contains("port 80/TCP is used by the ingress controller"),
            "{said}"
        );
        Ok(())
    })
}

/// A claim and a pod that uses it.
fn user(name: &str) -> String {
    fixture!("claim-and-writer", NAME = name, IMAGE = SHELL)
}

/// Waits for a pod with its claim; gives the directory.
fn directory(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.wait_for(&format!("{name} runs with its volume"), SOON * 2, || {
        let pod = cluster.get(&["pod", name])?;
        ensure!(condition(&pod, "Ready"), "{}", pod["status"]);
        let claim = cluster.get(&["pvc", name])?;
        ensure!(claim["status"]["phase"] == "Bound", "{claim}");
        let volume = cluster.get(&[
            "pv",
            claim["spec"]["volumeName"].as_str().context("no volume")?,
        ])?;
        Ok(volume["spec"]["local"]["path"]
            .as_str()
            .context("no path")?
            .to_owned())
    })
}

#[test]
fn storage_provisioners_are_replaced_between_claims() -> Result<()> {
    let cluster = cluster()?;
    const FAST: &str = "/var/lib/rancher/k3s/storage/fast";
    cluster.apply(&user("before"))?;
    let before = directory(&cluster, "before")?;
    ensure!(!before.starts_with(FAST), "{before}");
    let paths =
        json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [FAST]}]});
    let fast = settings(&cluster, "fast", &paths)?;
    // Claims come all the time while the component changes, twice.
    let during: Vec<String> = (0..6).map(|at| format!("during-{at}")).collect();
    for (at, name) in during.iter().enumerate() {
        cluster.apply(&user(name))?;
        match at {
            1 => choose(
                &cluster,
                &[&format!("storage=local-path,config={}", fast.display())],
            )?,
            3 => choose(&cluster, &["storage=local-path"])?,
            4 => choose(
                &cluster,
                &[&format!("storage=local-path,config={}", fast.display())],
            )?,
            _ => {}
        }
    }
    for name in &during {
        directory(&cluster, name)?;
    }
    cluster.wait_for("the settings are in the cluster", SOON, || {
        let map = cluster.get(&["configmap", "-n", "kube-system", "local-path-config"])?;
        ensure!(
            map["data"]["config.json"]
                .as_str()
                .is_some_and(|text| text.contains(FAST)),
            "{map}"
        );
        Ok(())
    })?;
    cluster.apply(&user("after"))?;
    let after = directory(&cluster, "after")?;
    ensure!(after.starts_with(&format!("{FAST}/pvc-")), "{after}");
    // What the one before made is still there, and is taken away by one that knows of its place.
    let who = cluster
        .kubectl(&["exec", "before", "--", "cat", "/data/who"])?
        .ok()?;
    ensure!(who == "before\n", "{who}");
    choose(&cluster, &[])?;
    cluster
        .kubectl(&["delete", "pod/before", "pvc/before", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("its directory is gone", SOON, || {
        cluster.corner().sh(&format!("test ! -e {before}"))?.ok()
    })?;
    // One that is told nonsense never takes over.
    let odd = settings(&cluster, "odd", &json!({"nodePathMap": "everywhere"}))?;
    choose(
        &cluster,
        &[&format!("storage=local-path,config={}", odd.display())],
    )?;
    told(
        &cluster,
        "storage",
        "NotReplaced",
        "refuses its configuration",
    )?;
    cluster.apply(&user("last"))?;
    directory(&cluster, "last").map(drop)
}

/// What `kubectl get plugins -o wide` says of a kind.
fn says(cluster: &Cluster, kind: &str, parts: &[&str]) -> Result<()> {
    cluster.wait_for(&format!("{kind} is said to be {parts:?}"), SOON * 3, || {
        let shown = cluster.kubectl(&["get", "plugins", "-o", "wide"])?.ok()?;
        let row = shown
            .lines()
            .find(|line| line.starts_with(kind))
            .context("no such plugin")?;
        ensure!(parts.iter().all(|part| row.contains(part)), "{row}");
        Ok(())
    })
}

#[test]
fn misbehaving_ingress_components_cost_no_request() -> Result<()> {
    let hostile = build("hostile-ingress")?;
    let cluster = cluster()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&web("canary", 1, WEB_2))?;
    cluster.apply(&ingress("shop", &[("/", "web", 80)]))?;
    rolled_out(&cluster, "web")?;
    rolled_out(&cluster, "canary")?;
    answers(&cluster, "/", "one web-")?;
    let load = Load::start(
        &cluster,
        LOAD,
        &[],
        [&format!("{NODE}:80"), HOST, "/"],
        RATE / 10,
    )?;
    for (mode, said) in [
        ("loop", &["did not come back within"][..]),
        ("hog", &["above its limit of"]),
        ("trap", &["Quarantined", "unreachable"]),
        // What it says of objects that it was not given is left out; nothing fails.
        ("lie", &["Ready"]),
        ("huge", &["fuel"]),
    ] {
        let config = settings(
            &cluster,
            mode,
            &json!({"mode": mode, "service": "default/web"}),
        )?;
        choose(
            &cluster,
            &[&format!(
                "ingress={},config={}",
                hostile.display(),
                config.display()
            )],
        )?;
        told(&cluster, "ingress", "Replaced", "by ")?;
        serves(&cluster, "ingress", "hostile")?;
        cluster.apply(&ingress("victim", &[("/victim", "canary", 80)]))?;
        says(&cluster, "ingress", said).with_context(|| mode.to_owned())?;
        answers(&cluster, "/", "one web-")?;
        // The bundled one serves it, and takes it back.
        choose(&cluster, &[])?;
        answers(&cluster, "/victim", "two canary-")?;
        cluster.kubectl(&["delete", "ingress", "victim"])?.ok()?;
        answers(&cluster, "/victim", "one web-")?;
    }
    told(&cluster, "ingress", "Quarantined", "unreachable")?;
    let sent = load.end()?;
    ensure!(sent > 0, "no request was sent");
    Ok(())
}

#[test]
fn misbehaving_load_balancers_cost_no_request() -> Result<()> {
    let hostile = build("hostile-lb")?;
    let (cluster, beside) = balanced()?;
    let load = Load::start(
        &cluster,
        LOAD,
        &beside,
        [&format!("{NODE}:8080"), HOST, "/"],
        RATE / 10,
    )?;
    for (mode, said) in [
        ("loop", &["did not come back within"][..]),
        ("trap", &["Quarantined", "unreachable"]),
        ("lie", &["Ready"]),
        ("huge", &["above its limit of"]),
    ] {
        let config = settings(&cluster, mode, &json!({"mode": mode}))?;
        choose(
            &cluster,
            &[&format!(
                "load-balancer={},config={}",
                hostile.display(),
                config.display()
            )],
        )?;
        serves(&cluster, "load-balancer", "hostile")?;
        cluster.apply(&balancer("victim", 8090))?;
        says(&cluster, "load-balancer", said).with_context(|| mode.to_owned())?;
        // An address that is not a node's is not taken; the rest of the answer is.
        ensure!(
            cluster
                .corner()
                .sh("nft list table ip k3s-services")?
                .ok()?
                .contains(NODE),
            "the Service that was there is gone"
        );
        // The bundled one serves the victim, and takes it back.
        choose(&cluster, &[])?;
        serves(&cluster, "load-balancer", "klipper")?;
        has_address(&cluster, "victim", NODE)?;
        cluster
            .kubectl(&["delete", "service", "victim", "--timeout=60s"])?
            .ok()?;
        cluster.wait_for("nothing of the victim is left", SOON, || {
            let rules = cluster
                .corner()
                .sh("nft list table ip k3s-services")?
                .ok()?;
            ensure!(!rules.contains("tcp . 8090"), "{rules}");
            Ok(())
        })?;
    }
    told(&cluster, "load-balancer", "Quarantined", "unreachable")?;
    let sent = load.end()?;
    ensure!(sent > 0, "no request was sent");
    cluster.apply(&balancer("later", 8091))?;
    has_address(&cluster, "later", NODE)
}
