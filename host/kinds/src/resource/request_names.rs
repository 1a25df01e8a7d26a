//! The requests of a claim, and names that refer to them.

use std::collections::{HashMap, HashSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

/// The names of a claim's requests, each with those of its alternatives.
#[derive(Debug)]
pub(super) struct RequestNames<'a>(HashMap<&'a str, HashSet<&'a str>>);

impl<'a> RequestNames<'a> {
    /// The names in the devices of a claim's spec.
    pub(super) fn of(devices: &'a Value) -> Self {
        let requests = tree::list(devices, "requests").iter();
        Self(
            requests
                .map(|request| {
                    let alternatives = tree::list(request, "firstAvailable").iter();
                    let names = alternatives.map(|it| tree::text(it, "name"));
                    (tree::text(request, "name"), names.collect())
                })
                .collect(),
        )
    }

    fn has(&self, name: &str) -> bool {
        match name.split_once('/') {
            None => self.0.contains_key(name),
            Some((request, alternative)) => {
                let alternatives = self.0.get(request);
                alternatives.is_some_and(|names| names.contains(alternative))
            }
        }
    }

    /// A reference to a request, or to one of its alternatives behind a slash.
    pub(super) fn check(&self, errors: &mut ErrorList, name: &str, path: &Path) {
        let parts: Vec<&str> = name.split('/').collect();
        if let [_] | [_, _] = parts.as_slice() {
            for part in parts {
                errors.check(path, part, names::is_dns1123_label(part));
            }
            if self.has(name) {
                return;
            }
        }
        let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
        errors.push(field::invalid(path, name, detail));
    }
}
