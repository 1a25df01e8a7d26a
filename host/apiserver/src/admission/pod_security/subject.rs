//! A pod, or what a template would make one from, as the checks read it.

use k3s_meta::tree;
use serde_json::Value;

/// Where containers stand in a spec, in the order of upstream's visitor.
pub(super) const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

pub(super) struct Subject<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Subject<'a> {
    pub(super) fn new(metadata: Option<&'a Value>, spec: Option<&'a Value>) -> Self {
        Self {
            metadata: metadata.unwrap_or(&Value::Null),
            spec: spec.unwrap_or(&Value::Null),
        }
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        LISTS
            .into_iter()
            .flat_map(move |list| tree::list(spec, list))
    }

    /// Names of the containers that a rule finds.
    pub(super) fn named(&self, rule: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| rule(c)).map(name).collect()
    }

    pub(super) fn volumes(&self) -> &'a [Value] {
        tree::list(self.spec, "volumes")
    }
}

pub(super) fn name(value: &Value) -> &str {
    tree::text(value, "name")
}

/// `"a", "b"`
pub(super) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names
        .iter()
        .map(|name| format!("{:?}", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

pub(super) fn plural(word: &str, count: usize) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

/// Who sets something: `pod`, containers, or both, joined by `conjunction`.
pub(super) fn setters(pod: bool, names: &[&str], conjunction: &str) -> String {
    match (pod, names.is_empty()) {
        (true, true) => "pod".to_owned(),
        (true, false) => format!("pod {conjunction} {}", containers(names)),
        (false, _) => containers(names),
    }
}
