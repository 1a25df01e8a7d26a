//! Clusters whose objects are on a database server: the same workload as on SQLite, through restarts of
//! the server and of the database, and a move to another database.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, answered_by, shell, wait_for_pod, web};
use k3s_harness::{Cluster, ClusterOptions, DatabaseKind, PASSWORD, busybox, http_server};

fn cluster(kind: DatabaseKind) -> Result<Cluster> {
    let images = vec![busybox(SHELL)?, http_server(WEB_1, "one")?];
    Cluster::start_with(ClusterOptions { images, database: Some(kind), ..ClusterOptions::default() })
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n")
}

/// Pods, a Service, a restart of the server, an outage of the database.
fn a_cluster_lives_on(kind: DatabaseKind) -> Result<()> {
    let mut cluster = cluster(kind)?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&shell("client"))?;
    wait_for_pod(&cluster, "client")?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let rows = cluster.database()?.ask_in("cluster", "SELECT COUNT(*) FROM kine WHERE name LIKE '/registry/pods/%'")?;
    ensure!(rows.trim().parse::<u32>()? >= 3, "the pods are rows of the database, not {rows}");

    cluster.stop_server(Duration::from_secs(10))?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let log = cluster.log_tail();
    ensure!(!log.contains(PASSWORD), "the password is in the log");

    an_outage(&mut cluster)?;
    answered_by(&cluster, "client", "http://web", 2)?;
    Ok(())
}

/// What was acknowledged before is there afterwards; what is asked meanwhile fails and says why.
fn an_outage(cluster: &mut Cluster) -> Result<()> {
    for i in 0..5 {
        cluster.apply(&config_map(&format!("before-{i}")))?;
    }
    let manifest = cluster.corner().dir().join("meanwhile.yaml");
    std::fs::write(&manifest, config_map("meanwhile"))?;
    cluster.database()?.kill()?;
    // Stock kubectl would go on trying for a minute.
    let refused = cluster.k3s(&["kubectl", "create", "-f", &manifest.display().to_string()])?.failed()?;
    ensure!(refused.contains("try again"), "{refused}");
    cluster.wait_for("/readyz says no", SOON, || {
        let ready = cluster.kubectl(&["get", "--raw", "/readyz"])?;
        if ready.code == Some(0) { bail!("still ready") } else { Ok(()) }
    })?;
    cluster.database()?.resume()?;
    cluster.wait_for("writes work again", SOON, || cluster.apply(&config_map("after")))?;
    for i in 0..5 {
        cluster.get(&["configmap", &format!("before-{i}")])?;
    }
    cluster.wait_until_ready()
}

#[test]
fn on_postgres() -> Result<()> {
    a_cluster_lives_on(DatabaseKind::Postgres)
}

#[test]
fn on_mariadb() -> Result<()> {
    a_cluster_lives_on(DatabaseKind::MariaDb)
}

/// From SQLite to PostgreSQL; the next server finds everything there.
#[test]
fn a_cluster_moves() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        database: Some(DatabaseKind::Postgres),
        without_node: true,
        ..ClusterOptions::default()
    })?;
    cluster.apply(&config_map("moved"))?;
    let running = cluster.k3s(&["datastore", "migrate", "--from", "sqlite", "--to", "sqlite:///tmp/x.db"])?;
    ensure!(running.failed()?.contains("another server runs"), "not while a server runs");
    cluster.stop_server(Duration::from_secs(10))?;

    let (from, to) = (cluster.database()?.endpoint("cluster"), "/var/lib/rancher/copy.db");
    let said = cluster.k3s(&["datastore", "migrate", "--from", &from, "--to", to])?.ok()?;
    ensure!(said.contains("copied") && said.contains("keys") && !said.contains(PASSWORD), "{said}");
    let again = cluster.k3s(&["datastore", "migrate", "--from", &from, "--to", to])?.failed()?;
    ensure!(again.contains("not empty"), "{again}");

    let start = format!("--datastore-endpoint={to}");
    cluster.set_flags(&["--disable-agent", &start]);
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    ensure!(cluster.get(&["configmap", "moved"])?["data"]["a"] == "b", "the object moved");
    Ok(())
}

#[test]
fn endpoints_that_cannot_work() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into()],
        database: Some(DatabaseKind::Postgres),
        without_node: true,
        ..ClusterOptions::default()
    })?;
    let right = cluster.database()?.endpoint("cluster");
    cluster.stop_server(Duration::from_secs(10))?;
    for (endpoint, said) in [
        ("postgres://k3s:hunter2@h:port/db".to_owned(), "not a URL"),
        ("https://k3s:hunter2@etcd:2379".to_owned(), "etcd is not supported"),
        ("mysql://k3s:hunter2@host/db".to_owned(), "tcp(HOST:PORT)"),
        (right.replace(PASSWORD, "hunter2"), "password authentication failed"),
        (format!("{right}?sslmode=verify-full"), "does not support TLS"),
        ("postgres://k3s:hunter2@127.0.0.1:1/db".to_owned(), "Connection refused"),
    ] {
        let output = cluster.k3s(&["server", "--disable-agent", "--datastore-endpoint", &endpoint])?;
        ensure!(output.code == Some(1), "{endpoint}: {output:?}");
        let last = output.stderr.lines().last().unwrap_or_default();
        ensure!(last.contains(said), "{endpoint}: {last}");
        let all = format!("{}{}", output.stdout, output.stderr);
        ensure!(!all.contains("hunter2") && !all.contains(PASSWORD), "a password is shown: {all}");
    }
    Ok(())
}
