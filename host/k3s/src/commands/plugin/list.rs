//! `k3s plugin list`: what the cluster says of its plugins, or what this executable contains.

use std::process::ExitCode;

use k3s_adapters::bundled;

use super::refuse;
use crate::version::VERSION;

pub(super) fn run(words: &[String]) -> ExitCode {
    match words {
        [] => {
            let words = ["get", "plugins", "-o", "wide"].map(str::to_owned);
            ExitCode::from(k3s_kubectl::run(&words, VERSION))
        }
        [flag] if flag == "--bundled" => {
            println!("{:<15}{:<12}{:<10}DIGEST", "KIND", "NAME", "VERSION");
            for one in bundled::all() {
                let (kind, name, version) = (one.kind, one.name, one.version);
                println!("{kind:<15}{name:<12}{version:<10}{}", one.digest());
            }
            ExitCode::SUCCESS
        }
        _ => refuse("plugin list: usage: k3s plugin list [--bundled]"),
    }
}
