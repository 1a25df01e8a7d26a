//! The last steps before the payload runs, inside the container, in the process that becomes it.
//!
//! libcontainer's own executor does not reset what a supervisor changes about signals, searches the
//! wrong `PATH` for programs, and reports a failed `exec` of a container's first process to nobody.
//! And it joins further processes to a container without the container's seccomp filter;
//! [`Restrictions`] closes that hole: such a process arrives here with the two capabilities that
//! loading a filter and giving up capabilities need, and loses them here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use k3s_base::error::chain;
use libcontainer::capabilities::drop_privileges;
use libcontainer::oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp, Spec};
use libcontainer::seccomp::{SeccompError, initialize_seccomp};
use libcontainer::syscall::SyscallError;
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;

/// The search path when the environment has no `PATH`, as for `execvp`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why the payload does not run. It crosses a pipe as text, with its causes. The wording is that of
/// Go's `os/exec`, which users of runc know.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    /// The specification has no arguments.
    #[error("no command specified")]
    NoCommand,
    /// No folder of `PATH` has it.
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotFound(String),
    /// The path names nothing that may be executed.
    #[error("exec: {name:?}: stat {name}")]
    NotExecutable {
        name: String,
        #[source]
        source: Unusable,
    },
    /// An argument or variable cannot be handed to the kernel.
    #[error("{0:?} contains a NUL octet")]
    Nul(String),
    /// Signal handlers cannot be reset.
    #[error("reset signals")]
    Signals(#[source] std::io::Error),
    /// The system call filter cannot be loaded.
    #[error("seccomp")]
    Seccomp(#[source] SeccompError),
    /// Capabilities cannot be dropped.
    #[error("capabilities")]
    Capabilities(#[source] SyscallError),
    /// The kernel refused.
    #[error("exec {:?}: {}", .program.display().to_string(), .errno.desc())]
    Exec { program: PathBuf, errno: Errno },
}

/// Why a file cannot be executed, in the kernel's wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("permission denied")]
    Denied,
    #[error("no such file or directory")]
    Missing,
}

/// The restrictions that a process which joins a running container still lacks.
#[derive(Clone, Debug)]
pub(super) struct Restrictions {
    pub(super) seccomp: Option<LinuxSeccomp>,
    pub(super) capabilities: LinuxCapabilities,
    pub(super) no_new_privileges: bool,
}

/// Executes the payload.
#[derive(Clone)]
pub(super) struct Payload {
    /// Gets the reason when the payload cannot be executed; closed by a successful `exec`.
    failure: Option<Rc<OwnedFd>>,
    restrictions: Option<Restrictions>,
    environment: Rc<RefCell<HashMap<String, String>>>,
}

impl Payload {
    /// For a container's first process.
    pub(super) fn first(failure: OwnedFd) -> Self {
        Self {
            failure: Some(Rc::new(failure)),
            restrictions: None,
            environment: Rc::default(),
        }
    }

    /// For a process that joins.
    pub(super) fn joining(restrictions: Restrictions) -> Self {
        Self {
            failure: None,
            restrictions: Some(restrictions),
            environment: Rc::default(),
        }
    }

    fn args(spec: &Spec) -> Vec<String> {
        spec.process()
            .as_ref()
            .and_then(|process| process.args().clone())
            .unwrap_or_default()
    }

    fn program(&self, spec: &Spec) -> Result<PathBuf, PayloadError> {
        let args = Self::args(spec);
        let name = args
            .first()
            .filter(|name| !name.is_empty())
            .ok_or(PayloadError::NoCommand)?;
        let environment = self.environment.borrow();
        find(
            name,
            environment.get("PATH").map_or(DEFAULT_PATH, String::as_str),
        )
    }

    fn run(&self, spec: &Spec) -> Result<(), PayloadError> {
        let program = self.program(spec)?;
        let c_string =
            |text: &str| CString::new(text).map_err(|_| PayloadError::Nul(text.to_owned()));
        let path = c_string(&program.to_string_lossy())?;
        let args = Self::args(spec)
            .iter()
            .map(|arg| c_string(arg))
            .collect::<Result<Vec<_>, _>>()?;
        let environment = self
            .environment
            .borrow()
            .iter()
            .map(|(key, value)| c_string(&format!("{key}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        k3s_sys::process::reset_signals().map_err(PayloadError::Signals)?;
        if let Some(restrictions) = &self.restrictions {
            restrictions.impose()?;
        }
        let Err(errno) = nix::unistd::execve(&path, &args, &environment);
        Err(PayloadError::Exec { program, errno })
    }
}

impl Restrictions {
    /// Without no_new_privs a filter needs `CAP_SYS_ADMIN`, so it is loaded before capabilities are
    /// dropped; with it the filter comes last, so that the fewest calls are made under it.
    fn impose(&self) -> Result<(), PayloadError> {
        let load = || {
            self.seccomp.as_ref().map_or(Ok(()), |filter| {
                initialize_seccomp(filter)
                    .map(drop)
                    .map_err(PayloadError::Seccomp)
            })
        };
        let drop_all = || {
            drop_privileges(&self.capabilities, create_syscall().as_ref())
                .map_err(PayloadError::Capabilities)
        };
        if self.no_new_privileges {
            drop_all().and_then(|()| load())
        } else {
            load().and_then(|()| drop_all())
        }
    }
}

impl Executor for Payload {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        self.run(spec).map_err(|error| {
            let message = chain(&error);
            if let Some(mut failure) = self
                .failure
                .as_ref()
                .and_then(|fd| fd.try_clone().ok())
                .map(File::from)
            {
                let _ = failure.write_all(message.as_bytes());
            }
            ExecutorError::Other(message)
        })
    }

    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // The environment, and with it PATH, is handed over after this step.
        Ok(())
    }

    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        *self.environment.borrow_mut() = envs;
        Ok(())
    }
}

/// Finds the program as `execvp` does.
fn find(name: &str, path: &str) -> Result<PathBuf, PayloadError> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(source) => Err(PayloadError::NotExecutable {
                name: name.to_owned(),
                source,
            }),
        };
    }
    path.split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(name))
        .find(|candidate| executable(candidate).is_ok())
        .ok_or_else(|| PayloadError::NotFound(name.to_owned()))
}

fn executable(path: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Unusable::Denied
        } else {
            Unusable::Missing
        }
    })?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(Unusable::Denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_given_path() {
        assert_eq!(find("sh", "/nowhere:/bin").unwrap(), Path::new("/bin/sh"));
        assert_eq!(find("/bin/sh", "").unwrap(), Path::new("/bin/sh"));
        assert_eq!(
            find("no-such-program", "/bin").unwrap_err().to_string(),
            "exec: \"no-such-program\": executable file not found in $PATH"
        );
        assert_eq!(
            chain(&find("/etc/passwd", "").unwrap_err()),
            "exec: \"/etc/passwd\": stat /etc/passwd: permission denied"
        );
    }
}
