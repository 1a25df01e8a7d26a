//! The calls into libcontainer, and what has to be done around each of them.
//!
//! libcontainer writes its caller's `oom_score_adj`, leaves a socket behind for every joined
//! process, and hands out a container's terminal through a socket; callers of this module see none of it.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use k3s_sys::fs::SocketDir;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::{LinuxCapabilities, Process, Spec};
use libcontainer::syscall::syscall::SyscallType;

use super::error::{ShimError, Step};
use super::executor::{Payload, Restrictions};
use super::protocol::{Create, Exec};
use super::stdio::Stdio;
use super::user::User;
use super::{targets, umask};

/// A process that was started.
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) stdio: Stdio,
}

/// Completes the bundle's `config.json` with what is known only from the mounted root file system.
pub(super) fn complete_spec(bundle: &Path, user: &User) -> Result<(), ShimError> {
    let path = bundle.join("config.json");
    let mut spec = load_spec(bundle)?;
    let process = spec.process_mut().as_mut().ok_or(ShimError::NoProcess)?;
    let wanted = process.user_mut();
    wanted.set_uid(user.uid);
    wanted.set_gid(user.gid);
    wanted.set_additional_gids(Some(user.groups.clone()));
    let score = process
        .oom_score_adj()
        .map(allowed_score)
        .transpose()
        .step("read the own OOM score")?;
    process.set_oom_score_adj(score);
    let bytes = serde_json::to_vec(&spec).map_err(ShimError::Spec)?;
    k3s_sys::fs::write_replace(&path, &bytes, 0o600).step("write the OCI spec")
}

/// Refuses volumes where a container may have none.
pub(super) fn check_targets(bundle: &Path, rootfs: &Path) -> Result<(), ShimError> {
    targets::check(rootfs, &load_spec(bundle)?)
}

/// Without CAP_SYS_RESOURCE a score below one's own cannot be given; the nearest is, as with
/// containerd's `restrict_oom_score_adj`.
fn allowed_score(wanted: i32) -> io::Result<i32> {
    let may_lower = caps::has_cap(
        None,
        caps::CapSet::Effective,
        caps::Capability::CAP_SYS_RESOURCE,
    )
    .map_err(io::Error::other)?;
    if may_lower {
        Ok(wanted)
    } else {
        Ok(wanted.max(k3s_sys::process::oom_score_adj()?))
    }
}

/// Makes the container's first process and lets it run.
pub(super) fn start(create: &Create, root: &Path) -> Result<Started, ShimError> {
    let (mut failure, failure_end) = failure_pipe().step("make a pipe")?;
    let builder = ContainerBuilder::new(create.id.clone(), SyscallType::default())
        .with_executor(Payload::first(failure_end))
        .with_root_path(root)
        .map_err(ShimError::Container)?;
    let (builder, terminal, stdio) =
        connect(builder, root, create.tty, create.stdin, true, !create.tty)?;
    let score = k3s_sys::process::oom_score_adj().step("read the own OOM score")?;
    let built = builder
        .as_init(&create.bundle)
        .with_systemd(false)
        .with_detach(true)
        .build();
    restore(score);
    let mut container = built.map_err(ShimError::Container)?;
    let stdio = finish_stdio(terminal, stdio)?;
    let pid = container.pid().ok_or(ShimError::NoPid)?.as_raw();
    container.start().map_err(ShimError::Container)?;
    drop(container);
    let mut reason = String::new();
    failure
        .read_to_string(&mut reason)
        .step("read what the process reported")?;
    if reason.is_empty() {
        Ok(Started { pid, stdio })
    } else {
        Err(ShimError::Payload(reason))
    }
}

/// Runs one more process in a running container, under the same restrictions.
pub(super) fn exec(exec: &Exec, bundle: &Path, root: &Path) -> Result<Started, ShimError> {
    let spec = load_spec(bundle)?;
    let process = spec.process().as_ref().ok_or(ShimError::NoProcess)?;
    let restrictions = Restrictions {
        seccomp: spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.seccomp().clone()),
        capabilities: process.capabilities().clone().unwrap_or_default(),
        no_new_privileges: process.no_new_privileges() == Some(true),
    };
    let process_file = root.join(&exec.id).join("exec-process.json");
    let joining = joining_process(process, exec, &restrictions);
    let document = serde_json::to_vec(&joining).map_err(ShimError::Spec)?;
    k3s_sys::fs::write_replace(&process_file, &document, 0o600).step("write the process to run")?;

    let builder = ContainerBuilder::new(exec.id.clone(), SyscallType::default())
        .with_executor(Payload::joining(restrictions))
        .with_root_path(root)
        .map_err(ShimError::Container)?;
    let (builder, terminal, stdio) = connect(
        builder,
        root,
        exec.tty,
        exec.stdin,
        exec.stdout,
        exec.stderr && !exec.tty,
    )?;
    let score = k3s_sys::process::oom_score_adj().step("read the own OOM score")?;
    let built = umask::as_container(|| {
        builder
            .as_tenant()
            .with_process(Some(&process_file))
            .with_detach(true)
            .build()
    });
    restore(score);
    sweep(&root.join(&exec.id));
    let pid = built.map_err(ShimError::Container)?.as_raw();
    Ok(Started {
        pid,
        stdio: finish_stdio(terminal, stdio)?,
    })
}

/// Without no_new_privs, [`Restrictions`] needs two capabilities to load the filter and to give up
/// all others; both are gone before the payload runs.
fn joining_process(process: &Process, exec: &Exec, restrictions: &Restrictions) -> Process {
    use libcontainer::oci_spec::runtime::Capability;
    let mut joining = process.clone();
    joining.set_args(Some(exec.args.clone()));
    joining.set_terminal(Some(exec.tty));
    if restrictions.seccomp.is_some() && !restrictions.no_new_privileges {
        let mut capabilities: LinuxCapabilities = restrictions.capabilities.clone();
        let more = |set: &Option<std::collections::HashSet<Capability>>| {
            let mut set = set.clone().unwrap_or_default();
            set.extend([Capability::SysAdmin, Capability::Setpcap]);
            Some(set)
        };
        let (bounding, effective, permitted) = (
            more(capabilities.bounding()),
            more(capabilities.effective()),
            more(capabilities.permitted()),
        );
        capabilities.set_bounding(bounding);
        capabilities.set_effective(effective);
        capabilities.set_permitted(permitted);
        joining.set_capabilities(Some(capabilities));
    }
    joining
}

/// Removes what libcontainer keeps of one container.
pub(super) fn forget(id: &str, root: &Path) -> io::Result<()> {
    k3s_sys::fs::remove_all(&root.join(id))
}

fn load_spec(bundle: &Path) -> Result<Spec, ShimError> {
    let bytes = std::fs::read(bundle.join("config.json")).step("read the OCI spec")?;
    serde_json::from_slice(&bytes).map_err(ShimError::Spec)
}

/// The socket over which a terminal arrives.
struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn connect(
    builder: ContainerBuilder,
    root: &Path,
    tty: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
) -> Result<(ContainerBuilder, Option<Console>, Stdio), ShimError> {
    if tty {
        const NAME: &str = "console.sock";
        let path = root.join(NAME);
        k3s_sys::fs::remove_all(&path).step("remove an old console socket")?;
        let listener = SocketDir::open(root)
            .and_then(|dir| UnixListener::bind(dir.path(NAME)))
            .step("make the console socket")?;
        let builder = builder.with_console_socket(Some(&path));
        return Ok((builder, Some(Console { listener, path }), Stdio::default()));
    }
    let (stdio, ends) = Stdio::pipes(stdin, stdout, stderr).step("make pipes")?;
    let mut builder = builder;
    (builder.stdin, builder.stdout, builder.stderr) = (ends.stdin, ends.stdout, ends.stderr);
    Ok((builder, None, stdio))
}

fn finish_stdio(console: Option<Console>, stdio: Stdio) -> Result<Stdio, ShimError> {
    let Some(console) = console else {
        return Ok(stdio);
    };
    // The process connected and sent before it reported ready: nothing here waits for it.
    let (connection, _) = console
        .listener
        .accept()
        .step("accept the terminal's connection")?;
    let master = receive_descriptor(&connection)
        .step("receive the terminal")?
        .ok_or(ShimError::NoTerminal)?;
    Stdio::terminal(master).step("set up the terminal")
}

fn receive_descriptor(connection: &std::os::unix::net::UnixStream) -> io::Result<Option<OwnedFd>> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut payload = [0; 256];
    rustix::net::recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut payload)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    }))
}

fn failure_pipe() -> io::Result<(std::fs::File, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((std::fs::File::from(read), write))
}

/// Undoes what libcontainer did to this process, and returns its memory to the system.
fn restore(score: i32) {
    // Restoring the previous value is always allowed.
    let _ = k3s_sys::process::set_oom_score_adj(score);
    k3s_sys::heap::give_back();
}

/// Removes the sockets that each joined process leaves behind.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("tenant-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
