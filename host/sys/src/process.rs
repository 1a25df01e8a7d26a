//! Processes: forking where it is sound, starting programs, signals, and settings in `/proc/self`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{ForkResult, Pid};
use rustix::process::{Resource, Rlimit};

/// The limit of open files that this process was started with, once [`raise_max_open_files`] has changed it.
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();

/// The two sides of a [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The old process, with the child's number.
    Parent(i32),
    /// The new process.
    Child,
}

/// Forks the calling process, which must have one thread: in a process with more, locks held by
/// the others would stay locked in the child forever.
///
/// # Errors
/// When there are more threads, or no process can be made.
pub fn fork() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "refusing to fork a process of {threads} threads"
        )));
    }
    // SAFETY: the process has one thread, so no lock is held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Fork::Parent(child.as_raw())),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Resets every signal to its default action and unblocks all: what a program expects when it is
/// executed, while the Rust runtime ignores SIGPIPE and a supervisor blocks SIGCHLD.
///
/// # Errors
/// When the mask cannot be set.
pub fn reset_signals() -> io::Result<()> {
    for signal in
        Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP))
    {
        // SAFETY: the default action installs no handler, so there is nothing that must be
        // async-signal-safe.
        unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Closes every descriptor from `first` on, for a freshly forked process that never returns to the
/// code that owns them.
///
/// # Errors
/// On kernels before 5.9.
pub fn close_from_forked(first: u32) -> io::Result<()> {
    // SAFETY: close_range takes integers only. Owners of these descriptors live in the other
    // process; the caller promises by using this in a fork that it runs none of their code.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// How many file descriptors this process may have open at once: the soft limit of `RLIMIT_NOFILE`.
#[must_use]
pub fn max_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

/// Raises the soft limit of open files to the hard one, as Go's runtime does for K3s. Programs that [`command`]
/// starts get the limit that this process was started with: some take long when it is large.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_max_open_files() -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, raised)?;
    STARTED_WITH.get_or_init(|| limit);
    Ok(())
}

/// A program to start, with the limit of open files that this process was started with.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(limit) = STARTED_WITH.get().copied() {
        let restore =
            move || rustix::process::setrlimit(Resource::Nofile, limit).map_err(io::Error::from);
        // SAFETY: between fork and exec it makes one system call, and allocates nothing.
        unsafe { command.pre_exec(restore) };
    }
    command
}

/// What a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Address space.
    pub memory_bytes: u64,
    /// Open files.
    pub descriptors: u64,
    /// Time on a processor.
    pub cpu_seconds: u64,
}

/// Limits the calling process and its children; limits cannot be raised again. It leaves no core dump either.
///
/// # Errors
/// When the kernel refuses.
pub fn limit(limits: &Limits) -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(
        Resource::RLIMIT_AS,
        limits.memory_bytes,
        limits.memory_bytes,
    )?;
    setrlimit(
        Resource::RLIMIT_NOFILE,
        limits.descriptors,
        limits.descriptors,
    )?;
    // At the second one the process is killed; the first one says why.
    let killed_after = limits.cpu_seconds.saturating_add(1);
    setrlimit(Resource::RLIMIT_CPU, limits.cpu_seconds, killed_after)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Orphaned descendants become children of this process.
///
/// # Errors
/// When the kernel refuses.
pub fn become_subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Names the process in `ps` (at most 15 octets show).
///
/// # Errors
/// When the name holds a NUL.
pub fn set_name(name: &str) -> io::Result<()> {
    std::fs::write("/proc/self/comm", name)
}

/// How likely the kernel kills this process when memory is short: -1000 never to 1000 first.
///
/// # Errors
/// Lowering needs `CAP_SYS_RESOURCE`.
pub fn set_oom_score_adj(score: i32) -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", score.to_string())
}

/// The value of [`set_oom_score_adj`] now.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn oom_score_adj() -> io::Result<i32> {
    std::fs::read_to_string("/proc/self/oom_score_adj")?
        .trim()
        .parse()
        .map_err(io::Error::other)
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The process that ended.
    pub pid: i32,
    /// Its exit status, or 128 + signal as shells count.
    pub code: i32,
}

/// Collects one child that ended; `None` when none did.
///
/// # Errors
/// When `waitpid(2)` fails for another reason than that there are no children.
pub fn reap() -> io::Result<Option<Exit>> {
    loop {
        return match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                match code {
                    Some(code) => Ok(Some(Exit {
                        pid: pid.as_raw_nonzero().get(),
                        code,
                    })),
                    None => continue,
                }
            }
            Ok(None) | Err(rustix::io::Errno::CHILD) => Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Waits for one child.
///
/// # Errors
/// When it is not a child of this process.
pub fn wait(pid: i32) -> io::Result<()> {
    loop {
        match waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// Sends a signal by number; a process that is gone is success.
///
/// # Errors
/// For an unknown signal, or without permission.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        // 0 and below address groups of processes, -1 even all of them.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill takes two integers and touches no memory of ours. Real-time signals have no
    // name in the safe wrappers.
    if unsafe { libc::kill(pid, signal) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ESRCH) {
        Ok(())
    } else {
        Err(error)
    }
}

/// When the process started, in clock ticks since boot: with the number, its identity (numbers are
/// used again). None when there is no such process.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The second field is in parentheses and may hold anything, also blanks and parentheses.
    stat.rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threaded_process_is_not_forked() {
        // The test harness runs tests on threads of their own.
        assert!(fork().is_err());
    }

    #[test]
    fn the_limit_of_open_files_is_raised_for_this_process_and_not_for_programs_that_it_starts() {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap();
        let inherited = Rlimit {
            current: Some(hard - 1),
            maximum: limit.maximum,
        };
        rustix::process::setrlimit(Resource::Nofile, inherited).unwrap();
        raise_max_open_files().unwrap();
        assert_eq!(max_open_files(), hard);
        // A second time changes neither.
        raise_max_open_files().unwrap();
        let shown = |mut command: Command| {
            let output = command.args(["-c", "ulimit -Sn; ulimit -Hn"]).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            let limits = text.lines().map(|line| line.parse().unwrap());
            limits.collect::<Vec<u64>>()
        };
        assert_eq!(shown(command("sh")), [hard - 1, hard]);
        assert_eq!(shown(Command::new("sh")), [hard, hard]);
    }

    #[test]
    fn a_process_has_a_start_time_while_it_lives() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(start_time(own), start_time(own));
        assert!(start_time(own).is_some());
        assert_eq!(start_time(-1), None);
    }
}
