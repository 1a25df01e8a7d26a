//! Pure: which names a definition gets, and the status that says so.
//! Upstream: `apiextensions-apiserver/pkg/controller/status/naming_controller.go`.

use std::collections::BTreeSet;

use k3s_meta::{ErrorList, FieldError, condition, object, tree};
use serde_json::{Value, json};

/// Names that others in the group have.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// Plurals, singulars and short names.
    pub(super) resources: BTreeSet<String>,
    /// Kinds and list kinds.
    pub(super) kinds: BTreeSet<String>,
}

/// Whether the condition is there and true.
pub(super) fn is_true(status: &Value, kind: &str) -> bool {
    let conditions = tree::list(status, "conditions");
    conditions
        .iter()
        .any(|c| tree::text(c, "type") == kind && tree::text(c, "status") == "True")
}

/// The status that a definition should have. `schema_errors` are what its schemas are refused for.
pub(super) fn status(
    definition: &Value,
    taken: &Taken,
    schema_errors: &[FieldError],
    now: &str,
) -> Value {
    let mut status = definition
        .get("status")
        .filter(|status| status.is_object())
        .cloned()
        .unwrap_or_else(|| json!({}));
    let wanted = tree::get(definition, "spec.names")
        .cloned()
        .unwrap_or_default();
    let had = tree::get(&status, "acceptedNames")
        .cloned()
        .unwrap_or_default();
    let (names, conflict) = accept(&wanted, &had, taken);
    tree::set(&mut status, "acceptedNames", names);
    let accepted = conflict.is_none();
    let condition = match conflict {
        None => Condition(
            "NamesAccepted",
            true,
            "NoConflicts",
            "no conflicts found".to_owned(),
        ),
        Some((reason, message)) => Condition("NamesAccepted", false, reason, message),
    };
    set_condition(&mut status, condition, now);
    if let Some(condition) = non_structural(&status, schema_errors) {
        set_condition(&mut status, condition, now);
    }
    let condition = established(&status, accepted);
    set_condition(&mut status, condition, now);
    if let Some(condition) = approval(definition) {
        set_condition(&mut status, condition, now);
    }
    status
}

struct Condition(&'static str, bool, &'static str, String);

fn established(status: &Value, accepted: bool) -> Condition {
    if is_true(status, "NonStructuralSchema") {
        let text = "the schema cannot be enforced by this server, so objects are not served; see NonStructuralSchema";
        return Condition("Established", false, "SchemaNotSupported", text.to_owned());
    }
    // A definition that once had its names keeps on being served when it asks for others.
    if accepted || is_true(status, "Established") {
        let text = "the initial names have been accepted";
        return Condition("Established", true, "InitialNamesAccepted", text.to_owned());
    }
    Condition(
        "Established",
        false,
        "NotAccepted",
        "not all names are accepted".to_owned(),
    )
}

fn non_structural(status: &Value, errors: &[FieldError]) -> Option<Condition> {
    if !errors.is_empty() {
        return Some(Condition(
            "NonStructuralSchema",
            true,
            "Violations",
            errors.iter().cloned().collect::<ErrorList>().to_string(),
        ));
    }
    // Where all is well, upstream has no such condition.
    is_true(status, "NonStructuralSchema").then(|| {
        Condition(
            "NonStructuralSchema",
            false,
            "NoViolations",
            "the schema can be enforced".to_owned(),
        )
    })
}

fn approval(definition: &Value) -> Option<Condition> {
    let group = tree::text(definition, "spec.group");
    if !k3s_kinds::is_protected_group(group) {
        return None;
    }
    const KIND: &str = "KubernetesAPIApprovalPolicyConformant";
    Some(
        match object::annotation(definition, "api-approved.kubernetes.io").unwrap_or_default() {
            "" => {
                let text = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
                Condition(KIND, false, "MissingAnnotation", text.to_owned())
            }
            text if text.starts_with("unapproved") => {
                let text = format!("not approved: {text:?}");
                Condition(KIND, false, "UnapprovedAnnotation", text)
            }
            url => Condition(
                KIND,
                true,
                "ApprovedAnnotation",
                format!("approved in {url}"),
            ),
        },
    )
}

type Conflict = (&'static str, String);

/// The names that a definition gets: those it asks for and no other has. Of several conflicts the
/// last is reported.
fn accept(wanted: &Value, had: &Value, taken: &Taken) -> (Value, Option<Conflict>) {
    let mut names = had.clone();
    let mut conflict = None;
    let mut accept_name = |key: &'static str, reason: &'static str, used: &BTreeSet<String>| {
        let (want, have) = (tree::text(wanted, key), tree::text(had, key));
        if want != have && used.contains(want) {
            conflict = Some((reason, format!("{want:?} is already in use")));
        } else {
            tree::set(&mut names, key, want);
        }
    };
    accept_name("plural", "PluralConflict", &taken.resources);
    accept_name("singular", "SingularConflict", &taken.resources);
    accept_name("kind", "KindConflict", &taken.kinds);
    accept_name("listKind", "ListKindConflict", &taken.kinds);
    let short = |of: &Value| tree::list(of, "shortNames").to_vec();
    let own = short(had);
    let used: Vec<String> = short(wanted)
        .iter()
        .filter(|name| !own.contains(name))
        .filter_map(Value::as_str)
        .filter(|name| taken.resources.contains(*name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match used.as_slice() {
        [] => set_list(&mut names, "shortNames", short(wanted)),
        [one] => conflict = Some(("ShortNamesConflict", one.clone())),
        many => conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
    }
    set_list(
        &mut names,
        "categories",
        tree::list(wanted, "categories").to_vec(),
    );
    (names, conflict)
}

fn set_list(names: &mut Value, key: &str, items: Vec<Value>) {
    if items.is_empty() {
        tree::remove(names, key);
    } else {
        tree::set(names, key, items);
    }
}

fn set_condition(status: &mut Value, condition: Condition, now: &str) {
    let Condition(kind, on, reason, message) = condition;
    let on = if on { "True" } else { "False" };
    let new = json!({"type": kind, "status": on, "reason": reason, "message": message});
    let mut conditions = tree::list(status, "conditions").to_vec();
    condition::set(&mut conditions, new, now);
    tree::set(status, "conditions", conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: &str, short: &[&str]) -> Value {
        json!({"metadata": {"name": "foos.example.com"}, "spec": {"group": "example.com",
            "names": {"plural": "foos", "singular": "foo", "kind": kind, "listKind": format!("{kind}List"), "shortNames": short}}})
    }

    fn condition(status: &Value, kind: &str) -> (String, String, String) {
        let all = tree::list(status, "conditions");
        let found = all.iter().find(|c| c["type"] == kind).unwrap();
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    #[test]
    fn free_names_are_accepted_once() {
        let mut definition = definition("Foo", &["f"]);
        let first = status(&definition, &Taken::default(), &[], "2026-01-01T00:00:00Z");
        assert!(is_true(&first, "NamesAccepted") && is_true(&first, "Established"));
        assert_eq!(first["acceptedNames"]["shortNames"], json!(["f"]));
        definition["status"] = first.clone();
        assert_eq!(
            status(&definition, &Taken::default(), &[], "2026-01-02T00:00:00Z"),
            first
        );
    }

    #[test]
    fn names_of_others_are_refused() {
        let taken = Taken {
            resources: ["f".to_owned()].into(),
            kinds: ["Foo".to_owned()].into(),
        };
        let refused = status(&definition("Foo", &[]), &taken, &[], "");
        let want = (
            "False".to_owned(),
            "KindConflict".to_owned(),
            "\"Foo\" is already in use".to_owned(),
        );
        assert_eq!(condition(&refused, "NamesAccepted"), want);
        assert_eq!(condition(&refused, "Established").1, "NotAccepted");
        let refused = status(&definition("Bar", &["f"]), &taken, &[], "");
        assert_eq!(condition(&refused, "NamesAccepted").1, "ShortNamesConflict");
        assert_eq!(refused["acceptedNames"]["kind"], "Bar");
        // A definition that was served keeps its old names and stays served.
        let mut served = definition("Bar", &[]);
        served["status"] = status(&served, &Taken::default(), &[], "");
        served["spec"]["names"]["shortNames"] = json!(["f"]);
        let refused = status(&served, &taken, &[], "");
        assert!(is_true(&refused, "Established") && !is_true(&refused, "NamesAccepted"));
    }

    #[test]
    fn a_schema_that_cannot_be_enforced_is_not_served() {
        let error = k3s_meta::field::forbidden(&k3s_meta::Path::new("spec"), "no");
        let refused = status(&definition("Foo", &[]), &Taken::default(), &[error], "");
        assert_eq!(
            condition(&refused, "NonStructuralSchema").2,
            "spec: Forbidden: no"
        );
        assert_eq!(condition(&refused, "Established").0, "False");
    }
}
