//! The documents hold together: every reference leads somewhere, every verb has its operation, and
//! what `kubectl` looks for is there.

use super::*;
use std::collections::HashSet;

fn document(group: &str, version: &str) -> Value {
    serde_json::from_slice(&v3(group, version, &[], Encoding::Json).unwrap()).unwrap()
}

fn references(v: &Value, out: &mut HashSet<String>) {
    match v {
        Value::Object(map) => {
            out.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|v| references(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for (group, version) in group_versions() {
        let document = document(group, version);
        let mut all = HashSet::new();
        references(&document, &mut all);
        assert!(!all.is_empty());
        for reference in all {
            assert!(
                document.pointer(&reference[1..]).is_some(),
                "{group}/{version}: {reference}"
            );
        }
    }
    let document: Value = serde_json::from_slice(&v2(&[], Encoding::Json)).unwrap();
    let mut all = HashSet::new();
    references(&document, &mut all);
    assert!(all.iter().all(|r| document.pointer(&r[1..]).is_some()));
}

#[test]
fn index_leads_to_every_group_version() {
    let index = v3_index(&[]);
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(paths.len(), group_versions().len());
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert_eq!(url, format!("/openapi/v3/{path}?hash={DIGEST}"));
        let (group, version) = v3_of_path(path, &[]).unwrap();
        assert!(v3(group, version, &[], Encoding::Protobuf).is_some());
    }
    assert!(v3_of_path("apis/nothing/v1", &[]).is_none());
}

#[test]
fn patches_tell_what_kubectl_asks() {
    for kind in kinds().iter().filter(|k| k.has_verb("patch")) {
        let document = document(kind.group, kind.version);
        let found = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|p| p.get("patch"))
            .find(|patch| {
                patch["x-kubernetes-group-version-kind"]
                    == json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
            });
        let parameters = found.unwrap()["parameters"].as_array().unwrap();
        for name in ["dryRun", "fieldValidation"] {
            assert!(
                parameters.iter().any(|p| p["name"] == name),
                "{} {name}",
                kind.kind
            );
        }
    }
}

#[test]
fn operation_ids_are_unique_and_familiar() {
    let document: Value = serde_json::from_slice(&v2(&[], Encoding::Json)).unwrap();
    let mut ids = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values().filter(|o| o.is_object()) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{path}: {id}");
        }
    }
    for id in [
        "listCoreV1NamespacedPod",
        "listCoreV1PodForAllNamespaces",
        "readAppsV1NamespacedDeploymentScale",
        "createRbacAuthorizationV1ClusterRole",
        "connectPostCoreV1NamespacedPodExec",
        "deleteCollectionCoreV1NamespacedPod",
    ] {
        assert!(ids.contains(id), "{id}");
    }
}

#[test]
fn schemas_carry_prose_and_merge_keys() {
    let document = document("apps", "v1");
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert!(
        deployment["description"]
            .as_str()
            .unwrap()
            .starts_with("Deployment enables declarative updates")
    );
    let gvk = json!([{"group": "apps", "version": "v1", "kind": "Deployment"}]);
    assert_eq!(deployment["x-kubernetes-group-version-kind"], gvk);
    let spec = &deployment["properties"]["spec"];
    assert_eq!(
        spec["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"
    );
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(
        ports["x-kubernetes-list-map-keys"],
        json!(["containerPort", "protocol"])
    );
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
}

#[test]
fn nearly_everything_is_described() {
    let prose = prose::Prose::unpack();
    let mut missing = Vec::new();
    // JSON Schema is described elsewhere, and upstream does not repeat it.
    let elsewhere =
        |name: &str| name.ends_with(".JSONSchemaProps") || name.ends_with(".ExternalDocumentation");
    for (id, t) in crate::schema::types().filter(|(_, t)| !elsewhere(t.name())) {
        missing.extend(
            prose
                .fields(id.index(), t)
                .filter(|(_, text)| text.is_empty())
                .map(|(f, _)| format!("{}.{}", t.name(), f.name())),
        );
    }
    assert!(
        missing.len() < 20,
        "{} fields without description: {missing:?}",
        missing.len()
    );
}

/// Reads a message's fields: number and bytes (varints as their value).
fn fields(mut raw: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(raw: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = raw[0];
            *raw = &raw[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut out = Vec::new();
    while !raw.is_empty() {
        let key = varint(&mut raw);
        let bytes = match key & 7 {
            0 => varint(&mut raw).to_le_bytes().to_vec(),
            2 => {
                let length = usize::try_from(varint(&mut raw)).unwrap();
                let (bytes, rest) = raw.split_at(length);
                raw = rest;
                bytes.to_vec()
            }
            other => panic!("wire type {other}"),
        };
        out.push((key >> 3, bytes));
    }
    out
}

fn one(raw: &[u8], number: u64) -> Vec<u8> {
    fields(raw)
        .into_iter()
        .find(|(n, _)| *n == number)
        .unwrap()
        .1
}

fn by_name(raw: &[u8], number: u64, name: &str) -> Vec<u8> {
    let entries = fields(raw)
        .into_iter()
        .filter(|(n, _)| *n == number)
        .map(|(_, bytes)| bytes);
    let found = entries
        .into_iter()
        .find(|entry| one(entry, 1) == name.as_bytes())
        .unwrap();
    one(&found, 2)
}

#[test]
fn protobuf_v3_holds_the_same_paths_and_schemas() {
    let raw = v3("apps", "v1", &[], Encoding::Protobuf).unwrap();
    assert_eq!(one(&raw, 1), b"3.0.0");
    let item = by_name(
        &one(&raw, 4),
        1,
        "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    );
    let patch = one(&item, 10);
    let gvk = by_name(&patch, 13, "x-kubernetes-group-version-kind");
    let gvk: Value = serde_json::from_slice(&one(&gvk, 2)).unwrap();
    assert_eq!(gvk["kind"], "Deployment");
    let parameters: Vec<Vec<u8>> = fields(&patch)
        .into_iter()
        .filter(|(n, _)| *n == 6)
        .map(|(_, p)| one(&one(&p, 1), 1))
        .collect();
    assert!(parameters.contains(&b"fieldValidation".to_vec()));
    let schema = by_name(
        &one(&one(&raw, 5), 1),
        1,
        "io.k8s.api.apps.v1.DeploymentSpec",
    );
    let template = by_name(&one(&one(&schema, 1), 31), 1, "template");
    let reference = one(&one(&one(&template, 1), 26), 2);
    assert_eq!(
        one(&reference, 1),
        b"#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"
    );
}

#[test]
fn protobuf_v2_holds_the_same_paths_and_schemas() {
    let raw = v2(&[], Encoding::Protobuf);
    assert_eq!(one(&raw, 1), b"2.0");
    let item = by_name(
        &one(&raw, 8),
        2,
        "/api/v1/namespaces/{namespace}/pods/{name}",
    );
    assert_eq!(one(&one(&item, 8), 5), b"patchCoreV1NamespacedPod");
    let schema = by_name(&one(&raw, 9), 1, "io.k8s.api.core.v1.Pod");
    let spec = by_name(&one(&schema, 25), 1, "spec");
    assert_eq!(one(&spec, 1), b"#/definitions/io.k8s.api.core.v1.PodSpec");
    assert_eq!(one(&one(&schema, 22), 1), b"object");
}

#[test]
fn kinds_defined_at_run_time_are_shown() {
    let definition = crate::define::Definition {
        group: "stable.example.com".to_owned(),
        version: "v1".to_owned(),
        plural: "crontabs".to_owned(),
        singular: "crontab".to_owned(),
        kind: "CronTab".to_owned(),
        list_kind: "CronTabList".to_owned(),
        namespaced: true,
        scale: true,
        status: true,
        ..crate::define::Definition::default()
    };
    let kind = crate::define::define(&definition).unwrap();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "description": "What is wished."}}});
    let custom = [CustomKind::new(kind, &schema)];
    let bytes = v3("stable.example.com", "v1", &custom, Encoding::Json).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let mut all = HashSet::new();
    references(&document, &mut all);
    for reference in &all {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    let shown = &document["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(
        shown["properties"]["spec"]["description"],
        "What is wished."
    );
    assert_eq!(
        shown["x-kubernetes-group-version-kind"][0]["kind"],
        "CronTab"
    );
    let path = &document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}/scale"];
    assert_eq!(
        path["get"]["x-kubernetes-group-version-kind"]["kind"],
        "Scale"
    );
    // kubectl looks here whether it may send strategic merge patches.
    let item =
        &document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"];
    let patches = item["patch"]["requestBody"]["content"].as_object().unwrap();
    assert!(patches.contains_key("application/merge-patch+json"));
    assert!(!patches.contains_key("application/strategic-merge-patch+json"));
    let index = v3_index(&custom);
    let url = index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    assert!(!url.ends_with(DIGEST));
    assert!(v3("stable.example.com", "v1", &custom, Encoding::Protobuf).is_some());
    let document: Value = serde_json::from_slice(&v2(&custom, Encoding::Json)).unwrap();
    assert!(document["definitions"]["com.example.stable.v1.CronTabList"].is_object());
}
