//! Pods that get other resources while they run.

use k3s_client::resources;
use serde_json::{Value, json};

use crate::support::Bench;
use crate::{condition, ready};

fn both(cpu: &str, memory: &str) -> Value {
    let list = json!({"cpu": cpu, "memory": memory});
    json!({"requests": list, "limits": list})
}

/// The pod's container has these resources, and nothing of a resize is left.
fn has(pod: &Value, resources: &Value) -> bool {
    let container = &pod["status"]["containerStatuses"][0];
    let is_over = ["PodResizePending", "PodResizeInProgress"]
        .iter()
        .all(|kind| condition(pod, kind).is_null());
    let is_observed = pod["status"]["observedGeneration"] == pod["metadata"]["generation"];
    &container["resources"] == resources && is_over && is_observed && ready(pod)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_pod_grows_and_shrinks_in_place() {
    let bench = Bench::start().await;
    let small = both("20m", "32Mi");
    bench.pod(
        "web",
        json!({"containers": [{"name": "c", "image": "app:1", "resources": small}]}),
    );
    bench.pod_until("web", "Ready", ready).await;
    let before = bench.cri.newest("c").unwrap().0;
    for (resources, quota, memory) in [
        (both("50m", "64Mi"), 5000, 64 << 20),
        (both("10m", "16Mi"), 1000, 16 << 20),
    ] {
        bench.resize("web", &resources);
        let pod = bench
            .pod_until("web", "resized", |pod| has(pod, &resources))
            .await;
        let container = &pod["status"]["containerStatuses"][0];
        assert_eq!(container["restartCount"], 0);
        assert_eq!(container["allocatedResources"], resources["requests"]);
        let (id, config) = bench.cri.newest("c").unwrap();
        let linux = config.linux.unwrap().resources.unwrap();
        assert_eq!(id, before);
        assert_eq!(
            (linux.cpu_quota, linux.memory_limit_in_bytes),
            (quota, memory)
        );
        assert_eq!(
            bench.pod_bounds("web", ""),
            [quota.to_string(), memory.to_string()]
        );
    }
    bench
        .until("events", || {
            ["ResizeStarted", "ResizeCompleted"]
                .iter()
                .all(|reason| bench.events(reason).len() == 2)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_restarts_where_its_policy_says_so() {
    let bench = Bench::start().await;
    bench.pod(
        "web",
        json!({"restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 1, "containers": [{
            "name": "c", "image": "app:1", "resources": both("20m", "32Mi"),
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}]}),
    );
    bench.pod_until("web", "Ready", ready).await;
    for (resources, restarts) in [(both("30m", "32Mi"), 0), (both("30m", "64Mi"), 1)] {
        bench.resize("web", &resources);
        let pod = bench
            .pod_until("web", "resized", |pod| has(pod, &resources))
            .await;
        let container = &pod["status"]["containerStatuses"][0];
        assert_eq!(container["restartCount"], restarts);
    }
    let (_, config) = bench.cri.newest("c").unwrap();
    let linux = config.linux.unwrap().resources.unwrap();
    assert_eq!(linux.memory_limit_in_bytes, 64 << 20);
    assert_eq!(bench.pod_bounds("web", "")[1], (64 << 20).to_string());
    let killed = "Container c resize requires restart".to_owned();
    bench
        .until("Killing", || bench.events("Killing").contains(&killed))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resize_without_room_waits_for_it() {
    let mut bench = Bench::start().await;
    bench
        .until("a node", || {
            bench.api.get(&resources::NODES, "", "node1").is_some()
        })
        .await;
    let node = bench.api.get(&resources::NODES, "", "node1").unwrap();
    let cpus: u32 = node["status"]["allocatable"]["cpu"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let cpu = |milli: u32| json!({"requests": {"cpu": format!("{milli}m")}});
    let pod =
        |milli| json!({"containers": [{"name": "c", "image": "app:1", "resources": cpu(milli)}]});
    bench.pod("big", pod(cpus * 1000 - 300));
    bench.pod_until("big", "Ready", ready).await;
    bench.pod("web", pod(100));
    bench.pod_until("web", "Ready", ready).await;
    bench.resize("web", &cpu(400));
    let waits = |pod: &Value| condition(pod, "PodResizePending")["reason"] == "Deferred";
    let waiting = bench.pod_until("web", "Deferred", waits).await;
    let pending = condition(&waiting, "PodResizePending");
    assert_eq!(pending["observedGeneration"], 2);
    let message = pending["message"].as_str().unwrap();
    assert!(
        message.starts_with("Node didn't have enough resource: cpu, requested: 400, used: "),
        "{message}"
    );
    assert_eq!(waiting["status"]["observedGeneration"], 2);
    let container = &waiting["status"]["containerStatuses"][0];
    assert_eq!(container["resources"], cpu(100));
    bench
        .until("event", || bench.events("ResizeDeferred").len() == 1)
        .await;
    // Another process knows what the pod has, and what it waits for.
    bench.restart().await;
    bench.delete("big");
    let resized = |pod: &Value| has(pod, &cpu(400));
    bench.pod_until("web", "resized", resized).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_in_use_is_not_taken_away() {
    let bench = Bench::start().await;
    let memory =
        |amount: &str| json!({"requests": {"memory": amount}, "limits": {"memory": amount}});
    let pod = json!({"containers": [{"name": "c", "image": "app:1", "resources": memory("64Mi")}]});
    bench.pod("web", pod);
    bench.pod_until("web", "Ready", ready).await;
    bench.cri.set_memory_use("c", 32 << 20);
    bench.resize("web", &memory("16Mi"));
    let failed = |pod: &Value| condition(pod, "PodResizeInProgress")["reason"] == "Error";
    let pod = bench.pod_until("web", "Error", failed).await;
    let message = &condition(&pod, "PodResizeInProgress")["message"];
    assert_eq!(
        message,
        "cannot decrease memory limits: attempting to set container \"c\" memory limit (16777216) below current \
         usage (33554432)"
    );
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["resources"], memory("64Mi"));
    assert_eq!(container["allocatedResources"]["memory"], "16Mi");
    // Going back takes effect at once.
    bench.resize("web", &memory("64Mi"));
    let back = |pod: &Value| has(pod, &memory("64Mi"));
    bench.pod_until("web", "as it was", back).await;
    bench
        .until("event", || bench.events("ResizeError").len() == 1)
        .await;
}
