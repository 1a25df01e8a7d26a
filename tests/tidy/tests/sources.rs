//! What every source file must have, and must not.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use k3s_tidy::{files, root};

/// Hard stop for a hand-written file, in lines of 100 columns. Generated files stand in `gen/` folders.
const LONGEST_FILE: usize = 700;

fn sources() -> Vec<std::path::PathBuf> {
    let by_hand = |p: &std::path::PathBuf| !p.components().any(|c| c.as_os_str() == "gen");
    ["host", "plugins", "tests"]
        .iter()
        .flat_map(|d| files(&root().join(d), &["rs"]))
        .filter(by_hand)
        .collect()
}

#[test]
fn every_file_says_why_it_exists() {
    let has_header = |p: &std::path::PathBuf| {
        let text = std::fs::read_to_string(p).unwrap_or_default();
        text.lines()
            .find(|l| !l.trim().is_empty() && !l.starts_with("#!"))
            .is_some_and(|l| l.starts_with("//!"))
    };
    let missing: Vec<_> = sources().into_iter().filter(|p| !has_header(p)).collect();
    assert!(missing.is_empty(), "no module header in {missing:#?}");
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    let lines = |p: &std::path::PathBuf| {
        std::fs::read_to_string(p)
            .unwrap_or_default()
            .lines()
            .count()
    };
    let long: Vec<_> = sources()
        .into_iter()
        .map(|p| (lines(&p), p))
        .filter(|(n, _)| *n > LONGEST_FILE)
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines: {long:#?}"
    );
}

/// Files that may excuse unused code, each with its reason.
const EXCUSED: &[(&str, &str)] = &[
    (
        "host/adapters/tests/common/mod.rs",
        "shared by test targets that each use a part",
    ),
    (
        "host/controllers/tests/support/mod.rs",
        "shared by test targets that each use a part",
    ),
];

#[test]
fn no_test_is_ignored_and_no_code_is_excused_as_dead() {
    // Spelled in two parts so that this file does not find itself.
    let banned = [
        concat!("#[ign", "ore"),
        concat!("allow(dead", "_code"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut found = Vec::new();
    for path in sources() {
        if EXCUSED.iter().any(|(file, _)| path.ends_with(file)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        found.extend(
            banned
                .iter()
                .filter(|b| text.contains(*b))
                .map(|b| format!("{b} in {}", path.display())),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// `k3s_meta::tree` is the one way to read a field of a dynamic object by its path. A JSON pointer
/// has another notation and takes `null` for a value. Guests stand outside the workspace.
#[test]
fn fields_are_read_by_dotted_paths() {
    let banned = [concat!(".poin", "ter(\""), concat!(".poin", "ter_mut(\"")];
    let is_host = |path: &std::path::PathBuf| {
        let path = path.to_string_lossy();
        path.contains("/host/") && !path.contains("/host/meta/")
    };
    let mut found = Vec::new();
    for path in sources().into_iter().filter(is_host) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if banned.iter().any(|call| text.contains(call)) {
            found.push(path);
        }
    }
    assert!(found.is_empty(), "use k3s_meta::tree in {found:#?}");
}

#[test]
fn the_code_map_names_paths_that_exist() {
    let text = std::fs::read_to_string(root().join("host/ARCHITECTURE.md"))
        .expect("host/ARCHITECTURE.md is there");
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |w: &&str| {
        ["host/", "plugins/", "tests/", "wit/"]
            .iter()
            .any(|p| w.starts_with(p))
            && !w.contains([' ', '*', '<', '{'])
    };
    let missing: Vec<_> = quoted
        .filter(is_path)
        .filter(|w| !root().join(w).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What a folder must not name, and why.
const FOREIGN: &[(&str, &[&str], &str)] = &[(
    "host/k3s/src/node",
    &[
        "crate::server",
        "super::server",
        "ServerSettings",
        "ServerIdentity",
        "ServerContext",
        "ControlPlane",
    ],
    "an agent starts the same node without a server in its process",
)];

#[test]
fn folders_name_nothing_that_is_foreign_to_them() {
    let mut found = Vec::new();
    for (folder, banned, why) in FOREIGN {
        let sources = files(&root().join(folder), &["rs"]);
        assert!(!sources.is_empty(), "{folder} has no sources");
        for path in sources {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let code: String = code.collect::<Vec<_>>().join("\n");
            found.extend(
                banned
                    .iter()
                    .filter(|name| code.contains(*name))
                    .map(|name| format!("{} names {name}: {why}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
