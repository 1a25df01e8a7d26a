//! Certificate signing requests: who asked, and who decides.

use k3s_meta::UserInfo;
use serde_json::{Value, json};

use crate::harness::start;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// A request of `CN=a`, signed by its own key.
const PEM: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISE1HNENBUUF3RERFS01BZ0dBMVVFQXd3QllUQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCTFo2U1F2TnB6eW9wOVVHemRzVUFteVVzcnNoMlJQMklTcGZOOU9qMEpRNGdLRGNOT3FwUVAvZWF0WkZOYmNsCklOMGRYSEd0Y0QvRUlhZllBblYwcS95Z0FEQUtCZ2dxaGtqT1BRUURBZ05KQURCR0FpRUE5UWpuNXdSSUhXT1cKNWp5Q3pDZmJ1bW8vQkY1YUFMbVlPWFk5WFdMY3lmMENJUUMzelFnZ3IzRGJIaENQVWVXWXgrTTZIbC9WbjdlVApyVzdmOG5QczYwUGwwdz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";

fn request(name: &str) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": PEM, "signerName": "example.com/clients", "usages": ["client auth"],
            "username": "system:admin", "uid": "0", "groups": ["system:masters"], "extra": {"scope": ["all"]},
        },
    })
}

#[tokio::test]
async fn a_request_carries_the_identity_of_its_creator() {
    let api = start().await;
    let mut creator = UserInfo::new("jane", ["system:masters", "dev"]);
    creator.uid = "u-1".to_owned();
    creator
        .extra
        .insert("example.com/scope".to_owned(), vec!["some".to_owned()]);
    let created = api.call_as(creator, "POST", REQUESTS, request("a")).await;
    assert_eq!(created.code, 201, "{}", created.text);
    let spec = &created.body["spec"];
    assert_eq!(
        (
            &spec["username"],
            &spec["uid"],
            &spec["groups"],
            &spec["extra"]
        ),
        (
            &json!("jane"),
            &json!("u-1"),
            &json!(["system:masters", "dev", "system:authenticated"]),
            &json!({"example.com/scope": ["some"]})
        )
    );
    let path = format!("{REQUESTS}/a");
    let forged = json!({"spec": {"username": "root", "groups": []}});
    let updated = api.ok("PATCH", &path, forged).await;
    assert_eq!(&updated["spec"], spec);
}

#[tokio::test]
async fn a_decision_goes_through_approval_alone() {
    let api = start().await;
    api.ok("POST", REQUESTS, request("a")).await;
    let path = format!("{REQUESTS}/a");
    let approved = json!({
        "metadata": {"labels": {"decided": "yes"}}, "spec": {"signerName": "example.com/others"},
        "status": {"certificate": "Zm9yZ2Vk", "conditions": [{"type": "Approved", "status": "True", "reason": "ok"}]},
    });
    let refused = api
        .call("PATCH", &format!("{path}/status"), approved.clone())
        .await;
    assert!(
        refused
            .message()
            .contains("updates may not add a condition of type \"Approved\""),
        "{}",
        refused.text
    );
    let decided = api.ok("PATCH", &format!("{path}/approval"), approved).await;
    assert_eq!(decided["metadata"]["labels"]["decided"], "yes");
    assert_eq!(decided["spec"]["signerName"], "example.com/clients");
    assert_eq!(decided["status"].get("certificate"), None);
    let condition = &decided["status"]["conditions"][0];
    for stamp in ["lastUpdateTime", "lastTransitionTime"] {
        assert!(condition[stamp].is_string(), "{stamp}: {condition}");
    }
    let removed = json!({"status": {"conditions": []}});
    let refused = api
        .call("PATCH", &format!("{path}/approval"), removed)
        .await;
    assert!(
        refused
            .message()
            .contains("updates may not remove a condition of type \"Approved\""),
        "{}",
        refused.text
    );
    let issued = json!({"metadata": {"annotations": {"issued": "yes"}},
        "status": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClptOXlaMlZrCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"}});
    let issued = api.ok("PATCH", &format!("{path}/status"), issued).await;
    assert_eq!(&issued["status"]["conditions"][0], condition);
    assert_eq!(issued["metadata"]["annotations"]["issued"], "yes");
}
