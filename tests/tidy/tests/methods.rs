//! Functions of libraries that the product calls through something of its own.

use anyhow::Result;
use k3s_tidy::source::{QualifiedName, production, qualified_names};

/// A function, what stands in for it, and the files and folders that call it, each with its reason.
struct Disallowed {
    names: &'static [&'static str],
    replacement: &'static str,
    callers: &'static [(&'static str, &'static str)],
}

const DISALLOWED: &[Disallowed] = &[
    Disallowed {
        names: &[
            "tokio::spawn",
            "task::spawn",
            "task::spawn_local",
            "thread::spawn",
            "thread::Builder",
            "task::JoinSet",
            "JoinSet::new",
        ],
        replacement: "k3s_lifecycle::Tasks, which ends what it starts",
        callers: &[
            (
                "host/sys/src/namespace.rs",
                "a namespace belongs to a thread, which ends with the call",
            ),
            (
                "host/sys/src/net/netns.rs",
                "a namespace belongs to a thread, which ends with the call",
            ),
            (
                "host/plugin-host/src/ticker.rs",
                "a plain thread per engine, which ends with the engine",
            ),
            ("host/xtask/", "a developer's tool, not the product"),
        ],
    },
    Disallowed {
        names: &[
            "Instant::now",
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
        ],
        replacement: "k3s_base::clock::Clock, which a test can own",
        callers: &[
            ("host/base/src/clock.rs", "it is the clock"),
            (
                "host/adapters/src/datastore/server/mod.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/apiserver/src/handlers/watch.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/apiserver/src/respond/watch.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/client/src/queue.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/kubectl/src/commands/wait.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/serve/src/activity.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/netproxy/src/driver.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/serve/src/body.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/store/src/poll_timer.rs",
                "tokio's clock, which a test can pause",
            ),
            (
                "host/k3s/src/commands/killall.rs",
                "a command of one run, without a runtime",
            ),
            ("host/xtask/", "a developer's tool, not the product"),
        ],
    },
    Disallowed {
        names: &["env::var", "env::var_os", "env::vars", "env::set_var"],
        replacement: "k3s_config, the one place that reads flags, files and the environment",
        callers: &[
            (
                "host/adapters/build/",
                "cargo talks to build scripts through the environment",
            ),
            (
                "host/api/build.rs",
                "cargo talks to build scripts through the environment",
            ),
            (
                "host/cni/src/plugin.rs",
                "CNI passes parameters in the environment",
            ),
            (
                "host/k3s/src/commands/datastore.rs",
                "an edge of the process",
            ),
            ("host/k3s/src/commands/killall.rs", "an edge of the process"),
            (
                "host/k3s/src/commands/plugin/build.rs",
                "an edge of the process",
            ),
            ("host/k3s/src/commands/server.rs", "an edge of the process"),
            ("host/k3s/src/node/kubelet.rs", "an edge of the process"),
            (
                "host/k3s/src/server/notify.rs",
                "systemd passes its socket in the environment",
            ),
            ("host/kubectl/src/session.rs", "an edge of the process"),
            ("host/xtask/", "a developer's tool, not the product"),
        ],
    },
    Disallowed {
        names: &["thread::sleep"],
        replacement: "tokio::time::sleep or a wait for the event itself",
        callers: &[
            (
                "host/plugin-host/src/ticker.rs",
                "a plain thread per engine, whose work is to tick",
            ),
            (
                "host/sys/src/cgroup/mod.rs",
                "the kernel does not say when the processes of a group have ended",
            ),
            (
                "host/runtime/src/cleanup.rs",
                "it runs without a runtime and waits for processes of others",
            ),
            (
                "host/k3s/src/commands/killall.rs",
                "a command of one run, without a runtime",
            ),
            ("host/xtask/", "a developer's tool, not the product"),
        ],
    },
    Disallowed {
        names: &["Command::new"],
        replacement: "k3s_sys::process::command, which gives a program the limits that this one was given",
        callers: &[
            ("host/sys/src/process.rs", "it makes the command"),
            ("host/config/src/command.rs", "a command line of clap's"),
            ("host/adapters/build/", "a build script"),
            ("host/api/build.rs", "a build script"),
            ("host/xtask/", "a developer's tool, not the product"),
        ],
    },
    Disallowed {
        names: &["fs::remove_dir_all"],
        replacement: "k3s_sys::fs::remove_all, for which no tree is too deep and which crosses no mount",
        callers: &[("host/xtask/", "a developer's tool, not the product")],
    },
    Disallowed {
        names: &["process::exit", "process::abort"],
        replacement: "an error that the command returns",
        callers: &[
            (
                "host/runtime/src/shim/zygote.rs",
                "a forked process ends without the destructors of its parent",
            ),
            (
                "host/runtime/src/shim/pause.rs",
                "a forked process ends without the destructors of its parent",
            ),
        ],
    },
];

impl Disallowed {
    fn applies_to(&self, found: &QualifiedName) -> bool {
        let is_listed = |(caller, _): &(&str, &str)| found.place.starts_with(caller);
        self.names.contains(&found.name.as_str()) && !self.callers.iter().any(is_listed)
    }
}

fn names() -> Result<Vec<QualifiedName>> {
    Ok(production()?.iter().flat_map(qualified_names).collect())
}

#[test]
fn libraries_are_called_through_the_places_that_own_them() -> Result<()> {
    let names = names()?;
    let mut found = Vec::new();
    for rule in DISALLOWED {
        let hits = names.iter().filter(|name| rule.applies_to(name));
        found.extend(hits.map(|it| format!("{}: {}; use {}", it.place, it.name, rule.replacement)));
    }
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn exceptions_are_needed() -> Result<()> {
    let names = names()?;
    let calls = |caller: &str, rule: &Disallowed| {
        names
            .iter()
            .any(|it| it.place.starts_with(caller) && rule.names.contains(&it.name.as_str()))
    };
    let mut stale = Vec::new();
    for rule in DISALLOWED {
        let callers = rule.callers.iter().map(|(caller, _)| *caller);
        stale.extend(callers.filter(|caller| !calls(caller, rule)));
    }
    assert!(stale.is_empty(), "no longer needed: {stale:#?}");
    Ok(())
}
