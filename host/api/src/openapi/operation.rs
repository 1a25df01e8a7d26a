//! One operation: an HTTP method on a path.

use super::Dialect;
use super::definition::{gvk, reference_to};
use super::parameter::Query;
use crate::kind::Kind;
use crate::schema::TypeId;
use k3s_meta::tree;
use serde_json::{Map, Value, json};

/// Media types of objects.
const OBJECTS: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];
/// Media types of watches.
const STREAMS: [&str; 2] = [
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
/// Media types of patches.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
    "application/json-patch+json",
    "application/merge-patch+json",
];
/// The one that needs types; clients check here whether they may send it.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The type of a body: one of the tables, or the schema of a kind defined at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TypeRef {
    Table(TypeId),
    Named(String),
}

impl TypeRef {
    fn reference(&self, dialect: Dialect) -> Value {
        match self {
            Self::Table(id) => reference_to(id.get().name(), dialect),
            Self::Named(name) => reference_to(name, dialect),
        }
    }
}

/// An operation, in terms that both dialects share.
pub(super) struct Operation {
    /// `get`, `put`, ...
    pub(super) method: &'static str,
    /// The value of `x-kubernetes-action`.
    pub(super) action: &'static str,
    /// The start of the operation's id: `list`, `replace`.
    pub(super) id_verb: &'static str,
    /// The description for people.
    pub(super) description: String,
    /// The end of the operation's id: `Scale`, `ForAllNamespaces`.
    pub(super) id_suffix: String,
    pub(super) query: Query,
    /// The type of the body, if there is one.
    pub(super) body: Option<TypeRef>,
    /// The type of the answer; None for text and streams.
    pub(super) answer: Option<TypeRef>,
    /// Whether patches may be strategic merge patches.
    pub(super) strategic: bool,
    /// Group, version and kind that the operation is about.
    pub(super) about: (&'static str, &'static str, &'static str),
}

impl Operation {
    /// The operation as JSON.
    pub(super) fn document(&self, kind: &Kind, dialect: Dialect) -> Value {
        let (group, version, about) = self.about;
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
        put("tags", json!([tag(kind.group, kind.version)]));
        put("description", self.description.as_str().into());
        put("operationId", self.id(kind).into());
        put("x-kubernetes-action", self.action.into());
        put(
            "x-kubernetes-group-version-kind",
            gvk(group, version, about),
        );
        let mut parameters = self.query.parameters(dialect);
        match dialect {
            Dialect::V2 => {
                parameters.extend(
                    self.body
                        .as_ref()
                        .map(|body| body_parameter(body, self.body_is_required())),
                );
                put("consumes", self.consumes().into());
                put("produces", self.produces().into());
                put("schemes", json!(["https"]));
                put(
                    "responses",
                    self.responses(|id| json!({"schema": id.reference(dialect)})),
                );
            }
            Dialect::V3 => {
                if let Some(body) = &self.body {
                    put("requestBody", self.request_body(body));
                }
                let produces = self.produces();
                put(
                    "responses",
                    self.responses(|id| json!({"content": content(&produces, id)})),
                );
            }
        }
        put("parameters", parameters.into());
        out.into()
    }

    fn is_patch(&self) -> bool {
        self.method == "patch"
    }

    fn consumes(&self) -> Vec<&'static str> {
        if !self.is_patch() {
            return vec!["*/*"];
        }
        PATCHES
            .into_iter()
            .chain(self.strategic.then_some(STRATEGIC))
            .collect()
    }

    fn body_is_required(&self) -> bool {
        self.method != "delete"
    }

    /// `listAppsV1NamespacedDeployment`
    fn id(&self, kind: &Kind) -> String {
        let group = if kind.group.is_empty() {
            "core"
        } else {
            kind.group.trim_end_matches(".k8s.io")
        };
        let scope = if kind.namespaced && !self.id_suffix.ends_with("ForAllNamespaces") {
            "Namespaced"
        } else {
            ""
        };
        let (group, version) = (camel(group), camel(kind.version));
        format!(
            "{}{group}{version}{scope}{}{}",
            self.id_verb, kind.kind, self.id_suffix
        )
    }

    fn produces(&self) -> Vec<&'static str> {
        let streams = if self.action == "list" {
            STREAMS.as_slice()
        } else {
            &[]
        };
        match self.answer {
            Some(_) => OBJECTS.iter().chain(streams).copied().collect(),
            None => vec!["*/*"],
        }
    }

    fn request_body(&self, id: &TypeRef) -> Value {
        let mut body = json!({"content": content(&self.consumes(), id)});
        if self.body_is_required() {
            tree::set(&mut body, "required", true);
        }
        body
    }

    fn responses(&self, with: impl Fn(&TypeRef) -> Value) -> Value {
        let codes: &[(&str, &str)] = match self.action {
            "post" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            "put" | "patch" => &[("200", "OK"), ("201", "Created")],
            "delete" => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        };
        let mut out = Map::new();
        for (code, description) in codes {
            let mut response = self.answer.as_ref().map_or_else(|| json!({}), &with);
            tree::set(&mut response, "description", *description);
            out.insert((*code).to_owned(), response);
        }
        out.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        out.into()
    }
}

fn content(types: &[&str], id: &TypeRef) -> Value {
    let schema = json!({"schema": id.reference(Dialect::V3)});
    types
        .iter()
        .map(|t| ((*t).to_owned(), schema.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn body_parameter(id: &TypeRef, required: bool) -> Value {
    let mut out = json!({"name": "body", "in": "body", "schema": id.reference(Dialect::V2)});
    if required {
        tree::set(&mut out, "required", true);
    }
    out
}

fn tag(group: &str, version: &str) -> String {
    let group = if group.is_empty() {
        "core"
    } else {
        group.trim_end_matches(".k8s.io")
    };
    format!("{}_{version}", lower_first(&camel(group)))
}

/// `rbac.authorization` to `RbacAuthorization`
fn camel(text: &str) -> String {
    text.split('.')
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
        })
        .collect()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}
