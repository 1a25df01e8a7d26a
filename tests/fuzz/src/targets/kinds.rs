//! Small languages in fields of objects: expressions, schedules, and paths into custom resources.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k3s_api::fields;
use k3s_cel::{Environment, Type};
use k3s_kinds::schedule::Schedule;
use k3s_kinds::{CustomRules, Strategy};
use serde_json::{Value, json};

/// Most that is said of an expression beyond a multiple of its length.
const MAX_REFUSAL_BYTES: usize = 512 * 1024;

/// An expression of CEL.
pub fn cel_expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let request = vec![("operation".to_owned(), Type::Plain("string"))];
    let environment = Environment {
        variables: vec![
            ("object".to_owned(), Type::Dynamic),
            ("request".to_owned(), Type::Object("request", request)),
        ],
        patches: true,
    };
    let compiled = k3s_cel::compile(text, &environment, &["bool"]);
    assert_eq!(k3s_cel::compile(text, &environment, &["bool"]), compiled);
    match compiled {
        Ok(_) => {
            // In parentheses it is the same.
            let inner = format!("({text}\n)");
            let again = k3s_cel::compile(&inner, &environment, &["bool"]);
            let is_deep = |refusal: &k3s_cel::Refusal| refusal.to_string().contains("limit");
            assert!(
                again.is_ok() || again.is_err_and(|it| is_deep(&it)),
                "{text}"
            );
        }
        Err(refusal) => {
            let said = refusal.to_string();
            assert!(!said.is_empty());
            assert!(said.len() <= MAX_REFUSAL_BYTES + 4 * text.len());
        }
    }
}

/// No schedule is due for the first time later than this, in seconds: six years.
const MAX_WAIT_SECONDS: i64 = 6 * 366 * 24 * 3600;

/// Each moment at which a schedule is due is later than the one before, and none is far away.
fn is_due_in_order(text: &str) {
    let Ok(schedule) = Schedule::parse(text, TimeZone::UTC) else {
        return;
    };
    let mut at = Timestamp::UNIX_EPOCH;
    for _ in 0..5 {
        let Some(next) = schedule.next(at) else {
            return;
        };
        assert!(next > at && next.subsec_nanosecond() == 0, "{text:?}");
        let wait = next.as_second() - at.as_second();
        assert!(
            wait <= MAX_WAIT_SECONDS || text.contains("@every"),
            "{text:?}"
        );
        at = next;
    }
}

/// The schedule of a CronJob.
pub fn cron_schedule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    is_due_in_order(text);
    let strategy = Strategy::built_in("batch", "CronJob");
    let mut job = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"schedule": text}});
    strategy.default(&mut job);
    let errors = strategy.validate_create(&job, true);
    let is_refused = errors
        .iter()
        .any(|error| error.to_string().starts_with("spec.schedule"));
    if !is_refused {
        let fields = text.split_whitespace().count();
        assert!(fields == 5 || text.starts_with('@'), "{text:?}");
    }
}

/// A path in the first line, an object in the rest.
pub fn json_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, object) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(object) = fields::parse(object.as_bytes()) else {
        return;
    };
    let types = ["string", "integer", "number", "boolean", "date"];
    let columns: Vec<Value> = types
        .iter()
        .map(|kind| json!({"name": kind, "type": kind, "jsonPath": path}))
        .collect();
    let version = json!({
        "name": "v1", "served": true, "storage": true, "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        "subresources": {"scale": {"specReplicasPath": path, "statusReplicasPath": path}},
    });
    let Ok(rules) = CustomRules::read(&version) else {
        return;
    };
    let rules = Strategy::Custom(Arc::new(rules));
    let cells = rules.cells(&object.value, Timestamp::UNIX_EPOCH);
    assert_eq!(cells.len(), types.len() + 1);
    assert!(
        cells
            .iter()
            .all(|cell| !cell.is_object() && !cell.is_array())
    );
    let definition = json!({
        "metadata": {"name": "as.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "as", "singular": "a", "kind": "A", "listKind": "AList"}},
    });
    let definitions = Strategy::built_in("apiextensions.k8s.io", "CustomResourceDefinition");
    drop(definitions.validate_create(&definition, false));
}
