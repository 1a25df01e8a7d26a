//! What quotas are charged, with admission played by the test.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod support;

use std::time::Duration;

use k3s_client::fake::FakeApi;
use k3s_client::resources::*;
use k3s_client::{DeleteParams, Patch};
use serde_json::json;
use support::cluster;

#[tokio::test]
async fn a_recount_keeps_charges_whose_objects_are_still_to_come() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let quota = json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": {"count/secrets": "5"}}});
    client
        .create(&RESOURCE_QUOTAS, Some("n"), &quota)
        .await
        .unwrap();
    let used = |api: &FakeApi| {
        let quota = api.get(&RESOURCE_QUOTAS, "n", "q").unwrap_or_default();
        quota["status"]["used"]["count/secrets"]
            .as_str()
            .map(str::to_owned)
    };
    cluster
        .until("the quota is counted", |api| {
            used(api).as_deref() == Some("0")
        })
        .await;
    // What admission does before it stores three secrets.
    let charge = json!({"status": {"used": {"count/secrets": "3"}}});
    client
        .patch_status(&RESOURCE_QUOTAS, Some("n"), "q", &Patch::Merge(charge))
        .await
        .unwrap();
    let secret = |name: &str| json!({"metadata": {"name": name, "namespace": "n"}});
    client
        .create(&SECRETS, Some("n"), &secret("a"))
        .await
        .unwrap();
    client
        .create(&SECRETS, Some("n"), &secret("b"))
        .await
        .unwrap();
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert_eq!(
        used(&cluster.api).as_deref(),
        Some("3"),
        "the third is on its way"
    );
    let params = DeleteParams::default();
    client
        .delete(&SECRETS, Some("n"), "a", &params)
        .await
        .unwrap();
    cluster
        .until("a deletion gives back", |api| {
            used(api).as_deref() == Some("2")
        })
        .await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert_eq!(used(&cluster.api).as_deref(), Some("2"));
}
