//! What a container may not do.

use k3s_cri::v1::{
    Capability, Int64Value, Mount, SeLinuxOption, SecurityProfile, SupplementalGroupsPolicy,
};

use crate::harness::{Node, SLEEP, eventually, secured, shell};

const NOTHING: &str = "0000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn users_and_groups_come_from_pod_and_image() {
    let node = Node::start().await;
    let sandbox = node.sandbox("users").await;
    let id = node
        .run(
            &sandbox,
            secured(shell("name", SLEEP), |security| {
                security.run_as_username = "web".into()
            }),
        )
        .await;
    assert_eq!(
        node.output(&id, "id -u; id -g; id -G | tr ' ' '\\n' | grep -c .")
            .await,
        "101\n102\n2"
    );
    assert_eq!(
        node.output(&id, "grep Groups /proc/1/status")
            .await
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["Groups:", "7", "102"]
    );
    let status = node.status(&id).await;
    assert_eq!(status.user.unwrap().linux.unwrap().uid, 101);
    let id = node
        .run(
            &sandbox,
            secured(shell("numbers", SLEEP), |security| {
                security.run_as_user = Some(Int64Value { value: 101 });
                security.run_as_group = Some(Int64Value { value: 500 });
                security.supplemental_groups = vec![2000];
                security.supplemental_groups_policy = SupplementalGroupsPolicy::Strict as i32;
            }),
        )
        .await;
    assert_eq!(
        node.output(&id, "grep Groups /proc/1/status")
            .await
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["Groups:", "500", "2000"]
    );
    assert_eq!(
        node.output(&id, "grep CapEff /proc/self/status").await,
        format!("CapEff:\t{NOTHING}")
    );
    let unknown = node
        .create(
            &sandbox,
            secured(shell("nobody", SLEEP), |security| {
                security.run_as_username = "nobody-here".into()
            }),
        )
        .await;
    assert!(
        unknown
            .unwrap_err()
            .message()
            .contains("unable to find user nobody-here")
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_filter_is_on_for_the_container_and_its_commands() {
    let node = Node::start().await;
    let sandbox = node.sandbox("seccomp").await;
    let filtered = node
        .run(
            &sandbox,
            secured(shell("filtered", SLEEP), |security| {
                security.seccomp = Some(SecurityProfile::default())
            }),
        )
        .await;
    for process in ["1", "self"] {
        assert_eq!(
            node.output(&filtered, &format!("grep ^Seccomp: /proc/{process}/status"))
                .await,
            "Seccomp:\t2"
        );
    }
    // What loading the filter needed is gone again.
    assert_eq!(
        node.output(&filtered, "grep -h CapEff /proc/self/status")
            .await,
        node.output(&filtered, "grep -h CapEff /proc/1/status")
            .await
    );
    assert_eq!(
        node.output(&filtered, "grep -h CapBnd /proc/self/status")
            .await,
        node.output(&filtered, "grep -h CapBnd /proc/1/status")
            .await
    );
    assert_ne!(node.exec(&filtered, "unshare -m true").await.exit_code, 0);
    let strict = secured(shell("strict", SLEEP), |security| {
        security.seccomp = Some(SecurityProfile::default());
        security.no_new_privs = true;
        security.run_as_user = Some(Int64Value { value: 1000 });
        security.capabilities = Some(Capability {
            drop_capabilities: vec!["ALL".into()],
            ..Default::default()
        });
    });
    let strict = node.run(&sandbox, strict).await;
    assert_eq!(
        node.output(
            &strict,
            "grep -h -e ^Seccomp: -e NoNewPrivs /proc/self/status /proc/1/status"
        )
        .await,
        "NoNewPrivs:\t1\nSeccomp:\t2\nNoNewPrivs:\t1\nSeccomp:\t2"
    );
    assert_eq!(
        node.output(&strict, "grep CapBnd /proc/self/status").await,
        format!("CapBnd:\t{NOTHING}")
    );
    let open = secured(shell("open", SLEEP), |security| {
        security.seccomp = Some(SecurityProfile {
            profile_type: 1,
            ..Default::default()
        })
    });
    let open = node.run(&sandbox, open).await;
    assert_eq!(
        node.output(&open, "grep ^Seccomp: /proc/self/status").await,
        "Seccomp:\t0"
    );
    std::fs::write(
        node.path("profile.json"),
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#,
    )
    .unwrap();
    let localhost = node.path("profile.json").to_string_lossy().into_owned();
    let own = secured(shell("own", SLEEP), |security| {
        security.seccomp = Some(SecurityProfile {
            profile_type: 2,
            localhost_ref: localhost,
        })
    });
    let own = node.run(&sandbox, own).await;
    assert_ne!(node.exec(&own, "mkdir /tmp/x").await.exit_code, 0);
    assert_eq!(node.exec(&own, "touch /tmp/x").await.exit_code, 0);
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_added_and_dropped() {
    let node = Node::start().await;
    let sandbox = node.sandbox("capabilities").await;
    let only = |add: &[&str], drop: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Some(Capability {
            add_capabilities: own(add),
            drop_capabilities: own(drop),
            ..Default::default()
        })
    };
    let none = node
        .run(
            &sandbox,
            secured(shell("none", SLEEP), |security| {
                security.capabilities = only(&[], &["ALL"])
            }),
        )
        .await;
    assert_eq!(
        node.output(&none, "grep CapPrm /proc/1/status").await,
        format!("CapPrm:\t{NOTHING}")
    );
    assert_eq!(
        node.output(&none, "grep CapPrm /proc/self/status").await,
        format!("CapPrm:\t{NOTHING}")
    );
    let one = node
        .run(
            &sandbox,
            secured(shell("one", SLEEP), |security| {
                security.capabilities = only(&["NET_ADMIN"], &["ALL"])
            }),
        )
        .await;
    assert_eq!(
        node.output(&one, "grep CapEff /proc/1/status").await,
        "CapEff:\t0000000000001000"
    );
    assert_eq!(
        node.output(&one, "grep CapInh /proc/1/status").await,
        format!("CapInh:\t{NOTHING}")
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_systems_are_read_only_where_asked() {
    let node = Node::start().await;
    let sandbox = node.sandbox("readonly").await;
    std::fs::create_dir_all(node.path("volume")).unwrap();
    std::fs::write(node.path("volume/file"), "content").unwrap();
    let mut config = secured(shell("c", SLEEP), |security| {
        security.readonly_rootfs = true
    });
    let host_path = node.path("volume").to_string_lossy().into_owned();
    let mount = |container_path: &str, readonly, recursive_read_only| Mount {
        container_path: container_path.into(),
        host_path: host_path.clone(),
        readonly,
        recursive_read_only,
        ..Default::default()
    };
    config.mounts = vec![
        mount("/rw", false, false),
        mount("/ro", true, false),
        mount("/rro", true, true),
    ];
    let id = node.run(&sandbox, config).await;
    for path in [
        "/x",
        "/etc/x",
        "/ro/x",
        "/rro/x",
        "/sys/x",
        "/proc/sys/kernel/hostname",
        "/sys/fs/cgroup/memory/cgroup.procs",
    ] {
        assert_ne!(
            node.exec(&id, &format!("echo 1 > {path}")).await.exit_code,
            0,
            "{path} was written"
        );
    }
    assert_eq!(
        node.output(&id, "cat /ro/file; echo 1 > /rw/new && cat /rw/new")
            .await,
        "content1"
    );
    assert_ne!(
        node.exec(&id, "cat /proc/kcore | head -c1 | grep .")
            .await
            .exit_code,
        0
    );
    assert_eq!(
        node.output(&id, "cat /proc/self/cgroup | grep -c pods || true")
            .await,
        "0"
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_the_host_cannot_be_opened_unless_privileged() {
    let node = Node::start().await;
    let sandbox = node.sandbox("devices").await;
    let plain = node.run(&sandbox, shell("plain", SLEEP)).await;
    // kmsg is 1:11: the node may be made, but not opened.
    let attempt = "mknod /tmp/kmsg c 1 11 && head -c1 /tmp/kmsg";
    assert_ne!(node.exec(&plain, attempt).await.exit_code, 0);
    assert_eq!(
        node.exec(
            &plain,
            "head -c1 /dev/zero > /dev/null && head -c1 /dev/urandom > /dev/null"
        )
        .await
        .exit_code,
        0
    );
    let privileged = node
        .run(
            &sandbox,
            secured(shell("privileged", SLEEP), |security| {
                security.privileged = true
            }),
        )
        .await;
    assert_eq!(
        node.exec(&privileged, "mknod /tmp/full c 1 11 && : < /tmp/full")
            .await
            .exit_code,
        0
    );
    assert_eq!(
        node.output(&privileged, "grep ^Seccomp: /proc/self/status")
            .await,
        "Seccomp:\t0"
    );
    node.remove_sandbox(&sandbox).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_honoured_is_refused() {
    let node = Node::start().await;
    let sandbox = node.sandbox("refused").await;
    let label = SeLinuxOption {
        r#type: "container_t".into(),
        ..Default::default()
    };
    let error = node
        .create(
            &sandbox,
            secured(shell("selinux", SLEEP), |security| {
                security.selinux_options = Some(label)
            }),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code(), k3s_cri::Code::Unimplemented);
    let mut config = node.sandbox_config("sysctl");
    config
        .linux
        .as_mut()
        .unwrap()
        .sysctls
        .insert("kernel.panic".into(), "1".into());
    let request = k3s_cri::v1::RunPodSandboxRequest {
        config: Some(config),
        runtime_handler: String::new(),
    };
    assert!(
        node.runtime
            .clone()
            .run_pod_sandbox(request)
            .await
            .unwrap_err()
            .message()
            .contains("kernel.panic")
    );
    let mut config = node.sandbox_config("allowed");
    config
        .linux
        .as_mut()
        .unwrap()
        .sysctls
        .insert("net.core.somaxconn".into(), "321".into());
    let allowed = node.sandbox_with(config).await;
    let id = node.run(&allowed, shell("c", SLEEP)).await;
    assert_eq!(
        node.output(&id, "cat /proc/sys/net/core/somaxconn").await,
        "321"
    );
    node.remove_sandbox(&sandbox).await;
    node.remove_sandbox(&allowed).await;
    eventually("nothing is left", || async {
        node.leftovers().is_empty().then_some(())
    })
    .await;
}

/// Whether a command succeeds for a user of the node who is not root.
fn as_other_user(program: &str, args: &[&str]) -> (bool, String) {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(program);
    let output = command.args(args).uid(65534).gid(65534).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_of_the_node_reach_nothing_of_a_container() {
    let node = Node::start().await;
    // Only the test's own folder is closed to others.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(node.dir.path(), open).unwrap();
    let sandbox = node.sandbox("closed").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let make = "mkdir -p /tmp && cp /bin/busybox /tmp/suid && chmod 4755 /tmp/suid && echo done";
    assert_eq!(node.output(&id, make).await, "done");
    let files = [
        format!("state/containers/{id}/rootfs/tmp/suid"),
        format!("root/containers/{id}/upper/tmp/suid"),
        format!("root/containers/{id}/config.json"),
        format!("state/sandboxes/{sandbox}/oci/{id}/exec-process.json"),
    ];
    for file in files {
        let path = node.path(&file);
        assert!(path.exists(), "{file}");
        let (reached, _) = as_other_user("stat", &[path.to_str().unwrap()]);
        assert!(!reached, "{file}");
    }
    let (root, state) = (node.path("root"), node.path("state"));
    let trees = [root.to_str().unwrap(), state.to_str().unwrap()];
    let (_, seen) = as_other_user("find", &[trees[0], trees[1], "-mindepth", "1"]);
    assert_eq!(seen, "");
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_sees_is_open_to_its_users() {
    let node = Node::start().await;
    let sandbox = node.sandbox("open").await;
    std::fs::create_dir_all(node.path("volume")).unwrap();
    std::fs::write(node.path("volume/file"), "content").unwrap();
    let mut config = secured(shell("c", SLEEP), |security| {
        security.run_as_user = Some(Int64Value { value: 1000 });
    });
    config.working_dir = "/made/for/it".into();
    config.mounts = vec![Mount {
        container_path: "/deep/below/nothing".into(),
        host_path: node.path("volume").to_string_lossy().into_owned(),
        ..Default::default()
    }];
    let id = node.run(&sandbox, config).await;
    assert_eq!(node.output(&id, "umask").await, "0022");
    assert_eq!(
        node.output(&id, "grep Umask /proc/1/status").await,
        "Umask:\t0022"
    );
    assert_eq!(
        node.output(&id, "cat /deep/below/nothing/file").await,
        "content"
    );
    node.output(&id, "ls / /made/for/it /sys/fs/cgroup/").await;
    let mode = std::fs::metadata(node.path("logs/open/c.log")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o777, 0o640);
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_over_the_root_or_proc_are_refused_with_a_reason() {
    let node = Node::start().await;
    let sandbox = node.sandbox("targets").await;
    std::fs::create_dir_all(node.path("volume")).unwrap();
    for (number, target) in ["/", "/proc", "/proc/1/attr", "/proc/sys/kernel"]
        .into_iter()
        .enumerate()
    {
        let mut config = shell(&format!("c{number}"), SLEEP);
        config.mounts = vec![Mount {
            container_path: target.into(),
            host_path: node.path("volume").to_string_lossy().into_owned(),
            ..Default::default()
        }];
        let error = node.create(&sandbox, config).await.unwrap_err();
        let reason = format!("{target:?} cannot be mounted because it ");
        assert!(error.message().contains(&reason), "{}", error.message());
    }
    node.remove_sandbox(&sandbox).await;
    assert_eq!(node.leftovers(), Vec::<String>::new());
}
