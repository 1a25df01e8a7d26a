//! Which object or collection a path means.

use std::collections::BTreeMap;

use k3s_meta::{GroupResource, Status};
use serde_json::Value;

use crate::resource::Resource;

/// What a request is about. Empty strings where a part is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) api_version: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) subresource: String,
}

impl Target {
    pub(super) fn collection(resource: &Resource) -> Self {
        Self {
            group: resource.group.to_string(),
            api_version: resource.api_version(),
            plural: resource.plural.to_string(),
            ..Self::default()
        }
    }

    pub(super) fn named(resource: &Resource, namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Self::collection(resource)
        }
    }

    pub(super) fn of(resource: &Resource, object: &Value) -> Self {
        Self::named(
            resource,
            k3s_meta::object::namespace(object),
            k3s_meta::object::name(object),
        )
    }

    /// Versions of a group share storage.
    pub(super) fn table(&self) -> String {
        format!("{}/{}", self.group, self.plural)
    }

    pub(super) fn key(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    pub(super) fn at(&self, object: &Value) -> Self {
        Self {
            namespace: k3s_meta::object::namespace(object).to_owned(),
            name: k3s_meta::object::name(object).to_owned(),
            ..self.clone()
        }
    }

    pub(super) fn gr(&self) -> GroupResource {
        GroupResource::new(self.group.clone(), self.plural.clone())
    }

    pub(super) fn not_found(&self) -> Box<Status> {
        Box::new(Status::not_found(&self.gr(), &self.name))
    }
}

pub(super) fn unknown(path: &str) -> Status {
    let mut status = Status::bad_request(format!("the fake does not serve {path}"));
    status.code = 404;
    status
}

pub(super) fn parse(path: &str) -> Option<Target> {
    let mut parts = path
        .trim_matches('/')
        .split('/')
        .map(unescape)
        .collect::<Vec<_>>()
        .into_iter();
    let mut target = Target::default();
    match parts.next()?.as_str() {
        "api" => target.api_version = parts.next()?,
        "apis" => {
            target.group = parts.next()?;
            target.api_version = format!("{}/{}", target.group, parts.next()?);
        }
        _ => return None,
    }
    let rest: Vec<String> = parts.collect();
    let part = |n: usize| rest.get(n).cloned().unwrap_or_default();
    let own = matches!(part(2).as_str(), "" | "status" | "finalize");
    let skip = if part(0) == "namespaces" && !own {
        target.namespace = part(1);
        2
    } else {
        0
    };
    target.plural = part(skip);
    target.name = part(skip + 1);
    target.subresource = rest.get(skip + 2..).unwrap_or_default().join("/");
    Some(target).filter(|t| !t.plural.is_empty())
}

pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(&value.replace('+', " "))))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits: String = bytes.by_ref().take(2).map(char::from).collect();
        out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&out).into_owned()
}
