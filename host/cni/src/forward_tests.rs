//! Calls in, what the network was asked and what the plugin prints out.

use std::sync::Mutex;

use async_trait::async_trait;
use k3s_runtime::PodIps;

use super::*;

#[derive(Default)]
struct Recorder {
    added: Mutex<Vec<SandboxNetwork>>,
    kept: Mutex<Vec<String>>,
    down: bool,
}

#[async_trait]
impl PodNetwork for Recorder {
    async fn add(&self, pod: &SandboxNetwork) -> Result<PodIps, NetworkError> {
        self.check().await?;
        self.added.lock().unwrap().push(pod.clone());
        Ok(PodIps(vec!["10.42.0.9".parse().unwrap()]))
    }

    async fn del(&self, _: &SandboxNetwork) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn check(&self) -> Result<(), NetworkError> {
        if self.down {
            Err(NetworkError {
                message: "not yet".into(),
                retryable: true,
            })
        } else {
            Ok(())
        }
    }

    async fn gc(&self, valid: &[String]) -> Result<(), NetworkError> {
        self.kept.lock().unwrap().extend_from_slice(valid);
        Ok(())
    }
}

fn call(command: &str, config: Value) -> Call {
    Call {
        command: command.into(),
        container: "abc".into(),
        netns: "/run/netns/x".into(),
        interface: "eth0".into(),
        args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=n;K8S_POD_NAME=p;K8S_POD_UID=u".into(),
        config,
    }
}

#[tokio::test]
async fn an_add_becomes_the_networks() {
    let network = Recorder::default();
    let config = json!({"cniVersion": "0.4.0", "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp", "hostIP": ""},
            {"HostPort": 8081, "ContainerPort": 81, "Protocol": "tcp", "HostIP": ""}],
        "io.kubernetes.cri.pod-annotations": {"a": "b"}}});
    let answer = handle(&call("ADD", config), &network).await;
    assert!(!answer.failed, "{answer:?}");
    assert_eq!(
        answer.output["ips"][0],
        json!({"address": "10.42.0.9/32", "interface": 0, "version": "4"})
    );
    let pod = network.added.lock().unwrap().remove(0);
    assert_eq!(
        (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()),
        ("n", "p", "u")
    );
    assert_eq!(
        (
            pod.port_mappings[0].host_port,
            pod.port_mappings[0].protocol
        ),
        (8080, Protocol::Udp)
    );
    assert_eq!(
        (
            pod.port_mappings[1].host_port,
            pod.port_mappings[1].container_port
        ),
        (8081, 81),
        "as containerd says it"
    );
    assert_eq!(pod.annotations["a"], "b");
    let collected = handle(
        &call(
            "GC",
            json!({"cni.dev/valid-attachments": [{"containerID": "abc"}]}),
        ),
        &network,
    )
    .await;
    assert!(!collected.failed && collected.output.is_null());
    assert_eq!(*network.kept.lock().unwrap(), ["abc"]);
}

#[tokio::test]
async fn failures_have_the_codes_of_the_specification() {
    let down = Recorder {
        down: true,
        ..Recorder::default()
    };
    for (command, config, code) in [
        ("ADD", json!({}), TRY_LATER),
        ("STATUS", json!({}), NOT_AVAILABLE),
        ("DANCE", json!({}), UNSUPPORTED),
        (
            "ADD",
            json!({"runtimeConfig": {"portMappings": [{"protocol": "carrier pigeon"}]}}),
            INVALID,
        ),
    ] {
        let answer = handle(&call(command, config), &down).await;
        assert!(
            answer.failed && answer.output["code"] == code,
            "{command}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_the_socket_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (path, tasks) = (dir.path().join("run/cni.sock"), Tasks::root("test"));
    serve(&path, Arc::new(Recorder::default()), &tasks).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let asked = path.clone();
    let answer =
        tokio::task::spawn_blocking(move || crate::plugin::ask(&asked, &call("ADD", json!({}))))
            .await
            .unwrap();
    assert_eq!(answer.unwrap().output["ips"][0]["address"], "10.42.0.9/32");
    assert!(tasks.stop(Duration::from_secs(5)).await);
}
