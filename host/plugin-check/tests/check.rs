//! The contract suites themselves: the bundled components pass, and a component that breaks a promise
//! fails the case of that promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../adapters/build/guests.rs"]
mod guests;

use std::path::{Path, PathBuf};

use k3s_adapters::bundled;
use k3s_plugin_check::{Case, Tried, run};
use k3s_plugin_host::{Host, HostOptions, Source, componentize};
use serde_json::{Map, json};
use tempfile::TempDir;

/// A host that compiles a component once, however often it is loaded.
fn host() -> (Host, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let options = HostOptions {
        cache_dir: Some(cache.path().join("code")),
        ..HostOptions::default()
    };
    (Host::new(options).unwrap(), cache)
}

/// The careless plugin of a kind.
fn careless(kind: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    // The test's executable lies in TARGET/PROFILE/deps.
    let exe = std::env::current_exe().unwrap();
    let target: PathBuf = exe.ancestors().nth(3).unwrap().join("guests");
    let manifest = root.join("tests/guests/careless/Cargo.toml");
    let module = guests::build(&manifest, &format!("careless-{kind}"), &target)
        .unwrap_or_else(|why| panic!("{why}"));
    componentize(&std::fs::read(module).unwrap()).unwrap()
}

fn shown(cases: &[Case]) -> String {
    let line = |case: &Case| format!("{}: {:?}\n", case.name, case.outcome);
    cases.iter().map(line).collect()
}

/// Runs the suite on the careless plugin in each of its modes: the case that begins with these words must
/// fail, and say so in these. Without a mode, only `weak` cases fail.
async fn finds(kind: &str, weak: &[&str], table: &[(&str, &str, &str)]) {
    let (bytes, (host, _cache)) = (careless(kind), host());
    let source = Source {
        name: "careless",
        bytes: &bytes,
        digest: None,
        compiled: None,
    };
    let fair = run(
        kind,
        Tried {
            host: &host,
            source,
            settings: &Map::new(),
        },
    )
    .await
    .unwrap();
    let failed: Vec<&str> = fair
        .iter()
        .filter(|case| case.outcome.is_err())
        .map(|case| case.name)
        .collect();
    assert_eq!(failed, weak, "{}", shown(&fair));
    for (mode, name, part) in table {
        let settings = json!({"mode": mode}).as_object().unwrap().clone();
        let cases = run(
            kind,
            Tried {
                host: &host,
                source,
                settings: &settings,
            },
        )
        .await
        .unwrap();
        let found = cases
            .iter()
            .find(|case| case.name.starts_with(name))
            .unwrap_or_else(|| panic!("no case {name}"));
        let why = found
            .outcome
            .clone()
            .expect_err(&format!("{mode}: {}", shown(&cases)))
            .to_string();
        assert!(why.contains(part) && !why.contains('\n'), "{mode}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_components_keep_their_contracts() {
    let (host, _cache) = host();
    // The datastores' suite runs on every database in tests of its own.
    for component in bundled::all().iter().filter(|one| one.kind != "datastore") {
        let tried = Tried {
            host: &host,
            source: component.source(),
            settings: &Map::new(),
        };
        let cases = run(component.kind, tried).await.unwrap();
        assert!(
            cases.len() >= 10 && cases.iter().all(|case| case.outcome.is_ok()),
            "{}",
            shown(&cases)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_careless_load_balancer_is_told_what_it_breaks() {
    let local = "with the policy Local only nodes with an endpoint answer";
    let table = [
        (
            "takes-any-setting",
            "unknown settings",
            "an unknown setting",
        ),
        (
            "lies",
            "nodes answer for a Service",
            "none of its addresses",
        ),
        ("traps", "nodes answer for a Service", "unreachable"),
        (
            "repeats",
            "an assignment that did not change",
            "it assigned",
        ),
        (
            "floods",
            "answers come in pages",
            "one answer was asked for, 3 came",
        ),
        ("first-come", "the order in which", "in another order"),
        (
            "shares-ports",
            "a port of a node",
            "both have port 80 of node n1",
        ),
        ("takes-reserved", "a reserved port", "port 6443 is reserved"),
        (
            "claims-all",
            "a Service of another class",
            "names another load balancer",
        ),
        (
            "drops-deleted",
            "a Service that is being deleted",
            "nobody removes the finalizer",
        ),
        (
            "serves-deleted",
            "a Service that is being deleted",
            "still answer",
        ),
        (
            "remembers",
            "a deleted Service",
            "\"default/gone\", which is not there",
        ),
        ("swallows", "an unreadable object", "did not report it"),
        ("", local, "there is no endpoint"),
    ];
    finds("load-balancer", &[local], &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_careless_ingress_controller_is_told_what_it_breaks() {
    let (default, certificates) = (
        "a port by name and the default backend are found",
        "certificates are named by Secret",
    );
    let table = [
        (
            "wants-secrets",
            "it asks for Ingresses",
            "Secrets, which no plugin may have",
        ),
        (
            "asks-for-nothing",
            "a rule leads",
            "a.b/x is led to nothing",
        ),
        ("has-no-end", "a rule leads", "no end of changes"),
        ("invents", "a rule leads", "which it was not given"),
        ("is-malformed", "a rule leads", "the rule of route"),
        ("traps", "a rule leads", "unreachable"),
        (
            "reuses-names",
            "prefixes go by segments",
            "two routes are called \"route\"",
        ),
        (
            "matches-text",
            "prefixes go by segments",
            "a.b/foobar is led to shop/short:80, not to shop/root:80",
        ),
        ("has-no-order", "prefixes go by segments", "is led to"),
        (
            "takes-all-classes",
            "an Ingress of another class",
            "names another controller",
        ),
        ("is-blind", "a missing backend", "has no diagnostic"),
        ("is-silent", "a broken Ingress", "has no diagnostic"),
        ("remembers", "a removed Ingress", "not to nothing"),
        ("floods", "changes come once", "1 changes were asked for"),
        ("", certificates, "the outcome does not"),
    ];
    finds("ingress", &[default, certificates], &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_careless_provisioner_is_told_what_it_breaks() {
    let table = [
        (
            "takes-any-setting",
            "unknown settings",
            "an unknown setting",
        ),
        (
            "escapes",
            "a volume is a directory",
            "not below the granted folder",
        ),
        (
            "promises",
            "a volume is a directory",
            "where no directory is",
        ),
        ("shrinks", "a volume is a directory", "bytes were asked for"),
        ("elsewhere", "a volume is a directory", "not on its node"),
        ("traps", "a volume is a directory", "unreachable"),
        ("forgets", "the same request", "first it was at"),
        ("wipes", "the same request", "gone after the second call"),
        ("shares", "two claims", "share a directory"),
        ("nests", "two claims", "share a directory"),
        ("keeps", "delete removes", "is still there"),
        ("agrees", "what is not a volume", "which is not a volume"),
        (
            "makes-devices",
            "a raw device",
            "for a claim of a raw device",
        ),
        ("does-not-grow", "a volume grows", "it says"),
    ];
    finds("storage", &[], &table).await;
}
