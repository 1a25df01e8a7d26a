//! A runtime of its own for each test: folder, socket, control groups, and an image made from the
//! distribution's busybox.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k3s_cri::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus, ContainerStatusRequest,
    CreateContainerRequest, ExecSyncRequest, ExecSyncResponse, ImageSpec, KeyValue,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, RemovePodSandboxRequest,
    RunPodSandboxRequest, StartContainerRequest,
};
use k3s_cri::{ImageClient, RuntimeClient};

pub(crate) const IMAGE: &str = "test.example/busybox:1";
const DEADLINE: Duration = Duration::from_secs(30);

/// Calls `probe` until it gives something, or fails naming what never came true.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    cgroup: String,
    server: Option<Child>,
    pub(crate) runtime: RuntimeClient,
    pub(crate) images: ImageClient,
}

impl Node {
    /// A runtime with the busybox image.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        busybox_archive(&dir.path().join("images/busybox.tar"), IMAGE);
        let node = Self::start_in(dir).await;
        let mut images = node.images.clone();
        eventually("the archive is imported", || {
            let mut images = images.clone();
            async move { image_id(&mut images, IMAGE).await }
        })
        .await;
        assert!(image_id(&mut images, IMAGE).await.is_some());
        node
    }

    pub(crate) async fn start_in(dir: tempfile::TempDir) -> Self {
        let name = dir
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .trim_start_matches('.')
            .to_owned();
        let cgroup = format!("/k3s-runtime-test-{name}");
        let server = spawn(dir.path(), &cgroup);
        let (runtime, images) = connect(dir.path()).await;
        Self {
            dir,
            cgroup,
            server: Some(server),
            runtime,
            images,
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.server = Some(spawn(self.dir.path(), &self.cgroup));
        (self.runtime, self.images) = connect(self.dir.path()).await;
    }

    pub(crate) fn sandbox_config(&self, name: &str) -> PodSandboxConfig {
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.into(),
                uid: format!("uid-{name}"),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: name.into(),
            log_directory: self
                .path(&format!("logs/{name}"))
                .to_string_lossy()
                .into_owned(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pods/{name}", self.cgroup),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub(crate) async fn sandbox(&self, name: &str) -> String {
        self.sandbox_with(self.sandbox_config(name)).await
    }

    pub(crate) async fn sandbox_with(&self, config: PodSandboxConfig) -> String {
        let request = RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: String::new(),
        };
        self.runtime
            .clone()
            .run_pod_sandbox(request)
            .await
            .unwrap()
            .into_inner()
            .pod_sandbox_id
    }

    pub(crate) async fn create(
        &self,
        sandbox: &str,
        config: ContainerConfig,
    ) -> Result<String, k3s_cri::Status> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: None,
        };
        self.runtime
            .clone()
            .create_container(request)
            .await
            .map(|answer| answer.into_inner().container_id)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<(), k3s_cri::Status> {
        self.runtime
            .clone()
            .start_container(StartContainerRequest {
                container_id: id.into(),
            })
            .await
            .map(drop)
    }

    pub(crate) async fn run(&self, sandbox: &str, config: ContainerConfig) -> String {
        let id = self.create(sandbox, config).await.unwrap();
        self.start_container(&id).await.unwrap();
        id
    }

    pub(crate) async fn status(&self, id: &str) -> ContainerStatus {
        let request = ContainerStatusRequest {
            container_id: id.into(),
            verbose: false,
        };
        self.runtime
            .clone()
            .container_status(request)
            .await
            .unwrap()
            .into_inner()
            .status
            .unwrap()
    }

    pub(crate) async fn exited(&self, id: &str) -> ContainerStatus {
        eventually("the container exits", || async {
            let status = self.status(id).await;
            (status.state == ContainerState::ContainerExited as i32).then_some(status)
        })
        .await
    }

    pub(crate) async fn exec(&self, id: &str, command: &str) -> ExecSyncResponse {
        let cmd = ["sh", "-c", command].map(str::to_owned).to_vec();
        self.runtime
            .clone()
            .exec_sync(ExecSyncRequest {
                container_id: id.into(),
                cmd,
                timeout: 20,
            })
            .await
            .unwrap()
            .into_inner()
    }

    /// What the command printed; it must succeed.
    pub(crate) async fn output(&self, id: &str, command: &str) -> String {
        let answer = self.exec(id, command).await;
        assert_eq!(
            answer.exit_code,
            0,
            "{command}: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    pub(crate) async fn log(&self, sandbox: &str, container: &str) -> String {
        tokio::fs::read_to_string(self.path(&format!("logs/{sandbox}/{container}.log")))
            .await
            .unwrap_or_default()
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) {
        self.runtime
            .clone()
            .remove_pod_sandbox(RemovePodSandboxRequest {
                pod_sandbox_id: id.into(),
            })
            .await
            .unwrap();
    }

    /// Mounts, control groups and processes that belong to this runtime's pods.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut out: Vec<String> = mounts
            .lines()
            .filter(|line| line.contains(&dir) && !line.contains(&format!("{dir}/netns ")))
            .map(str::to_owned)
            .collect();
        for below in [
            "root/containers",
            "state/containers",
            "root/sandboxes",
            "state/sandboxes",
            "netns",
        ] {
            out.extend(
                std::fs::read_dir(self.path(below))
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path().display().to_string()),
            );
        }
        out.extend(
            self.pod_groups()
                .into_iter()
                .map(|path| path.display().to_string()),
        );
        out.extend(self.processes());
        out
    }

    /// Containers' control groups (their parents are the kubelet's to remove).
    fn pod_groups(&self) -> Vec<PathBuf> {
        let mut out = Vec::new();
        for mount in [
            "/sys/fs/cgroup/memory",
            "/sys/fs/cgroup/cpu",
            "/sys/fs/cgroup/devices",
            "/sys/fs/cgroup",
        ] {
            let pods = Path::new(mount)
                .join(self.cgroup.trim_start_matches('/'))
                .join("pods");
            for pod in std::fs::read_dir(pods)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.path().is_dir())
            {
                out.extend(
                    std::fs::read_dir(pod.path())
                        .into_iter()
                        .flatten()
                        .flatten()
                        .map(|entry| entry.path())
                        .filter(|path| path.is_dir()),
                );
            }
        }
        out
    }

    /// Shims of this runtime and what is left of containers.
    fn processes(&self) -> Vec<String> {
        let group = format!("{}/", self.cgroup);
        let mut out = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let zombie = parent
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
            // The shims' parent stays while the server does.
            let zygote = self.server.as_ref().is_some_and(|server| {
                parent.rsplit_once(')').is_some_and(|(_, rest)| {
                    rest.split_whitespace().nth(1) == Some(&server.id().to_string())
                })
            });
            if groups.contains(&group) && !zombie && !zygote {
                out.push(format!("{pid} {}", name.trim()));
            }
        }
        out
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        let cleaned = k3s_runtime::kill_everything(&self.path("state"), &self.path("root"));
        // On a node this mount stays, for `ip netns` and for other runtimes.
        let _ = k3s_sys::mount::detach(&self.path("netns"));
        if let Ok(cgroups) = k3s_sys::cgroup::Cgroups::detect() {
            let group = cgroups.group(&self.cgroup);
            let _ = group.kill();
            let _ = group.remove();
        }
        if !std::thread::panicking() {
            cleaned.unwrap();
        }
    }
}

fn spawn(dir: &Path, cgroup: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_k3s-runtime-testd"))
        .arg(dir)
        .arg(cgroup)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

async fn connect(dir: &Path) -> (RuntimeClient, ImageClient) {
    let endpoint = format!("unix://{}", dir.join("cri.sock").display());
    eventually("the socket answers", || async {
        k3s_cri::connect(&endpoint).await.ok()
    })
    .await
}

pub(crate) async fn image_id(images: &mut ImageClient, name: &str) -> Option<String> {
    let image = Some(ImageSpec {
        image: name.into(),
        ..Default::default()
    });
    let request = k3s_cri::v1::ImageStatusRequest {
        image,
        verbose: false,
    };
    images
        .image_status(request)
        .await
        .unwrap()
        .into_inner()
        .image
        .map(|image| image.id)
}

/// A container that runs a shell command.
pub(crate) fn shell(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: name.into(),
            attempt: 0,
        }),
        image: Some(ImageSpec {
            image: IMAGE.into(),
            ..Default::default()
        }),
        command: vec!["sh".into(), "-c".into(), script.into()],
        log_path: format!("{name}.log"),
        envs: vec![KeyValue {
            key: "GREETING".into(),
            value: "hello".into(),
        }],
        labels: HashMap::from([("name".to_owned(), name.to_owned())]),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources::default()),
            security_context: Some(LinuxContainerSecurityContext {
                masked_paths: vec!["/proc/kcore".into(), "/sys/firmware".into()],
                readonly_paths: vec!["/proc/sys".into()],
                namespace_options: Some(k3s_cri::v1::NamespaceOption {
                    pid: k3s_cri::v1::NamespaceMode::Container as i32,
                    ..Default::default()
                }),
                ..Default::default()
            }),
        }),
        ..Default::default()
    }
}

/// Changes a container's security context.
pub(crate) fn secured(
    mut config: ContainerConfig,
    change: impl FnOnce(&mut LinuxContainerSecurityContext),
) -> ContainerConfig {
    change(
        config
            .linux
            .as_mut()
            .unwrap()
            .security_context
            .as_mut()
            .unwrap(),
    );
    config
}

pub(crate) const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

const APPLETS: [&str; 30] = [
    "sh", "cat", "echo", "sleep", "ls", "id", "grep", "true", "false", "wget", "mkdir", "touch",
    "dd", "stat", "mount", "hostname", "ps", "tail", "head", "rm", "chmod", "mknod", "kill",
    "readlink", "tr", "wc", "seq", "stty", "ip", "unshare",
];

/// The layers of the image: base system, and a second one that hides and adds files.
pub(crate) fn layers() -> [Vec<u8>; 2] {
    let busybox = std::fs::read("/bin/busybox")
        .or_else(|_| std::fs::read("/usr/bin/busybox"))
        .expect("busybox-static is installed");
    let mut base = tar::Builder::new(Vec::new());
    for (dir, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("tmp", 0o1777),
        ("proc", 0o755),
        ("sys", 0o755),
        ("dev", 0o755),
        ("home", 0o755),
    ] {
        entry(&mut base, dir, tar::EntryType::Directory, mode, &[], None);
    }
    entry(
        &mut base,
        "bin/busybox",
        tar::EntryType::Regular,
        0o755,
        &busybox,
        None,
    );
    for applet in APPLETS {
        entry(
            &mut base,
            &format!("bin/{applet}"),
            tar::EntryType::Symlink,
            0o777,
            &[],
            Some("busybox"),
        );
    }
    entry(
        &mut base,
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/home:/bin/sh\n",
        None,
    );
    entry(
        &mut base,
        "etc/group",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:\nweb:x:102:\nlogs:x:7:web\n",
        None,
    );
    entry(
        &mut base,
        "etc/hidden",
        tar::EntryType::Regular,
        0o644,
        b"hidden",
        None,
    );
    let mut second = tar::Builder::new(Vec::new());
    entry(
        &mut second,
        "etc/.wh.hidden",
        tar::EntryType::Regular,
        0o644,
        &[],
        None,
    );
    entry(
        &mut second,
        "etc/second",
        tar::EntryType::Regular,
        0o644,
        b"second layer",
        None,
    );
    entry(
        &mut second,
        "etc/hard",
        tar::EntryType::Link,
        0o644,
        &[],
        Some("etc/group"),
    );
    [base.into_inner().unwrap(), second.into_inner().unwrap()]
}

pub(crate) fn entry(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    data: &[u8],
    link: Option<&str>,
) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(data.len() as u64);
    match link {
        Some(target) => tar.append_link(&mut header, path, target).unwrap(),
        None if path.len() > 100 => tar.append_data(&mut header, path, data).unwrap(),
        // As it is written: the library refuses paths that lead out.
        None => {
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, data).unwrap();
        }
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// The configuration document of an image with these layers.
pub(crate) fn image_config(layers: &[Vec<u8>]) -> Vec<u8> {
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    serde_json::to_vec(&serde_json::json!({
        "architecture": arch, "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["sh"], "StopSignal": "SIGTERM"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .unwrap()
}

/// Writes what `docker save` would.
pub(crate) fn busybox_archive(path: &Path, tag: &str) {
    let layers = layers();
    let config = image_config(&layers);
    let mut tar = tar::Builder::new(Vec::new());
    entry(
        &mut tar,
        "config.json",
        tar::EntryType::Regular,
        0o644,
        &config,
        None,
    );
    for (number, layer) in layers.iter().enumerate() {
        entry(
            &mut tar,
            &format!("{number}/layer.tar"),
            tar::EntryType::Regular,
            0o644,
            layer,
            None,
        );
    }
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [tag], "Layers": ["0/layer.tar", "1/layer.tar"]}]);
    entry(
        &mut tar,
        "manifest.json",
        tar::EntryType::Regular,
        0o644,
        manifest.to_string().as_bytes(),
        None,
    );
    std::fs::write(path, tar.into_inner().unwrap()).unwrap();
}
