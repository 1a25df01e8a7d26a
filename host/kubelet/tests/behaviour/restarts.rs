//! Containers that the node stops to start them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_client::resources;
use serde_json::{Value, json};

use crate::ready;
use crate::support::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_with_another_image_is_started_again_and_its_pod_stays_ready() {
    let bench = Bench::start().await;
    bench.pod(
        "web",
        json!({"restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("web", "Ready", ready).await;
    let was_unready = Arc::new(AtomicBool::new(false));
    let (api, seen) = (bench.api.clone(), was_unready.clone());
    // Each request shows the state that the ones before it have made.
    bench.api.fail(move |_| {
        let pod = api.get(&resources::PODS, "default", "web");
        seen.fetch_or(!ready(&pod.unwrap_or_default()), Ordering::SeqCst);
        None
    });
    bench.api.change(&resources::PODS, "default", "web", |pod| {
        pod["spec"]["containers"][0]["image"] = json!("app:2");
    });
    let restarted =
        |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1 && ready(pod);
    bench.pod_until("web", "ready again", restarted).await;
    assert!(!was_unready.load(Ordering::SeqCst));
    let killed = "Container c definition changed, will be restarted";
    bench
        .until("Killing", || {
            bench.events("Killing").contains(&killed.to_owned())
        })
        .await;
}
