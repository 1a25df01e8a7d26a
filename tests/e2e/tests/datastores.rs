//! Clusters whose objects are on a database server: the same workload as on SQLite, through restarts of
//! the server, an outage of the database under load, and moves from one database to another.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]
#![allow(
    clippy::print_stdout,
    reason = "how many clients were refused is of interest"
)]

mod outage;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, answered_by, fixture, shell, wait_for_pod, web};
use k3s_harness::{
    Cluster, ClusterOptions, Database, DatabaseKind, PASSWORD, busybox, http_server, k3s_binary,
};
use serde_json::Value;

fn cluster(kind: DatabaseKind) -> Result<Cluster> {
    let images = vec![busybox(SHELL)?, http_server(WEB_1, "one")?];
    Cluster::start_with(ClusterOptions {
        images,
        database: Some(kind),
        ..ClusterOptions::default()
    })
}

fn config_map(name: &str) -> String {
    fixture!("config-map", NAME = name)
}

/// Pods, a Service, a restart of the server, an outage of the database of at least `away`.
fn a_cluster_lives_on(kind: DatabaseKind, away: Duration) -> Result<()> {
    let mut cluster = cluster(kind)?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&shell("client"))?;
    wait_for_pod(&cluster, "client")?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let rows = cluster.database()?.ask_in(
        "cluster",
        "SELECT COUNT(*) FROM kine WHERE name LIKE '/registry/pods/%'",
    )?;
    ensure!(
        rows.trim().parse::<u32>()? >= 3,
        "the pods are rows of the database, not {rows}"
    );

    cluster.stop_server(Duration::from_secs(10))?;
    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let log = cluster.log_tail();
    ensure!(!log.contains(PASSWORD), "the password is in the log");

    outage::under_load(&mut cluster, away)?;
    answered_by(&cluster, "client", "http://web", 2)?;
    Ok(())
}

#[test]
fn on_postgres() -> Result<()> {
    a_cluster_lives_on(DatabaseKind::Postgres, Duration::from_secs(30))
}

#[test]
fn on_mariadb() -> Result<()> {
    a_cluster_lives_on(DatabaseKind::MariaDb, Duration::from_secs(10))
}

/// What joins a cluster by its database has the cluster's authorities and service account keys, or does not start.
#[test]
fn a_further_server_of_the_database_is_of_the_same_cluster_or_refused() -> Result<()> {
    let mut cluster = Cluster::start_with(ClusterOptions {
        flags: vec!["--disable-agent".into(), "--token=shared".into()],
        database: Some(DatabaseKind::Postgres),
        without_node: true,
        ..ClusterOptions::default()
    })?;
    let endpoint = cluster.database()?.endpoint("cluster");
    let binary = k3s_binary()?;
    let second = |token: &str| {
        format!(
            "exec {} server --data-dir=/var/lib/rancher/second --node-name=second --https-listen-port=7443 \
             --write-kubeconfig=/etc/rancher/second.yaml --disable-agent --disable-controller-manager \
             --disable-scheduler --datastore-endpoint={endpoint} --token={token}",
            binary.display()
        )
    };
    let refused = cluster.corner().sh(&second("wrong"))?.failed()?;
    ensure!(
        refused.contains("bootstrap data already found and encrypted with different token"),
        "{refused}"
    );
    let _second = cluster
        .corner()
        .background(&second("shared"), "second.log")?;
    let token = cluster.wait_for("the default service account has tokens", SOON, || {
        cluster.kubectl(&["create", "token", "default"])?.ok()
    })?;
    let line = format!(
        "curl -sS -f --cacert /var/lib/rancher/k3s/server/tls/server-ca.crt -H 'Authorization: Bearer {}' \
         https://127.0.0.1:7443/api",
        token.trim()
    );
    cluster.wait_for("the second server takes the first's tokens", SOON, || {
        cluster.corner().sh(&line)?.ok()
    })?;
    let rows = cluster.database()?.ask_in(
        "cluster",
        "SELECT COUNT(*) FROM kine WHERE name LIKE '/bootstrap/%'",
    )?;
    ensure!(rows.trim() == "1", "{rows}");
    Ok(())
}

/// From SQLite to PostgreSQL to MariaDB and back to a file, each time with a server that continues there.
#[test]
fn a_cluster_moves_around() -> Result<()> {
    let images = vec![busybox(SHELL)?];
    let mut cluster = Cluster::start_with(ClusterOptions {
        images,
        ..ClusterOptions::default()
    })?;
    let postgres = Database::start_in(DatabaseKind::Postgres, cluster.corner())?;
    let mariadb = Database::start_in(DatabaseKind::MariaDb, cluster.corner())?;
    cluster.apply(&shell("sleeper"))?;
    let pod = wait_for_pod(&cluster, "sleeper")?;
    for name in ["z-first", "m-second", "a-third"] {
        cluster.apply(&config_map(name))?;
    }
    cluster
        .kubectl(&[
            "create",
            "secret",
            "generic",
            "s",
            "--from-literal=k=\u{e9}\u{1f600}",
        ])?
        .ok()?;

    let mut from = "sqlite".to_owned();
    for to in [
        postgres.endpoint("cluster"),
        mariadb.endpoint("cluster"),
        "/var/lib/rancher/copy.db".to_owned(),
    ] {
        let before = objects(&cluster)?;
        let words = ["datastore", "migrate", "--from", &from, "--to", &to];
        refused(&cluster, &words, "another server runs")?;
        cluster.stop_server(Duration::from_secs(10))?;
        let said = cluster.k3s(&words)?.ok()?;
        ensure!(
            said.contains("copied") && said.contains("keys") && !said.contains(PASSWORD),
            "{said}"
        );
        refused(&cluster, &words, "not empty")?;

        cluster.restart_with(&[&format!("--datastore-endpoint={to}")])?;
        cluster.wait_for_node()?;
        moved(&before, &objects(&cluster)?).with_context(|| format!("from {from} to {to}"))?;
        let now = wait_for_pod(&cluster, "sleeper")?;
        ensure!(
            now["metadata"]["uid"] == pod["metadata"]["uid"],
            "it is another pod"
        );
        ensure!(
            now["status"]["containerStatuses"][0]["restartCount"] == 0,
            "it was started again"
        );
        from = to;
    }
    Ok(())
}

/// One clear sentence, and no success.
fn refused(cluster: &Cluster, words: &[&str], said: &str) -> Result<()> {
    let refusal = cluster.k3s(words)?.failed()?;
    ensure!(
        refusal.contains(said) && refusal.trim().lines().count() == 1,
        "{refusal}"
    );
    ensure!(
        !refusal.contains(PASSWORD),
        "the password is shown: {refusal}"
    );
    Ok(())
}

/// The objects that no component changes by itself: kind, namespace and name, and the object.
fn objects(cluster: &Cluster) -> Result<BTreeMap<String, Value>> {
    let kinds = "configmaps,secrets,services,serviceaccounts,clusterroles,clusterrolebindings,namespaces,storageclasses";
    let found = cluster.get(&[kinds, "--all-namespaces"])?;
    let items = found["items"].as_array().context("items")?.iter();
    let name = |o: &Value| {
        format!(
            "{} {} {}",
            o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]
        )
    };
    Ok(items.map(|object| (name(object), object.clone())).collect())
}

/// Every object is there as it was; revisions are new numbers in the old order.
fn moved(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Result<()> {
    let revision = |o: &Value| {
        o["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .parse::<u64>()
    };
    let mut places = Vec::new();
    for (name, old) in before {
        let mut new = after
            .get(name)
            .with_context(|| format!("{name} is missing"))?
            .clone();
        places.push((revision(old)?, revision(&new)?));
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        ensure!(&new == old, "{name} was\n{old}\nand is\n{new}");
    }
    places.sort_unstable();
    ensure!(
        places.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1),
        "not in the same order: {places:?}"
    );
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
        (
            "https://k3s:hunter2@etcd:2379".to_owned(),
            "etcd is not supported",
        ),
        ("mysql://k3s:hunter2@host/db".to_owned(), "tcp(HOST:PORT)"),
        (
            right.replace(PASSWORD, "hunter2"),
            "password authentication failed",
        ),
        (
            format!("{right}?sslmode=verify-full"),
            "does not support TLS",
        ),
        (
            "postgres://k3s:hunter2@127.0.0.1:1/db".to_owned(),
            "Connection refused",
        ),
    ] {
        let output = cluster.k3s(&[
            "server",
            "--disable-agent",
            "--datastore-endpoint",
            &endpoint,
        ])?;
        ensure!(output.code == Some(1), "{endpoint}: {output:?}");
        let last = output.stderr.lines().last().unwrap_or_default();
        ensure!(last.contains(said), "{endpoint}: {last}");
        let all = format!("{}{}", output.stdout, output.stderr);
        ensure!(
            !all.contains("hunter2") && !all.contains(PASSWORD),
            "a password is shown: {all}"
        );
    }
    Ok(())
}
