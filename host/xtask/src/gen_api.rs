//! Writes the tables of built-in kinds in `host/api/src/gen/`.
//!
//! Two stages, so that freshness can be tested from committed files alone: the facts about a Kubernetes
//! version are cut down to what is served and folded into `host/api/gen-source/` (`generate`), and the
//! Rust tables are written from there (`tables`). The tables hold no pointers: names are offsets into one
//! string, so they cost no relocation and no memory until they are read.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Groups whose kinds define other kinds; they come with their own machinery.
const LEFT_OUT_GROUPS: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];
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
    ("pods", "portforward", "PodPortForwardOptions", &["create", "get"]),
    ("pods", "proxy", "PodProxyOptions", &ALL_METHODS),
    ("services", "proxy", "ServiceProxyOptions", &ALL_METHODS),
    ("nodes", "proxy", "NodeProxyOptions", &ALL_METHODS),
];

/// Optional fields that are plain values in Go, so that their zero is left out when written. The schema
/// does not tell them from pointers, whose zero means something (`replicas: 0`).
const OMIT_ZERO: [(&str, &[&str]); 22] = [
    ("meta.v1.ObjectMeta", &["generateName", "generation", "name", "namespace", "resourceVersion", "selfLink", "uid"]),
    ("meta.v1.ListMeta", &["continue", "resourceVersion", "selfLink"]),
    ("apps.v1.DaemonSetSpec", &["minReadySeconds"]),
    ("apps.v1.DeploymentSpec", &["minReadySeconds", "paused"]),
    ("apps.v1.ReplicaSetSpec", &["minReadySeconds"]),
    ("apps.v1.StatefulSetSpec", &["minReadySeconds", "podManagementPolicy"]),
    ("core.v1.ConfigMapVolumeSource", &["name"]),
    (
        "core.v1.Container",
        &[
            "image",
            "imagePullPolicy",
            "stdin",
            "stdinOnce",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "tty",
            "workingDir",
        ],
    ),
    ("core.v1.ContainerPort", &["hostIP", "hostPort", "name", "protocol"]),
    ("core.v1.EnvVar", &["value"]),
    ("core.v1.EnvFromSource", &["prefix"]),
    ("core.v1.HTTPGetAction", &["host", "path", "scheme"]),
    ("core.v1.NodeSpec", &["configSource", "externalID", "podCIDR", "providerID", "unschedulable"]),
    ("core.v1.ObjectReference", &["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"]),
    (
        "core.v1.PodSpec",
        &[
            "dnsPolicy",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "hostname",
            "nodeName",
            "priorityClassName",
            "restartPolicy",
            "schedulerName",
            "serviceAccount",
            "serviceAccountName",
            "subdomain",
        ],
    ),
    (
        "core.v1.Probe",
        &["failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold", "timeoutSeconds"],
    ),
    ("core.v1.Secret", &["type"]),
    ("core.v1.SecretVolumeSource", &["secretName"]),
    ("core.v1.ServicePort", &["name", "nodePort", "protocol"]),
    (
        "core.v1.ServiceSpec",
        &[
            "clusterIP",
            "externalName",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "loadBalancerIP",
            "publishNotReadyAddresses",
            "sessionAffinity",
            "type",
        ],
    ),
    ("core.v1.Toleration", &["effect", "key", "operator", "value"]),
    ("core.v1.VolumeMount", &["readOnly", "subPath", "subPathExpr"]),
];
/// Fields that Go writes even when nothing is in them: structs that are not pointers, lists without `omitempty`.
const ALWAYS_WRITTEN: [(&str, &[&str]); 8] = [
    ("core.v1.Container", &["resources"]),
    ("core.v1.ContainerStatus", &["lastState", "state"]),
    ("core.v1.EphemeralContainer", &["resources"]),
    ("core.v1.PersistentVolumeClaimSpec", &["resources"]),
    ("core.v1.PodTemplateSpec", &["metadata"]),
    ("core.v1.ServiceStatus", &["loadBalancer"]),
    ("rbac.v1.ClusterRole", &["rules"]),
    ("rbac.v1.Role", &["rules"]),
];

/// Both stages: facts to `api_dir/gen-source`, and from there to `api_dir/src/gen`.
pub fn generate(facts_dir: &Path, api_dir: &Path) -> Result<()> {
    let facts = read(&facts_dir.join("k8s-1.36-facts.json"))?;
    let messages = read(&facts_dir.join("k8s-1.36-protobuf.json"))?;
    let source = Source::from_facts(&facts, &messages["messages"])?;
    let dir = api_dir.join("gen-source");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("resources.json"), lines(&Value::Array(source.resources)))?;
    std::fs::write(dir.join("types.json"), lines(&Value::Object(source.types)))?;
    for (name, text) in tables(&dir)? {
        std::fs::write(api_dir.join("src/gen").join(name), text)?;
    }
    Ok(())
}

/// The second stage: file name and text of every table, from the committed sources.
pub fn tables(source_dir: &Path) -> Result<Vec<(&'static str, String)>> {
    let resources = read(&source_dir.join("resources.json"))?;
    let types = read(&source_dir.join("types.json"))?;
    let types = types.as_object().context("types.json is not a map")?;
    let mut tables = Tables::new(types);
    tables.add_types(types)?;
    let kinds = kinds_file(resources.as_array().context("resources.json is not a list")?, types, &tables)?;
    Ok(vec![
        ("fields.rs", tables.fields_file()),
        ("kinds.rs", kinds),
        ("names.rs", tables.names.file()),
        ("types.rs", tables.types_file()),
    ])
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parsing {}", path.display()))
}

/// JSON with one entry per line, so that a new Kubernetes version shows as a readable difference.
fn lines(v: &Value) -> String {
    let (open, rows, close) = match v {
        Value::Object(map) => ("{", map.iter().map(|(k, v)| format!("{}: {v}", json!(k))).collect::<Vec<_>>(), "}"),
        Value::Array(list) => ("[", list.iter().map(Value::to_string).collect(), "]"),
        other => return other.to_string(),
    };
    format!("{open}\n{}\n{close}\n", rows.join(",\n"))
}

struct Source {
    resources: Vec<Value>,
    types: Map<String, Value>,
}

impl Source {
    fn from_facts(facts: &Value, messages: &Value) -> Result<Self> {
        let all = facts["types"].as_object().context("facts without types")?;
        let resources = facts["resources"].as_array().context("facts without resources")?;
        let mut resources: Vec<Value> = resources.iter().filter(|r| served(r)).map(with_connect).collect();
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
            let mut t = all.get(&name).with_context(|| format!("no type {name}"))?.clone();
            add_tags(&name, &mut t, messages);
            for field in t["fields"].as_object().into_iter().flat_map(Map::values) {
                open.extend(named_type(&field["t"]));
            }
            types.insert(name, t);
        }
        Ok(Self { resources, types })
    }
}

/// Stable versions are served by default; alpha and beta are not.
fn served(r: &Value) -> bool {
    let stable = text(r, "version").trim_start_matches('v').bytes().all(|b| b.is_ascii_digit());
    stable && !LEFT_OUT_GROUPS.contains(&text(r, "group").as_str())
}

fn text(v: &Value, key: &str) -> String {
    v[key].as_str().unwrap_or("").to_owned()
}

fn with_connect(r: &Value) -> Value {
    let mut r = r.clone();
    for (plural, sub, kind, verbs) in CONNECT {
        if r["group"] == "" && r["plural"] == plural && r["sub"].get(sub).is_some() {
            r["sub"][sub] = json!({"verbs": verbs, "kind": ["", "v1", kind], "connect": true});
        }
    }
    r
}

/// Group, version and kind of a resource, its list and its subresources.
fn wanted_kinds(r: &Value) -> Vec<[String; 3]> {
    let own = [text(r, "group"), text(r, "version"), text(r, "kind")];
    let list = [own[0].clone(), own[1].clone(), format!("{}List", own[2])];
    let subs = r["sub"].as_object().into_iter().flat_map(Map::values).map(|s| strings(&s["kind"]));
    let subs = subs.filter_map(|k| <[String; 3]>::try_from(k).ok());
    [own, list].into_iter().chain(subs).collect()
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
}

fn type_of(types: &Map<String, Value>, gvk: &[String; 3]) -> Option<String> {
    let is = |t: &Value| t["gvk"].as_array().is_some_and(|list| list.iter().any(|g| strings(g) == gvk));
    types.iter().find(|(_, t)| is(t)).map(|(name, _)| name.clone())
}

fn named_type(t: &Value) -> Option<String> {
    match t {
        Value::String(s) if s.starts_with("io.k8s.") => Some(s.clone()),
        Value::Array(list) => list.first().and_then(named_type),
        Value::Object(map) => map.get("map").and_then(named_type),
        _ => None,
    }
}

/// Fields of embedded Go structs are flat in JSON but messages of their own in protobuf: their tag
/// becomes a pair of the embedded message's tag and the field's.
fn add_tags(name: &str, t: &mut Value, messages: &Value) {
    let message = name.trim_start_matches("io.k8s.");
    let package = message.rsplit_once('.').map_or("", |(p, _)| p);
    let Some(fields) = t["fields"].as_object_mut() else { return };
    let embedded: Vec<(u64, Map<String, Value>)> = messages[message]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| !fields.contains_key(*field))
        .filter_map(|(_, spec)| {
            let inner = spec[2].as_str()?;
            let inner = inner.strip_prefix('.').map_or_else(|| format!("{package}.{inner}"), str::to_owned);
            Some((spec[0].as_u64()?, messages[inner.as_str()].as_object()?.clone()))
        })
        .collect();
    for (field, spec) in fields.iter_mut().filter(|(_, spec)| spec.get("pb").is_none()) {
        let found = embedded.iter().find_map(|(outer, inner)| Some((*outer, inner.get(field)?[0].as_u64()?)));
        if let Some((outer, inner)) = found {
            spec["pb"] = json!([outer, inner]);
        }
    }
}

/// Names as offsets into one string.
#[derive(Default)]
struct Names {
    ids: BTreeMap<String, usize>,
    order: Vec<String>,
}

impl Names {
    fn id(&mut self, name: &str) -> usize {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.ids.insert(name.to_owned(), self.order.len());
        self.order.push(name.to_owned());
        self.order.len() - 1
    }

    fn file(&self) -> String {
        let mut out = header("Names of types and fields.");
        let mut text = String::new();
        let mut at = vec![0];
        for name in &self.order {
            text.push_str(name);
            at.push(text.len());
        }
        let _ = write!(out, "#[rustfmt::skip]\npub(crate) static TEXT: &str = \"");
        for chunk in text.as_bytes().chunks(110) {
            let _ = write!(out, "\\\n{}", String::from_utf8_lossy(chunk));
        }
        let _ = write!(out, "\";\n\n#[rustfmt::skip]\npub(crate) static AT: [u32; {}] = [\n", at.len());
        wrap(&mut out, at.iter().map(usize::to_string));
        out.push_str("];\n");
        out
    }
}

fn wrap(out: &mut String, items: impl Iterator<Item = String>) {
    let mut column = 0;
    for item in items {
        if column + item.len() > 110 {
            out.push('\n');
            column = 0;
        }
        column += item.len() + 1;
        out.push_str(&item);
        out.push(',');
    }
    out.push('\n');
}

fn header(what: &str) -> String {
    format!("//! {what}\n//! Generated from `gen-source/` by `host/xtask/src/gen_api.rs`; do not edit.\n\n")
}

struct Tables {
    names: Names,
    type_ids: BTreeMap<String, usize>,
    value_types: Vec<String>,
    key_sets: Vec<Vec<usize>>,
    field_rows: Vec<String>,
    type_rows: Vec<String>,
    gvks: Vec<String>,
    unions: Vec<String>,
}

impl Tables {
    fn new(types: &Map<String, Value>) -> Self {
        let mut names = Names::default();
        names.id("");
        Self {
            names,
            type_ids: types.keys().enumerate().map(|(i, name)| (name.clone(), i)).collect(),
            value_types: Vec::new(),
            key_sets: vec![Vec::new()],
            field_rows: Vec::new(),
            type_rows: Vec::new(),
            gvks: Vec::new(),
            unions: Vec::new(),
        }
    }

    fn add_types(&mut self, types: &Map<String, Value>) -> Result<()> {
        let mut first = 0;
        for (id, (name, t)) in types.iter().enumerate() {
            let fields = t["fields"].as_object().cloned().unwrap_or_default();
            let rows =
                fields.iter().map(|(field, spec)| self.field_row(name, field, spec)).collect::<Result<Vec<_>>>()?;
            let name_id = self.names.id(name);
            let atomic = t["mapType"] == "atomic";
            self.type_rows.push(format!("t({name_id},{first},{},Shape::{},{atomic})", rows.len(), shape(name, t)));
            first += rows.len();
            self.field_rows.extend(rows);
            self.add_gvks(id, t);
            self.add_unions(id, t);
        }
        Ok(())
    }

    fn add_gvks(&mut self, id: usize, t: &Value) {
        for gvk in t["gvk"].as_array().into_iter().flatten().map(strings) {
            let ids: Vec<String> = gvk.iter().map(|part| self.names.id(part).to_string()).collect();
            self.gvks.push(format!("({id},{})", ids.join(",")));
        }
    }

    fn add_unions(&mut self, id: usize, t: &Value) {
        for union in t["unions"].as_array().into_iter().flatten() {
            let pairs = union["fields-to-discriminateBy"].as_object().into_iter().flatten();
            let pairs: Vec<String> = pairs.map(|(k, v)| format!("({k:?}, {:?})", v.as_str().unwrap_or(""))).collect();
            let discriminator = union["discriminator"].as_str().unwrap_or("");
            self.unions.push(format!("({id}, {discriminator:?}, &[{}])", pairs.join(", ")));
        }
    }

    fn field_row(&mut self, owner: &str, name: &str, spec: &Value) -> Result<String> {
        let flags = flags(spec)? | encoding_flags(owner, name, spec);
        let name = self.names.id(name);
        let ty = self.value_type(&spec["t"])?;
        let keys = self.key_set(&strings(&spec["keys"]));
        let merge_key = self.names.id(spec["mergeKey"].as_str().unwrap_or(""));
        let (embed, tag) = match &spec["pb"] {
            Value::Array(pair) => (pair[0].as_u64().unwrap_or(0), pair[1].as_u64().unwrap_or(0)),
            tag => (0, tag.as_u64().unwrap_or(0)),
        };
        Ok(format!("f({name},{ty},{flags},{keys},{merge_key},{embed},{tag})"))
    }

    /// The index of a value type in the table of value types, which lists and maps refer to.
    fn value_type(&mut self, t: &Value) -> Result<usize> {
        let text = match t {
            Value::Array(list) => format!("List({})", self.value_type(list.first().unwrap_or(&Value::Null))?),
            Value::Object(map) => format!("Map({})", self.value_type(map.get("map").unwrap_or(&Value::Null))?),
            Value::String(s) => match s.as_str() {
                "string" => "String".to_owned(),
                "string:byte" => "Bytes".to_owned(),
                "boolean" => "Bool".to_owned(),
                "integer:int32" => "Int32".to_owned(),
                "integer:int64" => "Int64".to_owned(),
                "number:double" => "Double".to_owned(),
                name => format!("Named({})", self.type_ids.get(name).with_context(|| format!("no type {name}"))?),
            },
            other => bail!("unknown value type {other}"),
        };
        let found = self.value_types.iter().position(|v| *v == text);
        Ok(found.unwrap_or_else(|| {
            self.value_types.push(text);
            self.value_types.len() - 1
        }))
    }

    fn key_set(&mut self, keys: &[String]) -> usize {
        let ids: Vec<usize> = keys.iter().map(|k| self.names.id(k)).collect();
        let found = self.key_sets.iter().position(|k| *k == ids);
        found.unwrap_or_else(|| {
            self.key_sets.push(ids);
            self.key_sets.len() - 1
        })
    }

    fn fields_file(&self) -> String {
        let mut out = header("Fields of all types, type by type, sorted by name within a type.");
        let count = self.field_rows.len();
        let _ = write!(out, "use crate::schema::{{Field, ValueType, field as f}};\nuse ValueType::*;\n\n");
        let _ = write!(out, "#[rustfmt::skip]\npub(crate) static FIELDS: [Field; {count}] = [\n");
        wrap(&mut out, self.field_rows.iter().cloned());
        let _ = write!(
            out,
            "];\n\n#[rustfmt::skip]\npub(crate) static VALUE_TYPES: [ValueType; {}] = [\n",
            self.value_types.len()
        );
        wrap(&mut out, self.value_types.iter().cloned());
        out.push_str("];\n\n/// Keys of lists that are maps, as name indices.\n#[rustfmt::skip]\npub(crate) static KEY_SETS: &[&[u16]] = &[\n");
        wrap(&mut out, self.key_sets.iter().map(|keys| format!("&{keys:?}")));
        out.push_str("];\n");
        out
    }

    fn types_file(&self) -> String {
        let mut out = header("All types, sorted by name.");
        let _ = write!(out, "use crate::schema::{{Shape, Type, type_row as t}};\n\n");
        let _ = write!(out, "#[rustfmt::skip]\npub(crate) static TYPES: [Type; {}] = [\n", self.type_rows.len());
        wrap(&mut out, self.type_rows.iter().cloned());
        let _ = write!(
            out,
            "];\n\n/// Type, and group, version and kind as name indices.\n#[rustfmt::skip]\npub(crate) static GVKS: [(u16, u16, u16, u16); {}] = [\n",
            self.gvks.len()
        );
        wrap(&mut out, self.gvks.iter().cloned());
        out.push_str("];\n\n/// Type, discriminator, and members with their discriminator values.\n");
        out.push_str("#[rustfmt::skip]\npub(crate) static UNIONS: &[crate::schema::UnionRow] = &[\n");
        for row in &self.unions {
            let _ = writeln!(out, "    {row},");
        }
        out.push_str("];\n");
        out
    }
}

/// How a type without an ordinary struct's form is decoded.
fn shape(name: &str, t: &Value) -> &'static str {
    match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "Quantity" => "Quantity",
        "IntOrString" => "IntOrString",
        "Time" => "Time",
        "MicroTime" => "MicroTime",
        _ if t["fields"].is_object() => "Struct",
        "FieldsV1" | "RawExtension" | "Patch" => "Any",
        _ => "Struct",
    }
}

/// Bits as `schema::Field` reads them.
fn flags(spec: &Value) -> Result<u16> {
    let list = match spec["list"].as_str() {
        None => 0,
        Some("atomic") => 1,
        Some("set") => 2,
        Some("map") => 3,
        Some(other) => bail!("unknown list type {other}"),
    };
    let map = match spec["mapType"].as_str() {
        None => 0,
        Some("atomic") => 1,
        Some("granular") => 2,
        Some(other) => bail!("unknown map type {other}"),
    };
    let strategies: BTreeSet<&str> = spec["patch"].as_str().unwrap_or("").split(',').collect();
    let bit = |on: bool, at: u16| u16::from(on) << at;
    Ok(bit(spec["req"] == 1, 0)
        | list << 1
        | map << 3
        | bit(strategies.contains("merge"), 5)
        | bit(strategies.contains("replace"), 6)
        | bit(strategies.contains("retainKeys"), 7))
}

/// What Go's encoder does with zero values. Required numbers and booleans are always written.
fn encoding_flags(owner: &str, field: &str, spec: &Value) -> u16 {
    let listed = |table: &[(&str, &[&str])]| {
        table.iter().any(|(name, fields)| owner.ends_with(&format!(".{name}")) && fields.contains(&field))
    };
    let number = matches!(spec["t"].as_str(), Some("boolean" | "integer:int32" | "integer:int64"));
    let always = listed(&ALWAYS_WRITTEN) || (spec["req"] == 1 && number);
    u16::from(listed(&OMIT_ZERO)) << 8 | u16::from(always) << 9
}

fn kinds_file(resources: &[Value], types: &Map<String, Value>, tables: &Tables) -> Result<String> {
    let mut out = header("Built-in kinds, sorted by group, version and plural.");
    let _ = write!(out, "use crate::kind::{{Kind, Subresource}};\nuse crate::schema::TypeId;\n\n");
    let _ = write!(out, "#[rustfmt::skip]\npub(crate) static KINDS: [Kind; {}] = [\n", resources.len());
    for r in resources {
        let [group, version, plural, kind] = ["group", "version", "plural", "kind"].map(|k| text(r, k));
        let gvk = [group.clone(), version.clone(), kind.clone()];
        let name = type_of(types, &gvk).with_context(|| format!("no type for {gvk:?}"))?;
        let schema = tables.type_ids.get(&name).with_context(|| format!("no id for {name}"))?;
        let list = [group.clone(), version.clone(), format!("{kind}List")];
        let list_kind = if type_of(types, &list).is_some() { format!("{kind}List") } else { String::new() };
        let _ = writeln!(
            out,
            "    Kind {{ group: {group:?}, version: {version:?}, plural: {plural:?}, singular: {:?}, kind: {kind:?}, list_kind: {list_kind:?},\n        short_names: &{:?}, categories: &{:?}, namespaced: {}, verbs: &{:?}, schema: TypeId({schema}),\n        subresources: &[{}] }},",
            kind.to_lowercase(),
            strings(&r["short"]),
            strings(&r["categories"]),
            r["namespaced"] == true,
            strings(&r["verbs"]),
            subresources(r, types, tables)
        );
    }
    out.push_str("];\n");
    Ok(out)
}

fn subresources(r: &Value, types: &Map<String, Value>, tables: &Tables) -> String {
    let mut rows = String::new();
    for (name, sub) in r["sub"].as_object().into_iter().flatten() {
        let Ok(gvk) = <[String; 3]>::try_from(strings(&sub["kind"])) else { continue };
        let schema = type_of(types, &gvk).and_then(|name| tables.type_ids.get(&name).copied());
        let schema = schema.map_or("None".to_owned(), |id| format!("Some(TypeId({id}))"));
        let [group, version, kind] = gvk;
        let _ = write!(
            rows,
            "\n            Subresource {{ name: {name:?}, kind: {kind:?}, group: {group:?}, version: {version:?}, verbs: &{:?}, connect: {}, schema: {schema} }},",
            strings(&sub["verbs"]),
            sub["connect"] == true
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_tables_are_fresh() {
        let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api");
        for (name, want) in tables(&api.join("gen-source")).unwrap() {
            let have = std::fs::read_to_string(api.join("src/gen").join(name)).unwrap();
            assert!(have == want, "src/gen/{name} is stale: run `cargo xtask gen-api FACTS`");
        }
    }

    #[test]
    fn sources_have_one_entry_per_line() {
        assert_eq!(lines(&json!({"a": 1, "b": [2]})), "{\n\"a\": 1,\n\"b\": [2]\n}\n");
    }
}
