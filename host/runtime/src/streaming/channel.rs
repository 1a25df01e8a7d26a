//! The channels that one WebSocket message begins with, and the status that ends a session.

use k3s_serve::websocket;
use serde_json::{Value, json};

/// Version of the sub-protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    /// Can close the input alone.
    V5,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => websocket::V4,
            Self::V5 => websocket::V5,
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        [Self::V5, Self::V4]
            .into_iter()
            .find(|version| version.name() == name)
    }
}

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const RESIZE: u8 = 4;
/// Followed by the number of the channel that is closed.
pub(super) const CLOSE: u8 = 255;

/// A message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    Data(&'a [u8]),
    Resize(&'a [u8]),
    HalfClose,
    Nothing,
}

pub(super) fn parse(version: Version, message: &[u8]) -> Input<'_> {
    match (version, message) {
        (_, [STDIN, data @ ..]) if !data.is_empty() => Input::Data(data),
        (_, [RESIZE, size @ ..]) if !size.is_empty() => Input::Resize(size),
        (Version::V5, [CLOSE, STDIN, ..]) => Input::HalfClose,
        _ => Input::Nothing,
    }
}

pub(super) fn message(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 1);
    out.push(channel);
    out.extend_from_slice(data);
    out
}

/// `metav1.Status` of a command that ended with `code`.
pub(super) fn exit_status(command: &[String], code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let shown = format!("[{}]", command.join(" "));
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: error executing command {shown}, exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// `metav1.Status` of a session that could not be run.
pub(super) fn failure_status(message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "details": {"causes": [{"message": message}]}, "code": 500})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_v5_closes_the_input() {
        assert_eq!(parse(Version::V5, &[CLOSE, STDIN]), Input::HalfClose);
        assert_eq!(parse(Version::V4, &[CLOSE, STDIN]), Input::Nothing);
        assert_eq!(parse(Version::V4, &[STDIN, b'x']), Input::Data(b"x"));
        assert_eq!(parse(Version::V4, &[STDIN]), Input::Nothing);
    }
}
