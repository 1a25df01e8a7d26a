//! The messages between the runtime and a shim, and their framing.
//!
//! A shim outlives the server that started it, so an upgraded server meets old shims: the version
//! is part of the socket's name, fields are only ever added, and unknown ones are ignored.
//!
//! Each connection carries one request. After it, `Subscribe` turns the connection into a stream
//! of container states, `Exec` and `Attach` into the process's input and output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k3s_sys::cgroup::Limits;
use serde::{Deserialize, Serialize};

/// The socket in a sandbox's state folder.
pub(crate) const SOCKET: &str = "shim.v1.sock";
/// The file in which a shim records which process it is.
pub(crate) const IDENTITY: &str = "shim.identity";
/// `argv[0]` of the process that shims are forked from.
pub(crate) const ARGV0: &str = "k3s-shim";
/// No frame is longer: requests are small, and output is cut into pieces.
pub(crate) const FRAME_LIMIT_BYTES: usize = 1 << 20;
/// Octets before a frame's payload: length (little-endian) and kind.
pub(crate) const FRAME_HEADER_BYTES: usize = 5;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// JSON: a request or an answer.
    Message = 0,
    Stdin = 1,
    Stdout = 2,
    Stderr = 3,
    /// JSON [`WindowSize`].
    Resize = 4,
    /// No more input follows.
    StdinEof = 5,
    /// JSON [`ExecExit`]: the last frame.
    Exit = 6,
    /// Kill the exec session's process.
    Kill = 7,
}

impl Kind {
    pub(crate) fn from_octet(octet: u8) -> Option<Self> {
        [
            Self::Message,
            Self::Stdin,
            Self::Stdout,
            Self::Stderr,
            Self::Resize,
            Self::StdinEof,
            Self::Exit,
            Self::Kill,
        ]
        .into_iter()
        .find(|&kind| kind as u8 == octet)
    }
}

/// A frame ready to be sent.
pub(crate) fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
    out
}

/// A frame of JSON.
pub(crate) fn message<T: Serialize>(value: &T) -> Vec<u8> {
    // These types hold only strings, numbers and maps with string keys: they always serialise.
    frame(
        Kind::Message,
        &serde_json::to_vec(value).unwrap_or_default(),
    )
}

/// Splits one complete frame off the front of `buffer`; `None` while it is incomplete.
pub(crate) fn decode_frame(buffer: &mut Vec<u8>) -> Result<Option<(Kind, Vec<u8>)>, ProtocolError> {
    let Some((length, kind)) = parse_header(buffer)? else {
        return Ok(None);
    };
    let end = FRAME_HEADER_BYTES + length;
    if buffer.len() < end {
        return Ok(None);
    }
    let rest = buffer.split_off(end);
    let payload = std::mem::replace(buffer, rest).split_off(FRAME_HEADER_BYTES);
    Ok(Some((kind, payload)))
}

/// Length and kind, when `header` is complete.
pub(crate) fn parse_header(header: &[u8]) -> Result<Option<(usize, Kind)>, ProtocolError> {
    let Some(&[a, b, c, d, kind]) = header.first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let kind = Kind::from_octet(kind).ok_or(ProtocolError::Kind(kind))?;
    if length > FRAME_LIMIT_BYTES {
        Err(ProtocolError::Length(length))
    } else {
        Ok(Some((length, kind)))
    }
}

/// The peer does not speak this protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("unknown frame kind {0}")]
    Kind(u8),
    #[error("frame of {0} bytes is over the limit")]
    Length(usize),
}

/// Number and start time: what a process is known by when numbers are used again.
pub(crate) fn identity(pid: i32) -> String {
    format!("{pid} {}", k3s_sys::process::start_time(pid).unwrap_or(0))
}

/// Starts a shim; sent to the process that forks them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StartShim {
    pub(crate) sandbox: String,
    /// The sandbox's state folder; the socket is made in it.
    pub(crate) dir: PathBuf,
    /// Make a network namespace and hold it here; none = the host's.
    pub(crate) netns: Option<PathBuf>,
    /// Make an IPC namespace.
    pub(crate) ipc: bool,
    /// Make a UTS namespace with this host name.
    pub(crate) hostname: Option<String>,
    /// Make a PID namespace for all containers.
    pub(crate) pid: bool,
    /// Kernel parameters of the new namespaces.
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// The answer to [`StartShim`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShimStarted {
    pub(crate) sandbox: String,
    pub(crate) result: Result<ShimPids, RemoteError>,
}

/// An error of the process at the other end of a socket: its text with all causes.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{0}")]
pub(crate) struct RemoteError(String);

impl RemoteError {
    /// `error` with its causes, for the peer.
    pub(crate) fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(k3s_base::error::chain(error))
    }
}

/// Process numbers of a shim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ShimPids {
    pub(crate) shim: i32,
    /// The first process of a shared PID namespace.
    pub(crate) init: Option<i32>,
}

/// A request to a shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Send the state of each container now and at each change.
    Subscribe,
    Create(Box<Create>),
    Start {
        id: String,
    },
    Signal {
        id: String,
        signal: i32,
        all: bool,
    },
    Remove {
        id: String,
    },
    ReopenLog {
        id: String,
    },
    Exec(Exec),
    Attach {
        id: String,
        stdin: bool,
    },
    /// End the shim; refused while a container runs.
    Shutdown,
}

/// Makes a container ready to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Create {
    pub(crate) id: String,
    /// The OCI bundle, whose `config.json` lacks only the user.
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: Rootfs,
    pub(crate) user: UserRequest,
    pub(crate) cgroup: String,
    pub(crate) limits: Limits,
    pub(crate) log_path: Option<PathBuf>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    /// Kill the whole group when the first process ends: no PID namespace of its own does it.
    pub(crate) kill_group: bool,
}

/// An overlay to mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rootfs {
    /// The folder that `lowers` are relative to, so that many layers fit in one page.
    pub(crate) layers_dir: PathBuf,
    /// Topmost first.
    pub(crate) lowers: Vec<PathBuf>,
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) target: PathBuf,
}

/// Who a container runs as, before its `/etc/passwd` was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserRequest {
    /// `user` or `user:group`, names or numbers; empty = root.
    pub(crate) user: String,
    /// Replaces the group.
    pub(crate) group: Option<u32>,
    pub(crate) supplemental_groups: Vec<u32>,
    /// Leave out the groups that `/etc/group` names the user in.
    pub(crate) strict_groups: bool,
}

/// Runs a process in a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exec {
    pub(crate) id: String,
    pub(crate) args: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    Done,
    /// To [`Request::Subscribe`], first all containers, then the changed one each time.
    States(Vec<ContainerState>),
    Failed(RemoteError),
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Ready to start.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// Its first process ended.
    Exited,
}

/// What a shim knows of one container; times in nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    pub(crate) id: String,
    pub(crate) phase: Phase,
    pub(crate) pid: i32,
    pub(crate) started_at_ns: i64,
    pub(crate) finished_at_ns: i64,
    pub(crate) exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The user it runs as, once known: uid, gid, supplemental groups.
    pub(crate) user: Option<(u32, u32, Vec<u32>)>,
}

/// How an exec session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecExit {
    pub(crate) code: i32,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct WindowSize {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_apart_as_they_were_put_together() {
        let mut buffer = [
            frame(Kind::Stdin, b"abc"),
            message(&Request::Subscribe),
            frame(Kind::Kill, b""),
        ]
        .concat();
        let tail = buffer.split_off(4);
        assert!(decode_frame(&mut buffer).unwrap().is_none());
        buffer.extend(tail);
        assert_eq!(
            decode_frame(&mut buffer).unwrap().unwrap(),
            (Kind::Stdin, b"abc".to_vec())
        );
        let (kind, payload) = decode_frame(&mut buffer).unwrap().unwrap();
        assert_eq!(kind, Kind::Message);
        assert!(matches!(
            serde_json::from_slice(&payload).unwrap(),
            Request::Subscribe
        ));
        assert_eq!(decode_frame(&mut buffer).unwrap().unwrap().0, Kind::Kill);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_stranger_is_noticed() {
        assert!(decode_frame(&mut b"GET / HTTP/1.1".to_vec()).is_err());
    }
}
