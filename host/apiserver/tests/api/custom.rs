//! Custom resources: their definitions, and every verb on their objects.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Api, admin, request, restart_on, seen, start, start_on};

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["cron"], "properties": {
            "cron": {"type": "string", "pattern": "^[0-9* ]+$"},
            "image": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
        }},
        "status": {"type": "object", "properties": {
            "replicas": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"},
        }},
    }})
}

pub fn definition() -> Value {
    json!({
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema()},
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector",
                }},
                "selectableFields": [{"jsonPath": ".spec.image"}],
                "additionalPrinterColumns": [
                    {"name": "Cron", "type": "string", "jsonPath": ".spec.cron"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }],
        },
    })
}

pub fn tab(name: &str) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cron": "* * 1"}})
}

/// What a schema lets through without naming it is no unknown field, wherever in the object it says so.
#[tokio::test]
async fn preserved_fields_are_not_unknown() {
    let api = start().await;
    let named = json!({"type": "object", "properties": {"dummy": {"type": "object"}}});
    let preserving = |mut schema: Value| {
        schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
        schema
    };
    for (plural, schema, fields) in [
        (
            "ones",
            preserving(json!({"type": "object", "properties": {"spec": named}})),
            json!({"a": {"b": [{"c": "d"}]}}),
        ),
        (
            "twos",
            json!({"type": "object", "properties": {"spec": preserving(named.clone())}}),
            json!({"spec": {"b": [{"c": "d"}]}}),
        ),
        (
            "threes",
            preserving(json!({"type": "object"})),
            json!({"a": {"b": [{"c": "d"}]}}),
        ),
    ] {
        let mut made = definition();
        made["metadata"]["name"] = json!(format!("{plural}.stable.example.com"));
        made["spec"]["names"] = json!({"plural": plural, "kind": plural});
        made["spec"]["versions"] = json!([{
            "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
        }]);
        establish(&api, made).await;
        let path = format!("/apis/stable.example.com/v1/namespaces/default/{plural}");
        let mut object = fields.clone();
        object["metadata"] = json!({"name": "test-cr"});
        let made = api
            .ok("POST", &format!("{path}?fieldValidation=Strict"), object)
            .await;
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(made[name], *value, "{plural}");
        }
        // A change of such a field alone is one that watchers see.
        let path = format!("{path}/test-cr");
        for field in fields.as_object().unwrap().keys() {
            let added = json!({field: {"dummy": {}}});
            let changed = api.ok("PATCH", &path, added).await;
            assert_eq!(changed[field]["dummy"], json!({}), "{plural}");
            assert_ne!(
                changed["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"],
                "{plural}"
            );
        }
    }
}

fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let all = object["status"]["conditions"].as_array().unwrap();
    all.iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

/// Creates a definition and waits until it says that it is served.
pub async fn establish(api: &Api, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    api.ok("POST", DEFINITIONS, definition).await;
    until(api, &format!("{DEFINITIONS}/{name}"), |object| {
        condition(object, "Established")["status"] == "True"
    })
    .await
}

pub async fn until(api: &Api, path: &str, done: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let answer = api.get(path).await;
        if done(&answer.body) {
            return answer.body;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} never came to be so: {}", api.get(path).await.text);
}

pub async fn gone(api: &Api, path: &str) {
    until(api, path, |object| object["code"] == 404).await;
}

#[tokio::test]
async fn a_definition_is_established_and_shown() {
    let api = start().await;
    assert_eq!(api.get(TABS).await.code, 404);
    let made = establish(&api, definition()).await;
    assert_eq!(made["status"]["acceptedNames"]["listKind"], "CronTabList");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(condition(&made, "NamesAccepted")["reason"], "NoConflicts");
    assert_eq!(
        condition(&made, "Established")["reason"],
        "InitialNamesAccepted"
    );
    let list = api
        .ok("GET", "/apis/stable.example.com/v1", Value::Null)
        .await;
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["crontabs", "crontabs/scale", "crontabs/status"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["ct"]));
    let groups = api.ok("GET", "/apis", Value::Null).await;
    assert!(
        groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .any(|g| g["name"] == "stable.example.com")
    );
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let shown = api.accept("/apis", aggregated).await;
    assert!(shown.text.contains("\"crontabs\""), "{}", shown.text);
    let index = api.ok("GET", "/openapi/v3", Value::Null).await;
    let url = index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = api.get(&url).await;
    let kind = &document.body["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(
        kind["properties"]["spec"]["properties"]["replicas"]["default"],
        1
    );
    let old = api.get("/openapi/v2").await;
    assert!(old.body["definitions"]["com.example.stable.v1.CronTab"].is_object());
}

#[tokio::test]
async fn an_object_is_defaulted_pruned_and_validated() {
    let api = start().await;
    establish(&api, definition()).await;
    let mut object = tab("a");
    object["spec"]["unknown"] = json!({"x": 1});
    object["status"] = json!({"phase": "Made up"});
    let made = api.call("POST", TABS, object.clone()).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(
        made.warnings(),
        ["299 - \"unknown field \\\"spec.unknown\\\"\""]
    );
    assert_eq!(
        made.body["spec"],
        json!({"cron": "* * 1", "image": "a", "replicas": 1})
    );
    assert_eq!(
        (&made.body["metadata"]["generation"], &made.body["status"]),
        (&json!(1), &Value::Null)
    );
    object["metadata"]["name"] = json!("b");
    api.call("POST", &format!("{TABS}?fieldValidation=Strict"), object).await.refused(
        400,
        "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"spec.unknown\"",
    );
    let bad = |spec: Value| json!({"metadata": {"name": "c"}, "spec": spec});
    let table = [
        (bad(json!({})), "spec.cron: Required value"),
        (
            bad(json!({"cron": 1})),
            "spec.cron: Invalid value: \"integer\": spec.cron in body must be of type string: \"integer\"",
        ),
        (
            bad(json!({"cron": "x"})),
            "spec.cron: Invalid value: \"x\": spec.cron in body should match '^[0-9* ]+$'",
        ),
        (
            bad(json!({"cron": "*", "replicas": 11})),
            "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        (
            bad(json!({"cron": "*", "image": "c"})),
            "spec.image: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
    ];
    for (object, want) in table {
        api.call("POST", TABS, object).await.refused(
            422,
            &format!("CronTab.stable.example.com \"c\" is invalid: {want}"),
        );
    }
}

#[tokio::test]
async fn every_verb_works() {
    let api = start().await;
    establish(&api, definition()).await;
    for name in ["a", "b", "c"] {
        api.ok("POST", TABS, tab(name)).await;
    }
    let page = api.ok("GET", &format!("{TABS}?limit=2"), Value::Null).await;
    assert_eq!(
        (&page["kind"], page["items"].as_array().unwrap().len()),
        (&json!("CronTabList"), 2)
    );
    let token = page["metadata"]["continue"].as_str().unwrap();
    let rest = api
        .ok(
            "GET",
            &format!("{TABS}?limit=2&continue={token}"),
            Value::Null,
        )
        .await;
    assert_eq!(rest["items"][0]["metadata"]["name"], "c");
    let path = format!("{TABS}/a");
    let merged = api
        .ok("PATCH", &path, json!({"spec": {"image": "b"}}))
        .await;
    assert_eq!(
        (&merged["spec"]["image"], &merged["metadata"]["generation"]),
        (&json!("b"), &json!(2))
    );
    let labelled = api
        .ok("PATCH", &path, json!({"metadata": {"labels": {"x": "y"}}}))
        .await;
    assert_eq!(labelled["metadata"]["generation"], 2);
    let selected = api
        .ok(
            "GET",
            &format!("{TABS}?fieldSelector=spec.image%3Db"),
            Value::Null,
        )
        .await;
    assert_eq!(selected["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        api.get(&format!("{TABS}?fieldSelector=spec.cron%3Db"))
            .await
            .code,
        400
    );
    let selected = api
        .ok("GET", &format!("{TABS}?labelSelector=x%3Dy"), Value::Null)
        .await;
    assert_eq!(selected["items"][0]["metadata"]["name"], "a");
    let mut changed = labelled.clone();
    changed["spec"]["replicas"] = json!(5);
    assert_eq!(
        api.ok("PUT", &path, changed.clone()).await["spec"]["replicas"],
        5
    );
    changed["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    api.call("PUT", &path, changed).await.refused(
        422,
        "crontabs.stable.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update",
    );
    api.ok("POST", &format!("{TABS}?dryRun=All"), tab("d"))
        .await;
    assert_eq!(api.get(&format!("{TABS}/d")).await.code, 404);
    let deleted = api.ok("DELETE", &path, Value::Null).await;
    assert_eq!(
        (&deleted["status"], &deleted["details"]["kind"]),
        (&json!("Success"), &json!("crontabs"))
    );
    api.ok("DELETE", TABS, Value::Null).await;
    assert_eq!(api.ok("GET", TABS, Value::Null).await["items"], json!([]));
    let anywhere = api
        .call(
            "POST",
            "/apis/stable.example.com/v1/namespaces/none/crontabs",
            tab("a"),
        )
        .await;
    anywhere.refused(404, "namespaces \"none\" not found");
}

#[tokio::test]
async fn subresources_have_their_part() {
    let api = start().await;
    establish(&api, definition()).await;
    api.ok("POST", TABS, tab("a")).await;
    let path = format!("{TABS}/a");
    let status = json!({"status": {"replicas": 1, "selector": "app=a", "phase": "Up"}, "spec": {"replicas": 9}});
    let updated = api.ok("PATCH", &format!("{path}/status"), status).await;
    assert_eq!(
        (
            &updated["status"]["phase"],
            &updated["spec"]["replicas"],
            &updated["metadata"]["generation"]
        ),
        (&json!("Up"), &json!(1), &json!(1))
    );
    let kept = api
        .ok("PATCH", &path, json!({"status": {"phase": "Down"}}))
        .await;
    assert_eq!(kept["status"]["phase"], "Up");
    let scale = api.ok("GET", &format!("{path}/scale"), Value::Null).await;
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (
            &json!({"replicas": 1}),
            &json!({"replicas": 1, "selector": "app=a"})
        )
    );
    let scaled = api
        .ok(
            "PATCH",
            &format!("{path}/scale"),
            json!({"spec": {"replicas": 4}}),
        )
        .await;
    assert_eq!(scaled["spec"]["replicas"], 4);
    let object = api.ok("GET", &path, Value::Null).await;
    assert_eq!(
        (
            &object["spec"]["replicas"],
            &object["metadata"]["generation"]
        ),
        (&json!(4), &json!(2))
    );
    let refused = api
        .call(
            "PATCH",
            &format!("{path}/scale"),
            json!({"spec": {"replicas": 99}}),
        )
        .await;
    assert_eq!(refused.code, 422, "{}", refused.text);
}

#[tokio::test]
async fn tables_have_the_definitions_columns() {
    let api = start().await;
    establish(&api, definition()).await;
    api.ok("POST", TABS, tab("a")).await;
    let table = api
        .accept(
            TABS,
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .await
        .body;
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "Cron", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], "* * 1");
}

#[tokio::test]
async fn watches_see_objects_and_end_with_the_definition() {
    let api = start().await;
    establish(&api, definition()).await;
    let mut watch = api.watch(&format!("{TABS}?watch=1")).await;
    api.ok("POST", TABS, tab("a")).await;
    assert_eq!(watch.seen().await, seen("ADDED", "a"));
    api.ok(
        "PATCH",
        &format!("{TABS}/a"),
        json!({"spec": {"replicas": 2}}),
    )
    .await;
    assert_eq!(watch.seen().await, seen("MODIFIED", "a"));
    let going = api
        .ok(
            "DELETE",
            &format!("{DEFINITIONS}/crontabs.stable.example.com"),
            Value::Null,
        )
        .await;
    assert_eq!(
        condition(&going, "Terminating")["reason"],
        "InstanceDeletionPending"
    );
    assert_eq!(watch.seen().await, seen("DELETED", "a"));
    gone(&api, &format!("{DEFINITIONS}/crontabs.stable.example.com")).await;
    assert!(watch.next().await.is_none());
    assert_eq!(api.get(TABS).await.code, 404);
}

#[tokio::test]
async fn a_deleted_definition_waits_for_its_objects() {
    let api = start().await;
    establish(&api, definition()).await;
    let mut held = tab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.ok("POST", TABS, held).await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    api.ok("DELETE", &path, Value::Null).await;
    until(&api, &path, |object| {
        condition(object, "Terminating")["reason"] == "InstanceDeletionInProgress"
    })
    .await;
    api.call("POST", TABS, tab("new")).await.refused(
        405,
        "create not allowed while custom resource definition is terminating",
    );
    assert_eq!(api.get(&path).await.code, 200);
    api.ok(
        "PATCH",
        &format!("{TABS}/held"),
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    gone(&api, &path).await;
    // The same definition starts again.
    establish(&api, definition()).await;
    assert_eq!(api.ok("GET", TABS, Value::Null).await["items"], json!([]));
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let backend = k3s_store::MemoryBackend::new();
    let api = start_on(backend.clone()).await;
    establish(&api, definition()).await;
    api.ok("POST", TABS, tab("a")).await;
    api.tasks.stop(Duration::from_secs(5)).await;
    let api = restart_on(backend).await;
    // Served from the first request on.
    let object = api.ok("GET", &format!("{TABS}/a"), Value::Null).await;
    assert_eq!(object["spec"]["replicas"], 1);
}

#[tokio::test]
async fn a_changed_schema_applies_to_what_is_stored() {
    let api = start().await;
    let made = establish(&api, definition()).await;
    api.ok("POST", TABS, tab("a")).await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let mut changed = made.clone();
    let properties = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        ["spec"]["properties"];
    properties["zone"] = json!({"type": "string", "default": "utc"});
    properties.as_object_mut().unwrap().remove("image");
    changed["spec"]["versions"][0]["selectableFields"] = json!([]);
    api.ok("PUT", &path, changed).await;
    let object = until(&api, &format!("{TABS}/a"), |object| {
        object["spec"]["zone"] == "utc"
    })
    .await;
    assert_eq!(
        object["spec"],
        json!({"cron": "* * 1", "replicas": 1, "zone": "utc"})
    );
    let listed = api.ok("GET", TABS, Value::Null).await;
    assert_eq!(listed["items"][0]["spec"]["zone"], "utc");
}

#[tokio::test]
async fn versions_share_their_objects() {
    let api = start().await;
    let mut two = definition();
    let first = two["spec"]["versions"][0].clone();
    let mut second = first.clone();
    second["name"] = json!("v1beta1");
    second["storage"] = json!(false);
    second["deprecated"] = json!(true);
    two["spec"]["versions"] = json!([first, second]);
    establish(&api, two).await;
    let old = TABS.replace("/v1/", "/v1beta1/");
    let mut object = tab("a");
    object["apiVersion"] = json!("stable.example.com/v1beta1");
    let made = api.call("POST", &old, object).await;
    assert_eq!(
        made.body["apiVersion"], "stable.example.com/v1beta1",
        "{}",
        made.text
    );
    assert_eq!(
        made.warnings(),
        ["299 - \"stable.example.com/v1beta1 CronTab is deprecated\""]
    );
    assert_eq!(
        api.ok("GET", &format!("{TABS}/a"), Value::Null).await["apiVersion"],
        "stable.example.com/v1"
    );
    let listed = api.ok("GET", &old, Value::Null).await;
    assert_eq!(
        (&listed["apiVersion"], &listed["items"][0]["apiVersion"]),
        (
            &json!("stable.example.com/v1beta1"),
            &json!("stable.example.com/v1beta1")
        )
    );
}

#[tokio::test]
async fn names_in_use_are_refused_until_they_are_free() {
    let api = start().await;
    establish(&api, definition()).await;
    let mut other = definition();
    other["metadata"]["name"] = json!("others.stable.example.com");
    other["spec"]["names"] = json!({"plural": "others", "kind": "CronTab"});
    api.ok("POST", DEFINITIONS, other).await;
    let path = format!("{DEFINITIONS}/others.stable.example.com");
    let refused = until(&api, &path, |object| {
        object["status"]["conditions"]
            .as_array()
            .is_some_and(|c| !c.is_empty())
    })
    .await;
    assert_eq!(condition(&refused, "NamesAccepted")["status"], "False");
    assert_eq!(condition(&refused, "Established")["status"], "False");
    assert_eq!(
        api.get("/apis/stable.example.com/v1/namespaces/default/others")
            .await
            .code,
        404
    );
    api.ok(
        "DELETE",
        &format!("{DEFINITIONS}/crontabs.stable.example.com"),
        Value::Null,
    )
    .await;
    until(&api, &path, |object| {
        condition(object, "Established")["status"] == "True"
    })
    .await;
}

#[tokio::test]
async fn definitions_that_cannot_be_honoured_are_refused() {
    let api = start().await;
    let head = "CustomResourceDefinition.apiextensions.k8s.io \"crontabs.stable.example.com\" is invalid: ";
    let table: Vec<(&[&str], Value, &str)> = vec![
        (
            &["spec", "versions", "0", "schema", "openAPIV3Schema"],
            json!({"type": "object", "properties": {"a": {}}}),
            "spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            &["spec", "conversion"],
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://x"}}}),
            "spec.conversion.strategy: Forbidden: conversion webhooks are not called by this server; use None",
        ),
        (
            &["spec", "scope"],
            json!("Everywhere"),
            "spec.scope: Unsupported value: \"Everywhere\": supported values: \"Cluster\", \"Namespaced\"",
        ),
    ];
    for (path, value, want) in table {
        let mut bad = definition();
        let slot = path
            .iter()
            .fold(&mut bad, |object, key| match key.parse::<usize>() {
                Ok(index) => &mut object[index],
                Err(_) => &mut object[*key],
            });
        *slot = value;
        if path.contains(&"openAPIV3Schema") {
            bad["spec"]["versions"][0]["selectableFields"] = Value::Null;
        }
        let answer = api.call("POST", DEFINITIONS, bad).await;
        answer.refused(422, &format!("{head}{want}"));
    }
}

#[tokio::test]
async fn strategic_patches_are_refused() {
    let api = start().await;
    establish(&api, definition()).await;
    api.ok("POST", TABS, tab("a")).await;
    let mut patch = request("PATCH", &format!("{TABS}/a"), &json!({"spec": {}}));
    patch.headers_mut().insert(
        "content-type",
        "application/strategic-merge-patch+json".parse().unwrap(),
    );
    let answer = api.send(patch, Some(admin())).await;
    answer.refused(
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json",
    );
}

/// As large as the definitions of well-known operators: each change is compiled once.
#[tokio::test]
async fn a_large_schema_is_served_like_a_small_one() {
    let api = start().await;
    let leaf = json!({"type": "object", "description": "x".repeat(100), "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "weight": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
    }});
    let leaves: serde_json::Map<String, Value> = (0..2000)
        .map(|i| (format!("field{i}"), leaf.clone()))
        .collect();
    let mut large = definition();
    let schema = &mut large["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"]["large"] =
        json!({"type": "object", "properties": leaves});
    assert!(large.to_string().len() > 700_000);
    establish(&api, large).await;
    let mut object = tab("a");
    object["spec"]["large"] = json!({"field1999": {"name": "ok", "port": "http"}});
    let made = api.ok("POST", TABS, object.clone()).await;
    assert_eq!(made["spec"]["large"]["field1999"]["weight"], 1);
    object["metadata"]["name"] = json!("b");
    object["spec"]["large"]["field7"] = json!({"name": "Not OK"});
    api.call("POST", TABS, object).await.refused(
        422,
        "CronTab.stable.example.com \"b\" is invalid: spec.large.field7.name: Invalid value: \"Not OK\": spec.large.field7.name in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
    );
}
