//! The first stage: facts about a Kubernetes version, cut down to what is served.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
/// Types that requests and answers have besides the kinds themselves.
const META_TYPES: [&str; 11] = [
    "APIGroup",
    "APIGroupList",
    "APIResourceList",
    "APIVersions",
    "DeleteOptions",
    "Condition",
    "ListMeta",
    "ObjectMeta",
    "Patch",
    "Status",
    "WatchEvent",
];
const EXTRA_TYPES: [&str; 1] = ["io.k8s.apimachinery.pkg.version.Info"];
const ALL_METHODS: [&str; 5] = ["create", "delete", "get", "patch", "update"];
/// What the connect subresources look like in discovery, where upstream names the options kind and
/// the verbs of the HTTP methods.
const CONNECT: [(&str, &str, &str, &[&str]); 6] = [
    ("pods", "attach", "PodAttachOptions", &["create", "get"]),
    ("pods", "exec", "PodExecOptions", &["create", "get"]),
    (
        "pods",
        "portforward",
        "PodPortForwardOptions",
        &["create", "get"],
    ),
    ("pods", "proxy", "PodProxyOptions", &ALL_METHODS),
    ("services", "proxy", "ServiceProxyOptions", &ALL_METHODS),
    ("nodes", "proxy", "NodeProxyOptions", &ALL_METHODS),
];

pub(super) struct Source {
    pub(super) resources: Vec<Value>,
    pub(super) types: Map<String, Value>,
}

impl Source {
    pub(super) fn from_facts(facts: &Value, messages: &Value) -> Result<Self> {
        let all = facts["types"].as_object().context("facts without types")?;
        let resources = facts["resources"]
            .as_array()
            .context("facts without resources")?;
        let mut resources: Vec<Value> = resources
            .iter()
            .filter(|r| served(r))
            .map(with_connect)
            .collect();
        resources.sort_by_key(|r| (text(r, "group"), text(r, "version"), text(r, "plural")));
        let mut types = Map::new();
        let mut open: Vec<String> = META_TYPES.iter().map(|t| format!("{META}{t}")).collect();
        open.extend(EXTRA_TYPES.map(str::to_owned));
        for gvk in resources.iter().flat_map(wanted_kinds) {
            open.extend(type_of(all, &gvk));
        }
        while let Some(name) = open.pop() {
            if types.contains_key(&name) {
                continue;
            }
            let mut t = all
                .get(&name)
                .with_context(|| format!("no type {name}"))?
                .clone();
            add_tags(&name, &mut t, messages);
            for field in t
                .get("fields")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::values)
            {
                open.extend(named_type(&field["t"]));
            }
            types.insert(name, t);
        }
        Ok(Self { resources, types })
    }
}

/// Stable versions are served by default; alpha and beta are not.
pub(super) fn served(r: &Value) -> bool {
    text(r, "version")
        .trim_start_matches('v')
        .bytes()
        .all(|b| b.is_ascii_digit())
}

pub(super) fn text(v: &Value, key: &str) -> String {
    v[key].as_str().unwrap_or("").to_owned()
}

pub(super) fn with_connect(r: &Value) -> Value {
    let mut r = r.clone();
    // OpenAPI has a path for watching them that no server answers.
    if text(&r, "plural") == "componentstatuses"
        && let Some(verbs) = r.get_mut("verbs").and_then(Value::as_array_mut)
    {
        verbs.retain(|verb| verb != "watch");
    }
    for (plural, sub, kind, verbs) in CONNECT {
        let here =
            r.get("group").is_some_and(|g| g == "") && r.get("plural").is_some_and(|p| p == plural);
        if let Some(entry) = r
            .get_mut("sub")
            .and_then(|subs| subs.get_mut(sub))
            .filter(|_| here)
        {
            *entry = json!({"verbs": verbs, "kind": ["", "v1", kind], "connect": true});
        }
    }
    r
}

/// Group, version and kind of a resource, its list and its subresources.
pub(super) fn wanted_kinds(r: &Value) -> Vec<[String; 3]> {
    let [group, version, kind] = ["group", "version", "kind"].map(|key| text(r, key));
    let list = [group.clone(), version.clone(), format!("{kind}List")];
    let own = [group, version, kind];
    let subs = r["sub"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .map(|s| strings(&s["kind"]));
    let subs = subs.filter_map(|k| <[String; 3]>::try_from(k).ok());
    [own, list].into_iter().chain(subs).collect()
}

pub(super) fn strings(v: &Value) -> Vec<String> {
    v.as_array()
        .into_iter()
        .flatten()
        .filter_map(|s| s.as_str().map(str::to_owned))
        .collect()
}

pub(super) fn type_of(types: &Map<String, Value>, gvk: &[String; 3]) -> Option<String> {
    let is = |t: &Value| {
        t["gvk"]
            .as_array()
            .is_some_and(|list| list.iter().any(|g| strings(g) == gvk))
    };
    types
        .iter()
        .find(|(_, t)| is(t))
        .map(|(name, _)| name.clone())
}

pub(super) fn named_type(t: &Value) -> Option<String> {
    match t {
        Value::String(s) if s.starts_with("io.k8s.") => Some(s.clone()),
        Value::Array(list) => list.first().and_then(named_type),
        Value::Object(map) => map.get("map").and_then(named_type),
        _ => None,
    }
}

/// Fields of embedded Go structs are flat in JSON but messages of their own in protobuf: their tag
/// becomes a path of the embedded messages' tags and the field's.
pub(super) fn add_tags(name: &str, t: &mut Value, messages: &Value) {
    let message = &*name.trim_start_matches("io.k8s.").replace('-', "_");
    let package = message.rsplit_once('.').map_or("", |(p, _)| p);
    let Some(fields) = t["fields"].as_object_mut() else {
        return;
    };
    let embedded = embedded(message, package, messages, |field| {
        fields.contains_key(field)
    });
    for (field, spec) in fields
        .iter_mut()
        .filter(|(_, spec)| spec.get("pb").is_none())
    {
        let own = messages[message].get(proto_name(field));
        if let Some(tag) = own.and_then(|spec| spec[0].as_u64()) {
            spec["pb"] = json!(tag);
            continue;
        }
        let tag = |message: &Map<String, Value>| message.get(field)?[0].as_u64();
        let found = embedded
            .iter()
            .find_map(|(path, inner)| Some([path.as_slice(), &[tag(inner)?]].concat()));
        if let Some(path) = found {
            spec["pb"] = json!(path);
        }
    }
}

/// The messages that stand for embedded structs, and those embedded in them, with the tags that lead there.
/// `is_own` says which fields are no such messages.
fn embedded(
    message: &str,
    package: &str,
    messages: &Value,
    is_own: impl Fn(&str) -> bool,
) -> Vec<(Vec<u64>, Map<String, Value>)> {
    let inside = |message: &Value| -> Vec<(u64, Map<String, Value>)> {
        let fields = message.as_object().into_iter().flatten();
        let others = fields.filter(|(field, _)| !is_own(field));
        let named = others.filter_map(|(_, spec)| {
            let inner = spec[2].as_str()?;
            let inner = inner
                .strip_prefix('.')
                .map_or_else(|| format!("{package}.{inner}"), str::to_owned);
            let fields = messages[inner.as_str()].as_object()?.clone();
            Some((spec[0].as_u64()?, fields))
        });
        named.collect()
    };
    let mut found = Vec::new();
    for (outer, fields) in inside(&messages[message]) {
        let nested = inside(&Value::Object(fields.clone()));
        found.push((vec![outer], fields));
        found.extend(
            nested
                .into_iter()
                .map(|(inner, it)| (vec![outer, inner], it)),
        );
    }
    found
}

/// How protobuf spells the name of a JSON field that is no identifier: `x-kubernetes-list-type`, `$ref`.
fn proto_name(field: &str) -> String {
    let mut parts = field.trim_start_matches('$').split('-');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}
