//! One container in a shim: its life from a mounted root file system to an exit code.

use std::io;
use std::path::{Component, Path, PathBuf};

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_meta::tree;
use k3s_sys::cgroup::{Cgroup, Cgroups};

use super::error::{ShimError, Step};
use super::log::{Log, Stream};
use super::protocol::{ContainerState, Create, Phase, UserRequest};
use super::stdio::Stdio;
use super::{oci, umask, user};

/// The exit code of a container whose program could not be run: containerd's code for `StartError`.
const START_FAILED: i32 = 128;
/// An oversized message would not fit a pod's status.
const MESSAGE_LIMIT_BYTES: usize = 4096;

pub(super) struct Container {
    create: Create,
    pub(super) state: ContainerState,
    pub(super) stdio: Stdio,
    pub(super) log: Log,
    /// Connections that see its output.
    pub(super) attached: Vec<u64>,
}

impl Container {
    /// Mounts the root file system and completes the bundle.
    pub(super) fn create(mut create: Create) -> Result<Self, ShimError> {
        let resolved = prepare(&create).inspect_err(|_| {
            let _ = k3s_sys::mount::detach(&create.rootfs.target);
        })?;
        // Needed once; a pod of many layers would keep them for its whole life.
        create.rootfs.lowers = Vec::new();
        create.user = UserRequest::default();
        let user = Some((resolved.uid, resolved.gid, resolved.groups));
        let state = ContainerState {
            id: create.id.clone(),
            user,
            ..ContainerState::default()
        };
        let log = Log::open(create.log_path.clone()).step("open the log")?;
        Ok(Self {
            create,
            state,
            stdio: Stdio::default(),
            log,
            attached: Vec::new(),
        })
    }

    pub(super) fn bundle(&self) -> &Path {
        &self.create.bundle
    }

    pub(super) fn stdin_once(&self) -> bool {
        self.create.stdin_once
    }

    /// Starts the first process. A failure is a state too: exited, with the reason.
    pub(super) fn start(&mut self, oci_root: &Path, clock: &Clock) -> Result<(), ShimError> {
        self.require(Phase::Created)?;
        match umask::as_container(|| self.try_start(oci_root)) {
            Ok(started) => {
                self.stdio = started.stdio;
                self.state.pid = started.pid;
                self.state.phase = Phase::Running;
                self.state.started_at_ns = now_ns(clock);
                Ok(())
            }
            Err(error) => {
                let mut message = chain(&error);
                message.truncate(message.floor_char_boundary(MESSAGE_LIMIT_BYTES));
                let _ = self.cgroup().and_then(|cgroup| cgroup.kill());
                let _ = oci::forget(&self.state.id, oci_root);
                self.state.started_at_ns = now_ns(clock);
                self.exited(START_FAILED, "StartError", message, clock);
                Err(error)
            }
        }
    }

    /// An error unless the container is in phase `wanted`.
    pub(super) fn require(&self, wanted: Phase) -> Result<(), ShimError> {
        if self.state.phase == wanted {
            return Ok(());
        }
        Err(ShimError::Phase {
            id: self.state.id.clone(),
            phase: self.state.phase,
            wanted,
        })
    }

    fn try_start(&self, oci_root: &Path) -> Result<oci::Started, ShimError> {
        let cgroup = self.cgroup().step("find the control group")?;
        cgroup
            .create()
            .and_then(|()| cgroup.apply(&self.create.limits))
            .step("set up the control group")?;
        oci::start(&self.create, oci_root)
    }

    /// Its first process ended.
    pub(super) fn on_exit(&mut self, code: i32, clock: &Clock) {
        let cgroup = self.cgroup();
        let oom = cgroup
            .as_ref()
            .is_ok_and(|cgroup| cgroup.oom_kills().is_ok_and(|count| count > 0));
        if self.create.kill_group {
            let _ = cgroup.and_then(|cgroup| cgroup.kill());
        }
        let reason = match (oom, code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        };
        self.exited(code, reason, String::new(), clock);
    }

    fn exited(&mut self, code: i32, reason: &str, message: String, clock: &Clock) {
        self.state.phase = Phase::Exited;
        self.state.exit_code = code;
        self.state.finished_at_ns = now_ns(clock);
        reason.clone_into(&mut self.state.reason);
        self.state.message = message;
    }

    /// Signals the first process, or with `all` every process of the container.
    pub(super) fn signal(&self, signal: i32, all: bool) -> io::Result<()> {
        if self.state.phase != Phase::Running {
            return Ok(());
        }
        if all {
            self.cgroup()?
                .pids()?
                .into_iter()
                .try_for_each(|pid| k3s_sys::process::kill(pid, signal))?;
        }
        k3s_sys::process::kill(self.state.pid, signal)
    }

    /// Removes everything that it had outside of its bundle.
    pub(super) fn remove(&mut self, oci_root: &Path) -> io::Result<()> {
        let cgroup = self.cgroup()?;
        cgroup.kill()?;
        cgroup.remove()?;
        k3s_sys::mount::detach(&self.create.rootfs.target)?;
        oci::forget(&self.state.id, oci_root)
    }

    /// Moves available output to the log, and returns it for attached clients.
    pub(super) fn read(&mut self, stream: Stream, clock: &Clock) -> Vec<u8> {
        match self.stdio.read(stream) {
            Some(data) => {
                self.log.write(stream, &data, clock);
                data
            }
            None => {
                self.log.finish(stream, clock);
                Vec::new()
            }
        }
    }

    fn cgroup(&self) -> io::Result<Cgroup> {
        Ok(Cgroups::detect()?.group(&self.create.cgroup))
    }
}

/// Mounts the root file system and writes into the bundle who the process runs as.
fn prepare(create: &Create) -> Result<user::User, ShimError> {
    umask::as_container(|| mount(create)).step("mount the root file system")?;
    oci::check_targets(&create.bundle, &create.rootfs.target)?;
    let resolved = user::resolve(&create.rootfs.target, &create.user)?;
    oci::complete_spec(&create.bundle, &resolved)?;
    Ok(resolved)
}

/// Lower layers are given relative to the working directory, so that the options of an image with
/// many layers fit in one page.
fn mount(create: &Create) -> io::Result<()> {
    let rootfs = &create.rootfs;
    k3s_sys::fs::create_dirs(&rootfs.target, 0o700)?;
    std::env::set_current_dir(&rootfs.layers_dir)?;
    let mounted =
        k3s_sys::mount::overlay(&rootfs.lowers, &rootfs.upper, &rootfs.work, &rootfs.target);
    std::env::set_current_dir("/")?;
    mounted?;
    make_working_dir(&rootfs.target, &create.bundle)
}

/// As runc, makes the working directory when the image lacks it; never through a link that leads
/// out of the image.
fn make_working_dir(rootfs: &Path, bundle: &Path) -> io::Result<()> {
    let bytes = std::fs::read(bundle.join("config.json"))?;
    let spec: serde_json::Value = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let cwd = Path::new(tree::text(&spec, "process.cwd"));
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_));
    let mut below = PathBuf::from("/");
    for part in cwd.components().filter(is_name) {
        let parent = k3s_sys::fs::open_in_root(rootfs, &below)?;
        below.push(part);
        if matches!(k3s_sys::fs::open_in_root(rootfs, &below), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            rustix::fs::mkdirat(
                &parent,
                part.as_os_str(),
                rustix::fs::Mode::from_raw_mode(0o755),
            )?;
        }
    }
    Ok(())
}

fn now_ns(clock: &Clock) -> i64 {
    i64::try_from(clock.now().as_nanosecond()).unwrap_or(i64::MAX)
}
