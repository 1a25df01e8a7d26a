//! A flag of the class "acts" reaches a setting, and code outside of this crate reads that setting:
//! nothing is parsed and then ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k3s_config::flags::{Class, Flag, Shape, server};
use k3s_config::{ServerSettings, parse_server};

/// Flags that end in this crate, each with its reason.
const ENDS_HERE: &[(&str, &str)] = &[
    ("config", "names the file that the other flags come from"),
    (
        "default-runtime",
        "has one value, which is what always happens",
    ),
    ("snapshotter", "has one value, which is what always happens"),
];

/// A value that differs from the default, for flags that do not take just any text.
const VALUES: &[(&str, &str)] = &[
    ("advertise-address", "192.0.2.7"),
    ("advertise-port", "7443"),
    ("bind-address", "127.0.0.1"),
    ("cluster-cidr", "10.52.0.0/16"),
    ("cluster-dns", "10.43.0.53"),
    ("cluster-domain", "example.test"),
    ("disable", "coredns"),
    ("flannel-backend", "host-gw"),
    ("https-listen-port", "7443"),
    ("kubelet-arg", "max-pods=50"),
    ("node-external-ip", "192.0.2.8"),
    ("node-ip", "192.0.2.9"),
    ("node-label", "a=b"),
    ("node-taint", "a=b:NoSchedule"),
    ("plugin", "cni=/some/file.wasm"),
    ("service-cidr", "10.53.0.0/16"),
    ("service-node-port-range", "31000-32000"),
    ("v", "1"),
    ("write-kubeconfig-mode", "644"),
];

/// Flags that mean something beside another one only.
const BESIDE: &[(&str, &str)] = &[
    (
        "datastore-cafile",
        "--datastore-endpoint=postgres://k3s@db.test/k3s",
    ),
    (
        "datastore-certfile",
        "--datastore-endpoint=postgres://k3s@db.test/k3s",
    ),
    (
        "datastore-keyfile",
        "--datastore-endpoint=postgres://k3s@db.test/k3s",
    ),
];

/// Flags that come in pairs.
const WITH: &[(&str, &str)] = &[
    ("datastore-certfile", "--datastore-keyfile=/some/key"),
    ("datastore-keyfile", "--datastore-certfile=/some/cert"),
];

fn resolve(dir: &Path, words: &[String]) -> ServerSettings {
    let config = dir.join("config.yaml");
    std::fs::write(&config, "").unwrap();
    let words: Vec<String> = ["--config".to_owned(), config.display().to_string()]
        .into_iter()
        .chain(words.iter().cloned())
        .collect();
    let parsed =
        parse_server(&words, &|_| None).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    ServerSettings::resolve(&parsed)
        .unwrap_or_else(|error| panic!("{words:?}: add a value to VALUES? {error}"))
        .0
}

/// The parts of the settings that are structures of their own.
const PARTS: &[&str] = &["cluster", "node"];

/// The settings by field (`https_port`, `node.labels`), as their debug text shows them.
fn fields(settings: &ServerSettings) -> BTreeMap<String, String> {
    let text = format!("{settings:#?}");
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let (mut part, mut current) = (String::new(), String::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let name = line.trim().split_once(':').map(|(name, _)| name);
        match (indent, name) {
            // Fields of the structure itself are indented by four, those of a part by eight.
            (4, Some(name)) => {
                part = name.to_owned();
                current = name.to_owned();
            }
            (8, Some(name)) if PARTS.contains(&part.as_str()) => current = format!("{part}.{name}"),
            _ => {}
        }
        fields.entry(current.clone()).or_default().push_str(line);
    }
    // The words themselves are kept for the node's annotation, whatever they do.
    fields.remove("node.args");
    fields
}

/// The ways in which code reads a field: the variables that hold the settings and their parts.
fn accesses(field: &str) -> Vec<String> {
    match field.split_once('.') {
        Some(("cluster", name)) => vec![format!("cluster.{name}")],
        Some(("node", name)) => vec![format!("settings.{name}"), format!("node.{name}")],
        _ => vec![format!("settings.{field}")],
    }
}

fn words(dir: &Path, flag: &Flag) -> Vec<String> {
    let name = if flag.name.len() == 1 {
        format!("-{}", flag.name)
    } else {
        format!("--{}", flag.name)
    };
    let value = VALUES
        .iter()
        .find(|(n, _)| *n == flag.name)
        .map(|(_, value)| (*value).to_owned());
    match (flag.shape, value) {
        (Shape::Switch, _) => vec![name],
        (_, Some(value)) => vec![name, value],
        _ if flag.name.ends_with("-file") => {
            let path = dir.join("value");
            std::fs::write(&path, "from-a-file").unwrap();
            vec![name, path.display().to_string()]
        }
        _ => vec![name, "/some/value".to_owned()],
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => sources(&path, found),
            path => found.push(path),
        }
    }
}

#[test]
fn every_acting_flag_reaches_a_setting_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../k3s/src"),
        &mut files,
    );
    // Without white space, since rustfmt may put a field on a line of its own.
    let code: String = files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let is_followed_by_name =
        |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_read = |field: &str| {
        accesses(field).iter().any(|access| {
            code.match_indices(access)
                .any(|(at, _)| !is_followed_by_name(&code[at + access.len()..]))
        })
    };
    let mut unread = BTreeSet::new();
    for flag in server().filter(|flag| flag.class == Class::Acts) {
        if ENDS_HERE.iter().any(|(name, _)| *name == flag.name) {
            continue;
        }
        let of = |table: &[(&str, &str)]| -> Vec<String> {
            table
                .iter()
                .filter(|(name, _)| *name == flag.name)
                .map(|(_, word)| (*word).to_owned())
                .collect()
        };
        let before = fields(&resolve(dir.path(), &of(BESIDE)));
        let after = fields(&resolve(
            dir.path(),
            &[of(BESIDE), of(WITH), words(dir.path(), flag)].concat(),
        ));
        let changed: Vec<_> = after
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(value))
            .collect();
        assert!(
            !changed.is_empty(),
            "--{} changes no setting: is it parsed and ignored?",
            flag.name
        );
        unread.extend(
            changed
                .into_iter()
                .map(|(name, _)| name.clone())
                .filter(|name| !is_read(name)),
        );
    }
    assert!(
        unread.is_empty(),
        "settings that nothing outside of this crate reads: {unread:?}"
    );
}
