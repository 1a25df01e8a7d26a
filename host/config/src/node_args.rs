//! The annotations in which K3s' nodes record how they were started: `k3s.io/node-args`,
//! `k3s.io/node-env` and `k3s.io/node-config-hash` (k3s `pkg/nodeconfig`), with secrets masked.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

const MASK: &str = "********";

/// The annotations of a node that was started with `command` (`server` or `agent`) and `args`.
/// `environment` is the process's; only K3s' own variables are shown.
#[must_use]
pub fn node_annotations(
    command: &str,
    args: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let args = serde_json::json!(masked_args(command, args)).to_string();
    let environment = serde_json::json!(masked_environment(environment)).to_string();
    let hash = hex::encode_upper(Sha256::digest(format!("{args}{environment}")));
    BTreeMap::from([
        ("k3s.io/node-args".into(), args),
        ("k3s.io/node-env".into(), environment),
        ("k3s.io/node-config-hash".into(), format!("{hash}====")),
    ])
}

fn masked_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mask = |(name, value): (String, String)| {
        let value = if is_secret(&name) { MASK.into() } else { value };
        (name, value)
    };
    environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("K3S_"))
        .map(mask)
        .collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["token", "secret", "password", "datastore"]
        .iter()
        .any(|part| name.contains(part))
}

/// The arguments after `k3s`, with the values of secret flags replaced.
fn masked_args(command: &str, args: &[String]) -> Vec<String> {
    let mut words = vec![command.to_owned()];
    let mut is_secret_value = false;
    for word in args {
        let flag = word.split('=').next().unwrap_or_default();
        if std::mem::take(&mut is_secret_value) {
            words.push(MASK.into());
        } else if !is_secret_flag(flag) {
            words.push(word.clone());
        } else if word.contains('=') {
            words.push(format!("{flag}={MASK}"));
        } else {
            is_secret_value = true;
            words.push(word.clone());
        }
    }
    words
}

/// Only the contents of a file are secret, not its name.
fn is_secret_flag(flag: &str) -> bool {
    flag == "-t" || (flag.starts_with("--") && is_secret(flag) && !flag.ends_with("-file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_the_annotation() {
        let args = [
            "--token",
            "one",
            "--agent-token=two",
            "-t",
            "three",
            "--token-file",
            "/f",
            "--debug",
        ]
        .map(str::to_owned);
        assert_eq!(
            masked_args("server", &args),
            [
                "server",
                "--token",
                "********",
                "--agent-token=********",
                "-t",
                "********",
                "--token-file",
                "/f",
                "--debug"
            ]
        );
    }

    #[test]
    fn only_k3s_variables_are_shown() {
        let environment = [
            ("K3S_TOKEN", "hunter2"),
            ("K3S_NODE_NAME", "n1"),
            ("HOME", "/"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let annotations = node_annotations("server", &[], environment);
        assert_eq!(
            annotations.get("k3s.io/node-env").map(String::as_str),
            Some(r#"{"K3S_NODE_NAME":"n1","K3S_TOKEN":"********"}"#)
        );
    }
}
