//! Which command the words mean.

mod datastore;
mod killall;
mod plugin;
mod server;

use std::path::Path;
use std::process::ExitCode;

use crate::version::{COMMIT, VERSION};

const USAGE: &str =
    "k3s: Kubernetes in one executable, with its batteries as WebAssembly components

usage: k3s COMMAND [FLAGS]

  server     Run a server: datastore, API, controllers, scheduler and node
  kubectl    Talk to the cluster: get, apply, create, delete, logs, exec, api-resources, version
  datastore  Copy a cluster between databases: `k3s datastore migrate --from ENDPOINT --to ENDPOINT`
  plugin     Inspect, check and build plugins: list, inspect, check, new, build
  killall    Stop the server, end all pods and remove everything that outlives the server
  help       Show this text, or with the name of a command what it takes

  -v, --version   Print the version
";

/// Commands of K3s that do not exist here yet.
const NOT_YET: &[&str] = &[
    "agent",
    "token",
    "etcd-snapshot",
    "secrets-encrypt",
    "certificate",
    "check-config",
    "completion",
    "crictl",
    "ctr",
];

/// Runs the command that the words select. The first word is the name of the program.
pub(crate) fn dispatch(words: &[String]) -> ExitCode {
    let (program, rest) = words
        .split_first()
        .map_or(("k3s", &[][..]), |(p, rest)| (p.as_str(), rest));
    let called_as = Path::new(program)
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or("k3s");
    match called_as {
        "kubectl" => return kubectl(rest),
        name @ ("crictl" | "ctr") => return refuse(&not_yet(name)),
        _ => {}
    }
    let (command, rest) = rest
        .split_first()
        .map_or(("help", rest), |(c, rest)| (c.as_str(), rest));
    match command {
        "server" => server::run(rest),
        "kubectl" => kubectl(rest),
        "datastore" => datastore::run(rest),
        "killall" => killall::run(rest),
        "plugin" => plugin::run(rest),
        word if is_help(word) => match rest.first() {
            Some(topic) if !is_help(topic) => {
                let words = [program, topic.as_str(), "--help"].map(str::to_owned);
                dispatch(&words)
            }
            _ => show(USAGE),
        },
        "--version" | "-v" => {
            println!(
                "k3s version {VERSION} ({COMMIT})\nrust version {}",
                env!("CARGO_PKG_RUST_VERSION")
            );
            ExitCode::SUCCESS
        }
        name if NOT_YET.contains(&name) => refuse(&not_yet(name)),
        other => refuse(&format!("unknown command {other:?}; see `k3s help`")),
    }
}

/// The words that ask what a command takes.
fn is_help(word: &str) -> bool {
    matches!(word, "help" | "--help" | "-h")
}

/// Whether the words after a command only ask what it takes.
fn asks_for_help(words: &[String]) -> bool {
    matches!(words, [word] if is_help(word))
}

/// Text that was asked for.
fn show(text: &str) -> ExitCode {
    println!("{}", text.trim_end());
    ExitCode::SUCCESS
}

fn not_yet(name: &str) -> String {
    format!("`k3s {name}` does not exist in this build yet")
}

fn kubectl(words: &[String]) -> ExitCode {
    ExitCode::from(k3s_kubectl::run(words, VERSION))
}

/// One clear error on standard error, and a failing exit code.
fn refuse(text: &str) -> ExitCode {
    eprintln!("k3s: {text}");
    ExitCode::FAILURE
}
