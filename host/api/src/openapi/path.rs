//! Paths of a kind and the operations on them.

use super::Dialect;
use super::operation::{Operation, TypeRef};
use super::parameter::{self, Query};
use crate::kind::{Kind, Subresource};
use crate::schema::{self, TypeId};
use serde_json::{Map, Value};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Adds every operation on a kind.
pub(super) fn add_paths(kind: &'static Kind, dialect: Dialect, out: &mut Map<String, Value>) {
    let types = Types {
        object: TypeRef::Table(kind.schema),
        list: list_type(kind).map(TypeRef::Table),
    };
    add_paths_with(kind, &types, dialect, out);
}

/// The same of a kind defined at run time: `object` and `list` name its definitions.
pub(super) fn add_custom_paths(
    kind: &'static Kind,
    (object, list): (&str, &str),
    dialect: Dialect,
    out: &mut Map<String, Value>,
) {
    let types = Types {
        object: TypeRef::Named(object.to_owned()),
        list: Some(TypeRef::Named(list.to_owned())),
    };
    add_paths_with(kind, &types, dialect, out);
}

fn add_paths_with(
    kind: &'static Kind,
    types: &Types,
    dialect: Dialect,
    out: &mut Map<String, Value>,
) {
    let root = format!("/{}", super::v3_path(kind.group, kind.version));
    let collection = match kind.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    };
    let item = format!("{collection}/{{name}}");
    let of = Verbs { kind, types };
    put(out, kind, &collection, of.on_collection(), dialect);
    put(out, kind, &item, of.on_item(), dialect);
    if kind.namespaced && kind.has_verb("list") {
        put(
            out,
            kind,
            &format!("{root}/{}", kind.plural),
            vec![of.list("ForAllNamespaces")],
            dialect,
        );
    }
    for sub in kind.subresources {
        put(
            out,
            kind,
            &format!("{item}/{}", sub.name),
            of.on_subresource(sub, ""),
            dialect,
        );
        if sub.connect && sub.name == "proxy" {
            put(
                out,
                kind,
                &format!("{item}/{}/{{path}}", sub.name),
                of.on_subresource(sub, "WithPath"),
                dialect,
            );
        }
    }
}

fn put(
    out: &mut Map<String, Value>,
    kind: &Kind,
    path: &str,
    operations: Vec<Operation>,
    dialect: Dialect,
) {
    if operations.is_empty() {
        return;
    }
    let mut item: Map<String, Value> = operations
        .iter()
        .map(|o| (o.method.to_owned(), o.document(kind, dialect)))
        .collect();
    let parameters = parameter::of_path(kind.kind, path, dialect);
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    out.insert(path.to_owned(), item.into());
}

/// Types that every kind's operations use.
pub(super) fn shared_types() -> impl Iterator<Item = TypeId> {
    ["DeleteOptions", "Patch", "Status", "WatchEvent"]
        .into_iter()
        .filter_map(meta)
}

/// Types that a kind's operations use.
pub(super) fn types_of(kind: &'static Kind) -> impl Iterator<Item = TypeId> {
    let subs = kind.subresources.iter().filter_map(|s| s.schema);
    [kind.schema].into_iter().chain(list_type(kind)).chain(subs)
}

fn meta(name: &str) -> Option<TypeId> {
    schema::by_name(&format!("{META}{name}"))
}

fn list_type(kind: &Kind) -> Option<TypeId> {
    schema::by_gvk(kind.group, kind.version, kind.list_kind)
}

/// The types of a kind's objects and lists.
struct Types {
    object: TypeRef,
    list: Option<TypeRef>,
}

struct Verbs<'a> {
    kind: &'static Kind,
    types: &'a Types,
}

impl Verbs<'_> {
    fn operation(&self, verb: &str, suffix: &str) -> Option<Operation> {
        let kind = self.kind;
        let schema = Some(self.types.object.clone());
        let [status, patch, options] =
            ["Status", "Patch", "DeleteOptions"].map(|name| meta(name).map(TypeRef::Table));
        let name = kind.kind;
        let (method, action, id_verb, description, query, body, answer) = match verb {
            "get" => (
                "get",
                "get",
                "read",
                format!("read the specified {name}"),
                Query::Read,
                None,
                schema,
            ),
            "list" => (
                "get",
                "list",
                "list",
                format!("list or watch objects of kind {name}"),
                Query::List,
                None,
                self.types.list.clone(),
            ),
            "create" => (
                "post",
                "post",
                "create",
                format!("create a {name}"),
                Query::Write,
                schema.clone(),
                schema,
            ),
            "update" => (
                "put",
                "put",
                "replace",
                format!("replace the specified {name}"),
                Query::Write,
                schema.clone(),
                schema,
            ),
            "patch" => (
                "patch",
                "patch",
                "patch",
                format!("partially update the specified {name}"),
                Query::Patch,
                patch,
                schema,
            ),
            "delete" => (
                "delete",
                "delete",
                "delete",
                format!("delete a {name}"),
                Query::Delete,
                options,
                status,
            ),
            "deletecollection" => (
                "delete",
                "deletecollection",
                "deleteCollection",
                format!("delete collection of {name}"),
                Query::DeleteCollection,
                options,
                status,
            ),
            _ => return None,
        };
        let about = (kind.group, kind.version, kind.kind);
        Some(Operation {
            method,
            action,
            id_verb,
            description,
            id_suffix: suffix.to_owned(),
            query,
            body,
            answer,
            strategic: self.knows_types(),
            about,
        })
    }

    /// Schemas of kinds defined at run time do not define how lists merge.
    fn knows_types(&self) -> bool {
        matches!(self.types.object, TypeRef::Table(_))
    }

    fn list(&self, suffix: &str) -> Operation {
        // The verb is one of the known ones.
        self.operation("list", suffix)
            .unwrap_or_else(|| self.connect_like())
    }

    fn some(&self, verbs: &[&str]) -> Vec<Operation> {
        verbs
            .iter()
            .filter(|v| self.kind.has_verb(v))
            .filter_map(|v| self.operation(v, ""))
            .collect()
    }

    fn on_collection(&self) -> Vec<Operation> {
        self.some(&["list", "create", "deletecollection"])
    }

    fn on_item(&self) -> Vec<Operation> {
        self.some(&["get", "update", "patch", "delete"])
    }

    fn on_subresource(&self, sub: &'static Subresource, suffix: &str) -> Vec<Operation> {
        let name = format!("{}{suffix}", capital(sub.name));
        let verbs = sub.verbs.iter();
        if sub.connect {
            return verbs
                .filter_map(|verb| self.connect(sub, verb, &name))
                .collect();
        }
        verbs
            .filter_map(|verb| self.operation(verb, &name))
            .map(|o| self.of_subresource(o, sub))
            .collect()
    }

    /// Requests that are passed through: any method, bodies of unknown type.
    fn connect(&self, sub: &'static Subresource, verb: &str, name: &str) -> Option<Operation> {
        let (method, id_verb) = match verb {
            "create" => ("post", "connectPost"),
            "delete" => ("delete", "connectDelete"),
            "get" => ("get", "connectGet"),
            "patch" => ("patch", "connectPatch"),
            "update" => ("put", "connectPut"),
            _ => return None,
        };
        let query = match sub.name {
            "exec" => Query::Exec,
            "attach" => Query::Attach,
            "portforward" => Query::PortForward,
            _ => Query::Proxy,
        };
        let base = self.connect_like();
        let description = format!(
            "connect {} requests to {} of {}",
            method.to_uppercase(),
            sub.name,
            self.kind.kind
        );
        let about = (sub.group, sub.version, sub.kind);
        Some(Operation {
            method,
            id_verb,
            description,
            id_suffix: name.to_owned(),
            query,
            about,
            ..base
        })
    }

    /// Bodies and answers of a subresource are of its own kind.
    fn of_subresource(&self, operation: Operation, sub: &'static Subresource) -> Operation {
        let own = match sub.schema {
            // The object itself, of which a part may change.
            Some(id) if id == self.kind.schema => Some(self.types.object.clone()),
            other => other.map(TypeRef::Table),
        };
        let answer = if sub.name == "log" { None } else { own.clone() };
        let body = operation.body.and_then(|body| {
            if operation.method == "patch" {
                Some(body)
            } else {
                own
            }
        });
        let query = if sub.name == "log" {
            Query::Log
        } else {
            operation.query
        };
        let description = format!("{} ({})", operation.description, sub.name);
        Operation {
            body,
            answer,
            query,
            description,
            about: (sub.group, sub.version, sub.kind),
            ..operation
        }
    }

    fn connect_like(&self) -> Operation {
        Operation {
            method: "get",
            action: "connect",
            id_verb: "connect",
            description: String::new(),
            id_suffix: String::new(),
            query: Query::Proxy,
            body: None,
            answer: None,
            strategic: false,
            about: (self.kind.group, self.kind.version, self.kind.kind),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
