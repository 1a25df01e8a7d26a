//! Which crate may name which: the layers of `host/ARCHITECTURE.md`, held against the manifests.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeMap;
use std::process::Command;

/// Folder → layer. A crate may depend only on crates of lower layers, plus [`SAME_LAYER`].
const LAYERS: &[(&str, u8)] = &[
    ("base", 0),
    ("cel", 0),
    ("duration", 0),
    ("meta", 0),
    ("sys", 0),
    ("api", 1),
    ("kinds", 1),
    ("lifecycle", 1),
    ("observe", 1),
    ("config", 1),
    ("objects", 1),
    ("volume", 1),
    ("wit-bindings", 1),
    ("spdy", 1),
    ("store", 2),
    ("pki", 2),
    ("client", 2),
    ("serve", 2),
    ("plugin-host", 2),
    ("cri", 2),
    ("runtime", 2),
    ("cni", 3),
    ("registry", 3),
    ("reconcile", 3),
    ("podnetwork", 3),
    ("battery", 3),
    ("resources", 4),
    ("apiserver", 5),
    ("controllers", 5),
    ("scheduler", 5),
    ("kubelet", 5),
    ("netproxy", 5),
    ("dns", 5),
    ("ingress", 5),
    ("kubectl", 5),
    ("deploy", 5),
    ("storage", 5),
    ("servicelb", 5),
    ("adapters", 6),
    ("plugin-check", 7),
    ("k3s", 8),
    ("xtask", 8),
];

/// Edges inside a layer that are allowed, each with its reason.
const SAME_LAYER: &[(&str, &str, &str)] = &[
    ("meta", "base", "time stamps"),
    ("sys", "base", "clock and randomness"),
    (
        "kinds",
        "api",
        "behaviour of kinds stands on the tables of kinds",
    ),
    (
        "kinds",
        "objects",
        "sums and classes of pods are computed in one place",
    ),
    ("runtime", "cri", "the runtime implements CRI"),
    (
        "runtime",
        "serve",
        "exec and attach streams are served over WebSocket",
    ),
];

/// A layer is not enough for these: (crate, what it must never name, why).
const NEVER: &[(&str, &str, &str)] = &[
    (
        "controllers",
        "k3s-store",
        "controllers speak to the API only",
    ),
    (
        "scheduler",
        "k3s-store",
        "the scheduler speaks to the API only",
    ),
    ("kubelet", "k3s-store", "the kubelet speaks to the API only"),
    (
        "controllers",
        "k3s-registry",
        "controllers speak to the API only",
    ),
    (
        "scheduler",
        "k3s-registry",
        "the scheduler speaks to the API only",
    ),
    (
        "kubelet",
        "k3s-registry",
        "the kubelet speaks to the API only",
    ),
    (
        "controllers",
        "k3s-resources",
        "controllers speak to the API only",
    ),
    (
        "scheduler",
        "k3s-resources",
        "the scheduler speaks to the API only",
    ),
    (
        "kubelet",
        "k3s-resources",
        "the kubelet speaks to the API only",
    ),
    ("kubelet", "k3s-runtime", "the kubelet speaks CRI only"),
    ("netproxy", "k3s-store", "the proxy speaks to the API only"),
    (
        "ingress",
        "k3s-store",
        "the ingress data plane speaks to the API only",
    ),
    (
        "ingress",
        "k3s-plugin-host",
        "the ingress data plane knows its compiler by a port",
    ),
    (
        "store",
        "k3s-api",
        "the store sees keys and bytes, never a schema",
    ),
    (
        "store",
        "k3s-meta",
        "the store sees keys and bytes, never a schema",
    ),
    (
        "plugin-host",
        "k3s-meta",
        "the plugin host knows no Kubernetes",
    ),
    (
        "plugin-host",
        "k3s-api",
        "the plugin host knows no Kubernetes",
    ),
    ("registry", "hyper", "the registry knows no HTTP"),
    ("registry", "http", "the registry knows no HTTP"),
];

/// Crates that may name wasmtime, clap or anyhow.
const ONLY: &[(&str, &[&str])] = &[
    (
        "wasmtime",
        &["wit-bindings", "plugin-host", "battery", "adapters"],
    ),
    ("clap", &["config", "kubectl", "k3s", "xtask"]),
    (
        "anyhow",
        &[
            "k3s",
            "xtask",
            "harness",
            "tidy",
            "bench",
            "e2e",
            "conformance",
            "differential",
        ],
    ),
    ("rusqlite", &["adapters", "bench"]),
    ("sqlx", &["adapters", "bench"]),
];

/// Folder → names of its ordinary dependencies.
fn manifests() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(k3s_tidy::root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let folder = |p: &serde_json::Value| {
        let manifest = p["manifest_path"].as_str().unwrap_or_default();
        manifest.rsplit('/').nth(1).unwrap_or_default().to_owned()
    };
    let dependencies = |p: &serde_json::Value| {
        let all = p["dependencies"].as_array().cloned().unwrap_or_default();
        let ordinary = all.iter().filter(|d| d["kind"].is_null());
        ordinary
            .filter_map(|d| d["name"].as_str())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages
        .iter()
        .map(|p| (folder(p), dependencies(p)))
        .collect()
}

#[test]
fn crates_name_only_lower_layers() {
    let layer = |folder: &str| LAYERS.iter().find(|(f, _)| *f == folder).map(|(_, l)| *l);
    let mut broken = Vec::new();
    for (folder, dependencies) in manifests() {
        let Some(own) = layer(&folder) else { continue };
        for dependency in dependencies.iter().filter_map(|d| d.strip_prefix("k3s-")) {
            let Some(other) = layer(dependency) else {
                continue;
            };
            let excused = SAME_LAYER
                .iter()
                .any(|(a, b, _)| *a == folder && *b == dependency);
            if other >= own && !excused {
                broken.push(format!("{folder} (L{own}) names {dependency} (L{other})"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_host_crate_has_a_layer() {
    let host = std::fs::read_dir(k3s_tidy::root().join("host")).expect("host/ is there");
    let folders = host
        .filter_map(Result::ok)
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name());
    let missing: Vec<_> = folders
        .filter(|f| !LAYERS.iter().any(|(l, _)| f.to_str() == Some(l)))
        .collect();
    assert!(missing.is_empty(), "no layer for {missing:?}");
}

#[test]
fn named_bans_hold() {
    let manifests = manifests();
    let mut broken = Vec::new();
    for (folder, banned, why) in NEVER {
        if manifests
            .get(*folder)
            .is_some_and(|d| d.iter().any(|n| n == banned))
        {
            broken.push(format!("{folder} names {banned}: {why}"));
        }
    }
    for (name, allowed) in ONLY {
        for (folder, dependencies) in &manifests {
            if dependencies.iter().any(|d| d == name) && !allowed.contains(&folder.as_str()) {
                broken.push(format!("{folder} names {name}; only {allowed:?} may"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// An entry that no member uses claims a library that the product does not stand on.
#[test]
fn every_workspace_dependency_is_used() {
    let text = std::fs::read_to_string(k3s_tidy::root().join("Cargo.toml"))
        .expect("the workspace has a manifest");
    let section = text
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("it has a list of dependencies");
    let names = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim());
    let members = members();
    let is_used = |name: &&str| {
        let entry = format!("\n{name}.workspace = true");
        let with_options = format!("\n{name} = {{ workspace = true");
        members
            .iter()
            .any(|text| text.contains(&entry) || text.contains(&with_options))
    };
    let unused: Vec<_> = names.filter(|name| !is_used(name)).collect();
    assert!(unused.is_empty(), "no member uses {unused:?}");
}

/// The text of every member's manifest.
fn members() -> Vec<String> {
    ["host", "plugins", "tests"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(k3s_tidy::root().join(folder)).ok())
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("Cargo.toml")).ok())
        .collect()
}
