//! Addresses and ports of services.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::start;

const PATH: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{"port": 80}]);
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn addresses_are_given_asked_for_and_returned() {
    let api = start().await;
    let made = api.ok("POST", PATH, service("a", json!({}))).await;
    let spec = &made["spec"];
    assert_eq!(spec["clusterIPs"], json!([spec["clusterIP"]]));
    assert_eq!(
        (&spec["ipFamilies"], &spec["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    assert!(spec["clusterIP"].as_str().unwrap().starts_with("10.43."));
    api.ok(
        "POST",
        PATH,
        service("dns", json!({"clusterIP": "10.43.0.10"})),
    )
    .await;
    api.call("POST", PATH, service("b", json!({"clusterIP": "10.43.0.10"}))).await.refused(
        422,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.43.0.10\"]: failed to allocate IP 10.43.0.10: provided IP is already allocated",
    );
    api.call("POST", PATH, service("b", json!({"clusterIP": "10.9.0.1"}))).await.refused(
        422,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.9.0.1\"]: failed to allocate IP 10.9.0.1: the provided IP (10.9.0.1) is not in the valid range. The range of valid IPs is 10.43.0.0/16",
    );
    api.ok("DELETE", &format!("{PATH}/dns"), Value::Null).await;
    api.ok(
        "POST",
        &format!("{PATH}?dryRun=All"),
        service("b", json!({"clusterIP": "10.43.0.10"})),
    )
    .await;
    api.ok(
        "POST",
        PATH,
        service("b", json!({"clusterIP": "10.43.0.10"})),
    )
    .await;
}

#[tokio::test]
async fn of_two_creations_of_one_service_the_second_is_told_that_it_exists() {
    let api = start().await;
    let fixed = || service("dns", json!({"clusterIP": "10.43.0.10"}));
    let exists = "services \"dns\" already exists";
    for _ in 0..20 {
        let (a, b) = tokio::join!(
            api.call("POST", PATH, fixed()),
            api.call("POST", PATH, fixed())
        );
        let second = if a.code == 201 { &b } else { &a };
        assert_eq!(a.code.min(b.code), 201, "{} {}", a.text, b.text);
        second.refused(409, exists);
        api.call("POST", PATH, fixed()).await.refused(409, exists);
        api.ok("DELETE", &format!("{PATH}/dns"), Value::Null).await;
    }
}

#[tokio::test]
async fn creations_at_once_get_different_addresses() {
    let api = start().await;
    let names: Vec<String> = (0..40).map(|n| format!("s{n}")).collect();
    let all = names
        .iter()
        .map(|name| api.ok("POST", PATH, service(name, json!({"type": "NodePort"}))));
    let made = futures_util::future::join_all(all).await;
    let ips: HashSet<String> = made
        .iter()
        .map(|s| s["spec"]["clusterIP"].to_string())
        .collect();
    let ports: HashSet<String> = made
        .iter()
        .map(|s| s["spec"]["ports"][0]["nodePort"].to_string())
        .collect();
    assert_eq!((ips.len(), ports.len()), (40, 40));
}

#[tokio::test]
async fn headless_and_named_services_have_none() {
    let api = start().await;
    let headless = api
        .ok(
            "POST",
            PATH,
            service("h", json!({"clusterIP": "None", "selector": {"a": "b"}})),
        )
        .await;
    assert_eq!(
        (
            &headless["spec"]["clusterIP"],
            &headless["spec"]["clusterIPs"]
        ),
        (&json!("None"), &json!(["None"]))
    );
    let named = json!({"metadata": {"name": "n"}, "spec": {"type": "ExternalName", "externalName": "example.com"}});
    assert!(
        api.ok("POST", PATH, named).await["spec"]
            .get("clusterIP")
            .is_none()
    );
}

#[tokio::test]
async fn node_ports_follow_the_type() {
    let api = start().await;
    let made = api
        .ok("POST", PATH, service("a", json!({"type": "NodePort"})))
        .await;
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    let path = format!("{PATH}/a");
    // A PUT that leaves address and port out keeps both.
    let again = api
        .ok(
            "PUT",
            &path,
            service(
                "a",
                json!({"type": "NodePort", "sessionAffinity": "ClientIP"}),
            ),
        )
        .await;
    assert_eq!(
        (
            &again["spec"]["clusterIP"],
            again["spec"]["ports"][0]["nodePort"].as_u64()
        ),
        (&made["spec"]["clusterIP"], Some(port))
    );
    let plain = api
        .ok("PATCH", &path, json!({"spec": {"type": "ClusterIP"}}))
        .await;
    assert!(plain["spec"]["ports"][0].get("nodePort").is_none());
    let asked = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    api.ok("POST", PATH, service("b", asked.clone())).await;
    api.call("POST", PATH, service("c", asked)).await.refused(
        422,
        &format!("Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"),
    );
    let outside = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]});
    assert!(
        api.call("POST", PATH, service("d", outside))
            .await
            .message()
            .contains("The range of valid ports is 30000-32767")
    );
}
