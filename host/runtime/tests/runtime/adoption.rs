//! Pods do not notice when the server ends.

use k3s_cri::v1::{ContainerState, PodSandboxState, PodSandboxStatusRequest};

use crate::harness::{Node, SLEEP, eventually, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_finds_its_pods_again_with_what_happened_meanwhile() {
    let mut node = Node::start().await;
    let sandbox = node.sandbox("adopt").await;
    let survivor = node
        .run(
            &sandbox,
            shell("survivor", "while :; do echo alive; sleep 0.1; done"),
        )
        .await;
    let gate = node.path("gate");
    std::fs::create_dir(&gate).unwrap();
    let mut config = shell(
        "ends",
        "while [ ! -e /gate/open ]; do sleep 0.05; done; exit 42",
    );
    config.mounts = vec![k3s_cri::v1::Mount {
        container_path: "/gate".into(),
        host_path: gate.to_string_lossy().into_owned(),
        ..Default::default()
    }];
    let ends = node.run(&sandbox, config).await;
    let created = node
        .create(&sandbox, shell("created", SLEEP))
        .await
        .unwrap();
    let before = node.output(&survivor, "readlink /proc/1/ns/pid").await;

    node.kill();
    std::fs::write(gate.join("open"), "").unwrap();
    let lines = node.log("adopt", "survivor").await.len();
    eventually("logs go on without a server", || async {
        (node.log("adopt", "survivor").await.len() > lines + 200).then_some(())
    })
    .await;
    node.restart().await;

    assert_eq!(
        node.status(&survivor).await.state,
        ContainerState::ContainerRunning as i32
    );
    assert_eq!(
        node.output(&survivor, "readlink /proc/1/ns/pid").await,
        before
    );
    assert_eq!(node.exited(&ends).await.exit_code, 42);
    node.start_container(&created).await.unwrap();
    let status = node
        .runtime
        .clone()
        .pod_sandbox_status(PodSandboxStatusRequest {
            pod_sandbox_id: sandbox.clone(),
            verbose: false,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        status.status.unwrap().state,
        PodSandboxState::SandboxReady as i32
    );
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_shim_ends_its_pod_and_can_be_removed() {
    let node = Node::start().await;
    let sandbox = node.sandbox("dead").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let identity =
        std::fs::read_to_string(node.path(&format!("state/sandboxes/{sandbox}/shim.identity")))
            .unwrap();
    let pid: i32 = identity.split(' ').next().unwrap().parse().unwrap();
    k3s_sys::process::kill(pid, 9).unwrap();
    let status = node.exited(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
    let request = PodSandboxStatusRequest {
        pod_sandbox_id: sandbox.clone(),
        verbose: false,
    };
    let state = node
        .runtime
        .clone()
        .pod_sandbox_status(request)
        .await
        .unwrap()
        .into_inner()
        .status
        .unwrap()
        .state;
    assert_eq!(state, PodSandboxState::SandboxNotready as i32);
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killall_ends_what_a_server_left() {
    let mut node = Node::start().await;
    let sandbox = node.sandbox("killall").await;
    node.run(&sandbox, shell("c", SLEEP)).await;
    node.kill();
    k3s_runtime::kill_everything(&node.path("state"), &node.path("root")).unwrap();
    assert!(!node.path("state").exists());
    node.restart().await;
    let list = node
        .runtime
        .clone()
        .list_containers(k3s_cri::v1::ListContainersRequest::default())
        .await
        .unwrap()
        .into_inner()
        .containers;
    assert_eq!(
        list.iter()
            .map(|container| container.state)
            .collect::<Vec<_>>(),
        [ContainerState::ContainerExited as i32]
    );
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

/// What a shim costs beyond what all of them share; measured, and held to a bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_shim_is_small() {
    let node = Node::start().await;
    let mut total = 0;
    let pods = 5;
    for number in 0..pods {
        let sandbox = node.sandbox(&format!("small-{number}")).await;
        node.run(&sandbox, shell("c", SLEEP)).await;
        let identity =
            std::fs::read_to_string(node.path(&format!("state/sandboxes/{sandbox}/shim.identity")))
                .unwrap();
        let rollup = std::fs::read_to_string(format!(
            "/proc/{}/smaps_rollup",
            identity.split(' ').next().unwrap()
        ))
        .unwrap();
        let field = |name: &str| -> u64 {
            rollup
                .lines()
                .find_map(|line| {
                    line.strip_prefix(name)?
                        .split_whitespace()
                        .next()?
                        .parse()
                        .ok()
                })
                .unwrap()
        };
        total += field("Private_Dirty:");
        eprintln!(
            "shim {number}: Pss {} kB, Pss_Dirty {} kB, Private_Dirty {} kB",
            field("Pss:"),
            field("Pss_Dirty:"),
            field("Private_Dirty:")
        );
    }
    assert!(
        total / pods < 1024,
        "{} kB of private dirty memory per shim",
        total / pods
    );
}
