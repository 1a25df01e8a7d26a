//! APIServices of what this server serves itself.

use k3s_store::MemoryBackend;
use serde_json::{Value, json};

use crate::custom::{DEFINITIONS, definition, establish, gone, until};
use crate::harness::{Api, restart_on, start, start_on};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

async fn service(api: &Api, name: &str) -> Value {
    api.ok("GET", &format!("{SERVICES}/{name}"), Value::Null)
        .await
}

#[tokio::test]
async fn every_group_and_version_has_an_available_local_service() {
    let api = start().await;
    let list = api.ok("GET", SERVICES, Value::Null).await;
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["metadata"]["name"].as_str().unwrap())
        .collect();
    let groups = api.ok("GET", "/apis", Value::Null).await;
    let groups = groups["groups"].as_array().unwrap();
    assert_eq!(groups[0]["name"], "apiregistration.k8s.io");
    for group in &groups[1..] {
        for version in group["versions"].as_array().unwrap() {
            let (group, version) = (group["name"].as_str().unwrap(), &version["version"]);
            let name = format!("{}.{group}", version.as_str().unwrap());
            assert!(names.contains(&name.as_str()), "{name} of {names:?}");
        }
    }
    assert!(!names.contains(&"v1.apiregistration.k8s.io"));
    let core = service(&api, "v1.").await;
    assert_eq!(core["metadata"]["labels"], json!({MANAGED: "onstart"}));
    assert_eq!(
        core["spec"],
        json!({"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1})
    );
    let available = &core["status"]["conditions"][0];
    assert_eq!(
        (
            &available["type"],
            &available["status"],
            &available["reason"]
        ),
        (&json!("Available"), &json!("True"), &json!("Local"))
    );
    let resources = api
        .ok("GET", "/apis/apiregistration.k8s.io/v1", Value::Null)
        .await;
    let names = resources["resources"].as_array().unwrap().iter();
    let names: Vec<&Value> = names.map(|resource| &resource["name"]).collect();
    assert_eq!(names, ["apiservices", "apiservices/status"]);
}

#[tokio::test]
async fn services_of_custom_resources_come_and_go_with_them_and_stay_as_they_should_be() {
    let api = start().await;
    establish(&api, definition()).await;
    let path = format!("{SERVICES}/v1.stable.example.com");
    let made = until(&api, &path, |service| service["kind"] == "APIService").await;
    assert_eq!(made["metadata"]["labels"], json!({MANAGED: "true"}));
    assert_eq!(
        made["spec"],
        json!({"group": "stable.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100})
    );
    let other = json!({"spec": {"groupPriorityMinimum": 7}});
    api.ok("PATCH", &path, other).await;
    until(&api, &path, |service| {
        service["spec"]["groupPriorityMinimum"] == 1000
    })
    .await;
    api.ok("DELETE", &path, Value::Null).await;
    until(&api, &path, |service| {
        service["kind"] == "APIService" && service["metadata"]["uid"] != made["metadata"]["uid"]
    })
    .await;
    let definition = format!("{DEFINITIONS}/crontabs.stable.example.com");
    api.ok("DELETE", &definition, Value::Null).await;
    gone(&api, &path).await;
}

#[tokio::test]
async fn a_start_restores_built_in_services_and_leaves_others_alone() {
    let backend = MemoryBackend::new();
    let api = start_on(backend.clone()).await;
    let apps = format!("{SERVICES}/v1.apps");
    let lower = json!({"spec": {"groupPriorityMinimum": 7}});
    api.ok("PATCH", &apps, lower).await;
    // Which discovery follows while it lasts.
    until(&api, "/apis", |list| {
        let last = list["groups"].as_array().unwrap().last();
        last.is_some_and(|group| group["name"] == "apps")
    })
    .await;
    api.ok("DELETE", &format!("{SERVICES}/v1.batch"), Value::Null)
        .await;
    for (name, labels) in [
        ("v1.old.example", json!({MANAGED: "onstart"})),
        ("v1.own.example", json!({})),
    ] {
        let group = name.trim_start_matches("v1.");
        let spec = json!({"group": group, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10});
        let made = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        api.ok("POST", SERVICES, made).await;
    }
    let api = restart_on(backend).await;
    assert_eq!(
        service(&api, "v1.apps").await["spec"]["groupPriorityMinimum"],
        17800
    );
    service(&api, "v1.batch").await;
    service(&api, "v1.own.example").await;
    let old = api.get(&format!("{SERVICES}/v1.old.example")).await;
    assert_eq!(old.code, 404);
}

#[tokio::test]
async fn a_service_of_another_server_is_refused() {
    let api = start().await;
    let spec = json!({"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"namespace": "kube-system", "name": "metrics-server"}, "insecureSkipTLSVerify": true});
    let made = json!({"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": spec});
    api.call("POST", SERVICES, made).await.refused(
        422,
        "APIService.apiregistration.k8s.io \"v1beta1.metrics.k8s.io\" is invalid: spec.service: Forbidden: this server does not aggregate the APIs of other servers yet: only groups that it serves itself can be registered",
    );
}
