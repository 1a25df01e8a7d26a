//! Expressions of webhooks and policies, and what they may name
//! (`apiserver/pkg/admission/plugin/cel/compile.go`).

use std::sync::LazyLock;

use k3s_cel::{Environment, Type};
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{Check, Unique};

const MAX_MATCH_CONDITIONS: usize = 64;

/// What the expressions of one object may name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) params: bool,
    pub(super) authorizer: bool,
    /// The fields of `variables`; `None` where there is no such variable.
    pub(super) variables: Option<&'a [(String, Type)]>,
    /// Whether patches can be made.
    pub(super) patches: bool,
}

fn object(name: &'static str, fields: &[(&str, Type)]) -> Type {
    let fields = fields.iter();
    let owned = fields.map(|(name, kind)| ((*name).to_owned(), kind.clone()));
    Type::Object(name, owned.collect())
}

/// The variables of every expression.
static VARIABLES: LazyLock<Vec<(String, Type)>> = LazyLock::new(|| {
    let named = |name: &str, kind: Type| (name.to_owned(), kind);
    vec![
        named("object", Type::Dynamic),
        named("oldObject", Type::Dynamic),
        named("request", request()),
        named("namespaceObject", namespace()),
    ]
});

fn request() -> Type {
    let text = Type::Plain("string");
    let kind = object(
        "kubernetes.GroupVersionKind",
        &[
            ("group", text.clone()),
            ("version", text.clone()),
            ("kind", text.clone()),
        ],
    );
    let resource = object(
        "kubernetes.GroupVersionResource",
        &[
            ("group", text.clone()),
            ("version", text.clone()),
            ("resource", text.clone()),
        ],
    );
    let user = object(
        "kubernetes.UserInfo",
        &[
            ("username", text.clone()),
            ("uid", text.clone()),
            ("groups", Type::Unknown),
            ("extra", Type::Unknown),
        ],
    );
    let fields = [
        ("kind", kind.clone()),
        ("resource", resource.clone()),
        ("subResource", text.clone()),
        ("requestKind", kind),
        ("requestResource", resource),
        ("requestSubResource", text.clone()),
        ("name", text.clone()),
        ("namespace", text.clone()),
        ("operation", text),
        ("userInfo", user),
        ("dryRun", Type::Plain("bool")),
        ("options", Type::Dynamic),
    ];
    object("kubernetes.AdmissionRequest", &fields)
}

fn namespace() -> Type {
    let text = Type::Plain("string");
    let metadata = [
        ("name", text.clone()),
        ("generateName", text.clone()),
        ("namespace", text.clone()),
        ("labels", Type::Unknown),
        ("annotations", Type::Unknown),
        ("UID", text.clone()),
        ("creationTimestamp", Type::Unknown),
        ("deletionGracePeriodSeconds", Type::Plain("int")),
        ("deletionTimestamp", Type::Unknown),
        ("generation", Type::Plain("int")),
        ("resourceVersion", text.clone()),
        ("finalizers", Type::Unknown),
    ];
    let spec = [("finalizers", Type::Unknown)];
    let status = [("conditions", Type::Unknown), ("phase", text)];
    let fields = [
        (
            "metadata",
            object("kubernetes.NamespaceMetadata", &metadata),
        ),
        ("spec", object("kubernetes.NamespaceSpec", &spec)),
        ("status", object("kubernetes.NamespaceStatus", &status)),
    ];
    object("kubernetes.Namespace", &fields)
}

impl Scope<'_> {
    fn environment(self) -> Environment {
        let mut variables = VARIABLES.clone();
        if self.params {
            variables.push(("params".to_owned(), Type::Dynamic));
        }
        if self.authorizer {
            for name in ["authorizer", "authorizer.requestResource"] {
                variables.push((name.to_owned(), Type::Unknown));
            }
        }
        if let Some(fields) = self.variables {
            let kind = Type::Object("kubernetes.variables", fields.to_vec());
            variables.push(("variables".to_owned(), kind));
        }
        Environment {
            variables,
            patches: self.patches,
        }
    }

    /// Compiles an expression whose result must be of one of the types `results`; none for any. `shown` is
    /// the value of the error.
    pub(super) fn compile(
        self,
        errors: &mut ErrorList,
        (expression, shown): (&str, &str),
        results: &[&str],
        path: &Path,
    ) -> Type {
        match k3s_cel::compile(expression, &self.environment(), results) {
            Ok(kind) => kind,
            Err(refusal) => {
                errors.push(field::invalid(path, shown, refusal.to_string()));
                Type::Unknown
            }
        }
    }
}

/// `matchConditions` of a webhook or a policy.
pub(super) fn match_conditions(errors: &mut ErrorList, holder: &Value, params: bool, path: &Path) {
    let path = path.child("matchConditions");
    let conditions = tree::list(holder, "matchConditions");
    if conditions.len() > MAX_MATCH_CONDITIONS {
        let count = conditions.len();
        errors.push(field::too_many(&path, count, MAX_MATCH_CONDITIONS));
    }
    let scope = Scope {
        params,
        authorizer: true,
        ..Scope::default()
    };
    let mut seen = Unique::new();
    for (index, condition) in conditions.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let at = path.index(index);
        let expression = tree::text(condition, "expression").trim();
        let place = at.child("expression");
        if expression.is_empty() {
            errors.push(field::required(&place, ""));
        } else {
            scope.compile(errors, (expression, expression), &["bool"], &place);
        }
        let (name, place) = (tree::text(condition, "name"), at.child("name"));
        if name.is_empty() {
            errors.push(field::required(&place, ""));
        } else {
            errors.check(&place, name, names::is_qualified_name(name));
            seen.insert(errors, name, &place);
        }
    }
}
