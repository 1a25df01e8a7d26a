//! Sandboxes and containers from start to removal.

use std::time::Duration;

use k3s_cri::v1::{
    ContainerEventType, ContainerState, ExecSyncRequest, GetEventsRequest, ListContainersRequest,
    NamespaceMode, NamespaceOption, PodSandboxStatusRequest, RemoveContainerRequest,
    ReopenContainerLogRequest, StatusRequest, StopContainerRequest,
    UpdateContainerResourcesRequest,
};

use crate::harness::{Node, SLEEP, eventually, secured, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_logs_ends_and_leaves_nothing() {
    let node = Node::start().await;
    let sandbox = node.sandbox("pod").await;
    let script = "echo out $GREETING $FROM_IMAGE; echo err >&2; cat /etc/second; test ! -e /etc/hidden && hostname; exit 3";
    let id = node.run(&sandbox, shell("c", script)).await;
    let status = node.exited(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
    assert!(status.finished_at >= status.started_at && status.started_at >= status.created_at);
    let log = eventually("the log is written", || async {
        Some(node.log("pod", "c").await).filter(|log| log.contains("stdout F second layerpod"))
    })
    .await;
    assert!(log.contains(" stdout F out hello yes\n"), "{log}");
    assert!(log.contains(" stderr F err\n"), "{log}");
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_is_graceful_then_forceful() {
    let node = Node::start().await;
    let sandbox = node.sandbox("stop").await;
    let graceful = node.run(&sandbox, shell("graceful", SLEEP)).await;
    let stubborn = node
        .run(
            &sandbox,
            shell("stubborn", "trap '' TERM; while :; do sleep 0.1; done"),
        )
        .await;
    eventually("both set their traps", || async {
        (node.output(&stubborn, "grep SigIgn /proc/1/status").await != "SigIgn:\t0000000000000000")
            .then_some(())
    })
    .await;
    let stop = |id: &str, timeout| {
        let request = StopContainerRequest {
            container_id: id.into(),
            timeout,
        };
        let mut runtime = node.runtime.clone();
        async move { runtime.stop_container(request).await.unwrap() }
    };
    stop(&graceful, 20).await;
    stop(&stubborn, 1).await;
    assert_eq!(node.status(&graceful).await.exit_code, 0);
    assert_eq!(node.status(&stubborn).await.exit_code, 137);
    stop(&stubborn, 1).await;
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_told() {
    let node = Node::start().await;
    let sandbox = node.sandbox("missing").await;
    let mut config = shell("c", "");
    config.command = vec!["no-such-program".into()];
    let id = node.create(&sandbox, config).await.unwrap();
    let error = node.start_container(&id).await.unwrap_err();
    assert!(
        error
            .message()
            .contains("exec: \"no-such-program\": executable file not found in $PATH"),
        "{error}"
    );
    let status = node.status(&id).await;
    assert_eq!(
        (status.state, status.exit_code, status.reason.as_str()),
        (ContainerState::ContainerExited as i32, 128, "StartError")
    );
    let mut config = shell("no-image", "");
    config.image.as_mut().unwrap().image = "test.example/none:1".into();
    assert_eq!(
        node.create(&sandbox, config).await.unwrap_err().code(),
        k3s_cri::Code::NotFound
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_is_reported_as_such() {
    let node = Node::start().await;
    let sandbox = node.sandbox("oom").await;
    let mut config = shell("c", "dd if=/dev/zero of=/dev/null bs=200M count=1");
    let resources = config.linux.as_mut().unwrap().resources.as_mut().unwrap();
    (
        resources.memory_limit_in_bytes,
        resources.memory_swap_limit_in_bytes,
    ) = (32 << 20, 32 << 20);
    let id = node.run(&sandbox, config).await;
    let status = node.exited(&id).await;
    assert_eq!(status.reason, "OOMKilled", "{status:?}");
    assert_ne!(status.exit_code, 0);
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_can_be_changed_and_use_is_measured() {
    let node = Node::start().await;
    let sandbox = node.sandbox("limits").await;
    let mut config = shell("c", SLEEP);
    config
        .linux
        .as_mut()
        .unwrap()
        .resources
        .as_mut()
        .unwrap()
        .memory_limit_in_bytes = 64 << 20;
    let id = node.run(&sandbox, config).await;
    let limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true";
    assert_eq!(node.output(&id, limit).await, (64 << 20).to_string());
    let linux = Some(k3s_cri::v1::LinuxContainerResources {
        memory_limit_in_bytes: 96 << 20,
        cpu_shares: 512,
        ..Default::default()
    });
    node.runtime
        .clone()
        .update_container_resources(UpdateContainerResourcesRequest {
            container_id: id.clone(),
            linux,
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(node.output(&id, limit).await, (96 << 20).to_string());
    let request = k3s_cri::v1::ContainerStatsRequest {
        container_id: id.clone(),
    };
    let stats = node
        .runtime
        .clone()
        .container_stats(request)
        .await
        .unwrap()
        .into_inner()
        .stats
        .unwrap();
    assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);
    assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);
    assert!(stats.writable_layer.unwrap().inodes_used.unwrap().value > 0);
    let request = k3s_cri::v1::PodSandboxStatsRequest {
        pod_sandbox_id: sandbox.clone(),
    };
    let stats = node
        .runtime
        .clone()
        .pod_sandbox_stats(request)
        .await
        .unwrap()
        .into_inner()
        .stats
        .unwrap();
    assert_eq!(stats.linux.unwrap().containers.len(), 1);
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_with_their_codes_output_and_time_limit() {
    let node = Node::start().await;
    let sandbox = node.sandbox("exec").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let answer = node.exec(&id, "echo out; echo err >&2; exit 7").await;
    assert_eq!(
        (
            answer.stdout.as_slice(),
            answer.stderr.as_slice(),
            answer.exit_code
        ),
        (&b"out\n"[..], &b"err\n"[..], 7)
    );
    assert_eq!(node.output(&id, "seq 1 50000 | wc -l").await, "50000");
    let many = node.exec(&id, "seq 1 100000").await;
    assert_eq!(
        many.stdout.iter().filter(|&&octet| octet == b'\n').count(),
        100_000
    );
    let slow = ExecSyncRequest {
        container_id: id.clone(),
        cmd: vec!["sleep".into(), "100".into()],
        timeout: 1,
    };
    assert_eq!(
        node.runtime
            .clone()
            .exec_sync(slow)
            .await
            .unwrap_err()
            .code(),
        k3s_cri::Code::DeadlineExceeded
    );
    eventually("the command was killed", || async {
        (!node.output(&id, "ps").await.contains("sleep 100")).then_some(())
    })
    .await;
    let missing = ExecSyncRequest {
        container_id: id.clone(),
        cmd: vec!["nothing-here".into()],
        timeout: 5,
    };
    assert!(
        node.runtime
            .clone()
            .exec_sync(missing)
            .await
            .unwrap_err()
            .message()
            .contains("executable file not found in $PATH")
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_on_after_rotation() {
    let node = Node::start().await;
    let sandbox = node.sandbox("rotate").await;
    let id = node
        .run(
            &sandbox,
            shell("c", "while :; do echo tick; sleep 0.05; done"),
        )
        .await;
    eventually("lines appear", || async {
        node.log("rotate", "c").await.contains("tick").then_some(())
    })
    .await;
    std::fs::rename(
        node.path("logs/rotate/c.log"),
        node.path("logs/rotate/old.log"),
    )
    .unwrap();
    node.runtime
        .clone()
        .reopen_container_log(ReopenContainerLogRequest { container_id: id })
        .await
        .unwrap();
    eventually("lines appear in the new file", || async {
        node.log("rotate", "c").await.contains("tick").then_some(())
    })
    .await;
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_may_share_process_numbers_and_containers_loopback() {
    let node = Node::start().await;
    let mut config = node.sandbox_config("shared");
    let options = NamespaceOption {
        pid: NamespaceMode::Pod as i32,
        ..Default::default()
    };
    let security = k3s_cri::v1::LinuxSandboxSecurityContext {
        namespace_options: Some(options.clone()),
        ..Default::default()
    };
    config.linux.as_mut().unwrap().security_context = Some(security);
    let sandbox = node.sandbox_with(config).await;
    let share = |name: &str| {
        secured(shell(name, SLEEP), |security| {
            security.namespace_options = Some(options.clone())
        })
    };
    let first = node.run(&sandbox, share("first")).await;
    let second = node.run(&sandbox, share("second")).await;
    let seen = node.output(&first, "ps").await;
    assert_eq!(seen.matches("trap 'exit 0'").count(), 2, "{seen}");
    assert!(seen.contains("1 root"), "{seen}");
    assert_eq!(
        node.output(&second, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start")
            .await,
        "0"
    );
    assert!(
        node.output(&second, "ip addr show lo")
            .await
            .contains("127.0.0.1")
    );
    assert_eq!(
        node.output(&first, "readlink /proc/self/ns/net").await,
        node.output(&second, "readlink /proc/self/ns/net").await
    );
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_the_life_of_a_container() {
    let node = Node::start().await;
    let mut events = node
        .runtime
        .clone()
        .get_container_events(GetEventsRequest {})
        .await
        .unwrap()
        .into_inner();
    let sandbox = node.sandbox("events").await;
    let id = node.run(&sandbox, shell("c", "exit 0")).await;
    node.exited(&id).await;
    node.runtime
        .clone()
        .remove_container(RemoveContainerRequest {
            container_id: id.clone(),
        })
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let event = tokio::time::timeout(Duration::from_secs(20), events.message())
            .await
            .expect("an event")
            .unwrap()
            .unwrap();
        if event.container_id == id {
            assert!(event.pod_sandbox_status.is_some());
            seen.push(event.container_event_type);
        }
    }
    let want = [
        ContainerEventType::ContainerCreatedEvent,
        ContainerEventType::ContainerStartedEvent,
        ContainerEventType::ContainerStoppedEvent,
        ContainerEventType::ContainerDeletedEvent,
    ];
    assert_eq!(seen, want.map(|kind| kind as i32));
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once_and_everything_can_be_listed() {
    let node = Node::start().await;
    let status = node
        .runtime
        .clone()
        .status(StatusRequest { verbose: true })
        .await
        .unwrap()
        .into_inner();
    assert!(
        status
            .status
            .unwrap()
            .conditions
            .iter()
            .all(|condition| condition.status)
    );
    let sandbox = node.sandbox("names").await;
    let again = k3s_cri::v1::RunPodSandboxRequest {
        config: Some(node.sandbox_config("names")),
        runtime_handler: String::new(),
    };
    assert_eq!(
        node.runtime
            .clone()
            .run_pod_sandbox(again)
            .await
            .unwrap_err()
            .code(),
        k3s_cri::Code::AlreadyExists
    );
    let id = node.create(&sandbox, shell("c", SLEEP)).await.unwrap();
    assert_eq!(
        node.create(&sandbox, shell("c", SLEEP))
            .await
            .unwrap_err()
            .code(),
        k3s_cri::Code::AlreadyExists
    );
    let filter = |label: &str| k3s_cri::v1::ContainerFilter {
        label_selector: [("name".to_owned(), label.to_owned())].into(),
        ..Default::default()
    };
    let list = async |filter| {
        node.runtime
            .clone()
            .list_containers(ListContainersRequest {
                filter: Some(filter),
            })
            .await
            .unwrap()
            .into_inner()
            .containers
    };
    assert_eq!(list(filter("c")).await[0].id, id);
    assert!(list(filter("other")).await.is_empty());
    let request = PodSandboxStatusRequest {
        pod_sandbox_id: sandbox[..12].into(),
        verbose: true,
    };
    let status = node
        .runtime
        .clone()
        .pod_sandbox_status(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.containers_statuses.len(), 1);
    node.remove_sandbox(&sandbox).await;
    assert_eq!(node.sandbox("names").await.len(), 64);
}

/// Short-lived containers in many pods at once: no end is lost, and nothing stays.
#[tokio::test(flavor = "multi_thread")]
async fn no_end_is_lost_under_churn() {
    let node = Node::start().await;
    let pods = futures_util::future::join_all((0..24).map(|number| {
        let node = &node;
        async move {
            let sandbox = node.sandbox(&format!("churn-{number}")).await;
            for round in 0..3 {
                let id = node
                    .run(
                        &sandbox,
                        shell(&format!("c{round}"), &format!("exit {}", number + round)),
                    )
                    .await;
                assert_eq!(node.exited(&id).await.exit_code, number + round);
                node.runtime
                    .clone()
                    .remove_container(RemoveContainerRequest { container_id: id })
                    .await
                    .unwrap();
            }
            node.remove_sandbox(&sandbox).await;
        }
    }));
    pods.await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}
