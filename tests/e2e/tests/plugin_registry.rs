//! A server that starts with a component from a registry: in plain HTTP, with a password, with TLS; and what it
//! says when it cannot have it.

#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Result, ensure};
use k3s_e2e::SOON;
use k3s_e2e::guests::{PUSH, build};
use k3s_harness::{Background, Cluster, ClusterOptions, Corner, until};

/// A vector of the `crypt_blowfish` test suite: what the password `U*U` looks like to a registry.
const PASSWORD: &str = "U*U";
const HTPASSWD: &str = "k3s:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

/// One server of the corner's registry on a port of loopback; all have the same content.
fn registry(corner: &Corner, port: u16, more: &str) -> Result<Background> {
    let dir = corner.dir().display();
    let http = if more.starts_with("tls") {
        format!(", {more}")
    } else {
        String::new()
    };
    let auth = if more.starts_with("auth") { more } else { "" };
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {dir}/registry}}}}\nhttp: {{addr: '127.0.0.1:{port}'{http}}}\n{auth}\n"
    );
    std::fs::write(corner.dir().join(format!("registry-{port}.yml")), config)?;
    let line = format!("exec docker-registry serve {dir}/registry-{port}.yml");
    let running = corner.background(&line, &format!("registry-{port}.log"))?;
    until("the registry listens", Duration::from_secs(20), || {
        corner
            .sh(&format!("ss -Hltn 'sport = :{port}' | grep -q LISTEN"))?
            .ok()
    })?;
    Ok(running)
}

/// Writes `registries.yaml`.
fn registries_only(corner: &Corner, text: &str) -> Result<()> {
    let file = corner.dir().join("registries.yaml");
    std::fs::write(&file, text)?;
    let line = format!(
        "mkdir -p /etc/rancher/k3s && cp {} /etc/rancher/k3s/registries.yaml",
        file.display()
    );
    corner.sh(&line)?.ok().map(drop)
}

/// The same, and forgets what was fetched before.
fn registries(corner: &Corner, text: &str) -> Result<()> {
    corner
        .sh("rm -rf /var/lib/rancher/k3s/server/plugin-files")?
        .ok()?;
    registries_only(corner, text)
}

/// Starts the server with a component as the pod network; the node is Ready with it.
fn starts_with(cluster: &mut Cluster, reference: &str) -> Result<()> {
    cluster.restart_with(&[&format!("--plugin=cni={reference}")])?;
    cluster.wait_for_node()?;
    cluster.wait_for("the network is the one of the registry", SOON, || {
        let plugin = cluster.get(&["plugin", "cni"])?;
        ensure!(
            plugin["status"]["name"] == "calico" && plugin["spec"]["source"] == reference,
            "{plugin}"
        );
        Ok(())
    })?;
    cluster.stop_server(Duration::from_secs(20)).map(drop)
}

/// A start that must be refused in one sentence.
fn refused(cluster: &Cluster, reference: &str, parts: &[&str]) -> Result<()> {
    let output = cluster.k3s(&["server", &format!("--plugin=cni={reference}")])?;
    ensure!(output.code == Some(1), "{reference}: {output:?}");
    let lines: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("k3s: "))
        .collect();
    ensure!(lines.len() == 1, "{reference}: {}", output.stderr);
    ensure!(
        parts.iter().all(|part| output.stderr.contains(part)),
        "{reference}: {} lacks one of {parts:?}",
        output.stderr
    );
    ensure!(
        !format!("{}{}", output.stdout, output.stderr).contains(PASSWORD),
        "the password is shown"
    );
    Ok(())
}

#[test]
fn a_server_starts_with_a_component_from_a_registry() -> Result<()> {
    let calico = build("calico")?;
    let mut cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    })?;
    cluster.stop_server(Duration::from_secs(20))?;
    let dir = cluster.corner().dir().to_owned();
    std::fs::write(dir.join("htpasswd"), HTPASSWD)?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(dir.join("registry.crt"), made.cert.pem())?;
    std::fs::write(dir.join("registry.key"), made.signing_key.serialize_pem())?;
    let (at, corner) = (dir.display(), cluster.corner());
    let auth = format!("auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}");
    let tls = format!("tls: {{certificate: {at}/registry.crt, key: {at}/registry.key}}");
    let _registries = [
        registry(corner, 5000, "")?,
        registry(corner, 5001, &auth)?,
        registry(corner, 5443, &tls)?,
    ];
    std::fs::write(dir.join("push.sh"), PUSH)?;
    let push = format!(
        "DIR={at} REPO=cni/calico FILE={} sh {at}/push.sh",
        calico.display()
    );
    let digest = corner.sh(&push)?.ok()?.trim().to_owned();
    let reference = |host: &str| format!("oci://{host}/cni/calico@{digest}");

    starts_with(&mut cluster, &reference("127.0.0.1:5000"))?;
    // What was fetched is kept: the registry is not asked again.
    registries_only(
        cluster.corner(),
        "mirrors:\n  '127.0.0.1:5000':\n    endpoint: ['http://127.0.0.1:1']\n",
    )?;
    starts_with(&mut cluster, &reference("127.0.0.1:5000"))?;

    let login = |password: &str| {
        format!(
            "configs:\n  '127.0.0.1:5001':\n    auth: {{username: k3s, password: '{password}'}}\n"
        )
    };
    registries(cluster.corner(), &login(PASSWORD))?;
    starts_with(&mut cluster, &reference("127.0.0.1:5001"))?;
    registries(cluster.corner(), &login("wrong"))?;
    refused(
        &cluster,
        &reference("127.0.0.1:5001"),
        &["127.0.0.1:5001", "401"],
    )?;

    let mirror = "mirrors:\n  registry.test:\n    endpoint: ['https://127.0.0.1:5443']\n";
    let trust =
        format!("{mirror}configs:\n  '127.0.0.1:5443':\n    tls: {{ca_file: {at}/registry.crt}}\n");
    registries(cluster.corner(), &trust)?;
    starts_with(&mut cluster, &reference("registry.test"))?;
    registries(cluster.corner(), mirror)?;
    refused(
        &cluster,
        &reference("registry.test"),
        &["registry.test", "certificate"],
    )?;

    let nothing = "0".repeat(64);
    refused(
        &cluster,
        &format!("oci://127.0.0.1:5000/cni/calico@sha256:{nothing}"),
        &["127.0.0.1:5000", "not found"],
    )?;
    refused(
        &cluster,
        &format!("oci://127.0.0.1:1/cni/calico@{digest}"),
        &["127.0.0.1:1", "refused"],
    )?;
    let other = format!("{},digest=sha256:{nothing}", reference("127.0.0.1:5000"));
    refused(&cluster, &other, &["the digest is sha256:"])?;
    // Nothing of all that was written down half: the server starts as ever.
    cluster.restart_with(&["--disable-agent"])
}
