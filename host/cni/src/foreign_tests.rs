//! Chains of plugins that are shell scripts which write down how they were called.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;

struct Lab {
    dir: tempfile::TempDir,
    tasks: Tasks,
    network: ForeignNetwork,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("bin")).unwrap();
        let tasks = Tasks::root("lab");
        let options = ForeignOptions {
            conf_dirs: vec![at("net.d")],
            bin_dirs: vec![at("bin")],
            cache_dir: at("results"),
        };
        Self {
            network: ForeignNetwork::start(options, &tasks),
            tasks,
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A plugin that logs its call and then runs `body`, with its input in `$input`.
    fn plugin(&self, name: &str, body: &str) {
        let log = self.path("log");
        let script = format!(
            "#!/bin/sh\ninput=$(cat)\necho \"{name} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $input\" >> {}\n{body}\n",
            log.display()
        );
        write_program(&self.path("bin").join(name), &script);
    }

    fn configure(&self, version: &str) {
        let list = json!({"cniVersion": version, "name": "net", "plugins": [
            {"type": "first"}, {"type": "second", "capabilities": {"portMappings": true}}]});
        let (new, file) = (self.path("net.d/.new"), self.path("net.d/10-net.conflist"));
        std::fs::create_dir_all(self.path("net.d")).unwrap();
        std::fs::write(&new, list.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    async fn initialized(&self) {
        for _ in 0..1000 {
            if self.network.current.read().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the configuration was never seen");
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const ADDRESS: &str = r#"[ $CNI_COMMAND = ADD ] && echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.5/24"}]}'; exit 0"#;
const PASS_ON: &str = r#"[ $CNI_COMMAND = ADD ] && echo "$input" | sed 's/.*"prevResult":\({.*}\),"runtimeConfig.*/\1/'; exit 0"#;

fn pod() -> SandboxNetwork {
    let port = k3s_runtime::PortMapping {
        protocol: k3s_runtime::Protocol::Tcp,
        container_port: 80,
        host_port: 8080,
        host_ip: None,
    };
    SandboxNetwork {
        id: "abc".into(),
        name: "p".into(),
        namespace: "n".into(),
        port_mappings: vec![port],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_made_and_undone_as_it_was() {
    let lab = Lab::new();
    let error = lab.network.check().await.unwrap_err();
    assert_eq!(
        error.message,
        "Network plugin returns error: cni plugin not initialized"
    );
    assert!(lab.network.add(&pod()).await.unwrap_err().retryable);

    lab.plugin("first", ADDRESS);
    lab.plugin("second", PASS_ON);
    lab.configure("1.0.0");
    lab.initialized().await;
    lab.network.check().await.unwrap();
    assert_eq!(
        lab.network.add(&pod()).await.unwrap().0,
        ["10.9.0.5".parse::<std::net::IpAddr>().unwrap()]
    );
    let calls = lab.calls();
    assert!(
        calls[0].starts_with("first ADD abc eth0 ") && !calls[0].contains("prevResult"),
        "{calls:?}"
    );
    assert!(
        calls[1].contains("10.9.0.5") && calls[1].contains("\"hostPort\":8080"),
        "{calls:?}"
    );

    // Another configuration does not change how this one is undone.
    std::fs::remove_file(lab.path("net.d/10-net.conflist")).unwrap();
    lab.network.del(&pod()).await.unwrap();
    let undone: Vec<String> = lab.calls().split_off(2);
    assert!(
        undone[0].starts_with("second DEL abc") && undone[0].contains("10.9.0.5"),
        "{undone:?}"
    );
    assert!(undone[1].starts_with("first DEL abc"), "{undone:?}");
    lab.network.del(&pod()).await.unwrap();
    assert_eq!(lab.calls().len(), 4, "nothing is left to undo");
    assert!(lab.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_and_half_a_chain_is_undone() {
    let lab = Lab::new();
    lab.plugin("first", ADDRESS);
    lab.plugin(
        "second",
        r#"[ $CNI_COMMAND = DEL ] && exit 0; echo '{"code": 7, "msg": "bad port"}'; exit 1"#,
    );
    lab.configure("1.0.0");
    lab.initialized().await;
    let error = lab.network.add(&pod()).await.unwrap_err();
    assert_eq!(error.message, "plugin \"second\" failed (ADD): bad port");
    assert!(!error.retryable);
    lab.network.del(&pod()).await.unwrap();
    assert_eq!(
        lab.calls().iter().filter(|c| c.contains(" DEL ")).count(),
        2
    );

    std::fs::remove_file(lab.path("bin/second")).unwrap();
    let error = lab.network.add(&pod()).await.unwrap_err();
    assert!(
        error.message.starts_with("no plugin \"second\" in ") && error.retryable,
        "{error}"
    );
    assert!(lab.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_collected_and_the_rest_is_checked() {
    let lab = Lab::new();
    lab.plugin("first", ADDRESS);
    lab.plugin("second", PASS_ON);
    lab.configure("1.1.0");
    lab.initialized().await;
    lab.network.add(&pod()).await.unwrap();
    lab.network
        .add(&SandboxNetwork {
            id: "old".into(),
            ..pod()
        })
        .await
        .unwrap();
    lab.network.gc(&["abc".to_owned()]).await.unwrap();
    let calls = lab.calls();
    let count = |part: &str| calls.iter().filter(|c| c.contains(part)).count();
    assert_eq!(
        (
            count(" DEL old "),
            count(" DEL abc "),
            count(" CHECK abc "),
            count(" GC ")
        ),
        (2, 0, 2, 2),
        "{calls:?}"
    );
    assert_eq!(
        count("\"cni.dev/valid-attachments\":[{\"containerID\":\"abc\",\"ifname\":\"eth0\"}]"),
        2
    );
    lab.network.check().await.unwrap();
    assert_eq!(
        lab.calls()
            .iter()
            .filter(|c| c.contains(" STATUS "))
            .count(),
        2
    );
    assert!(lab.tasks.stop(Duration::from_secs(5)).await);
}
