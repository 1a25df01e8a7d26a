//! The channels that one WebSocket message begins with, and the status that ends a session.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use bytes::Bytes;
use k3s_serve::websocket::{self, Message};
use serde_json::{Value, json};

/// What a client can ask for beside the streams themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Is told of a failure as text, and nothing of success.
    V1,
    /// Is given a status.
    V4,
    /// Can close the input alone.
    V5,
}

impl Version {
    /// Its name in SPDY.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1 => websocket::CHANNEL,
            Self::V4 => websocket::V4,
            Self::V5 => websocket::V5,
        }
    }
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Raw,
    Base64,
}

/// What is spoken in a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    version: Version,
    codec: Codec,
}

/// Subprotocols by name (upstream `remotecommand/websocket.go`, and KEP-4006 for the last version).
const PROTOCOLS: [(&str, Version, Codec); 5] = [
    (websocket::V5, Version::V5, Codec::Raw),
    (websocket::V4, Version::V4, Codec::Raw),
    (websocket::V4_BASE64, Version::V4, Codec::Base64),
    (websocket::CHANNEL, Version::V1, Codec::Raw),
    (websocket::CHANNEL_BASE64, Version::V1, Codec::Base64),
];

impl Protocol {
    pub(super) fn names() -> [&'static str; 5] {
        PROTOCOLS.map(|(name, ..)| name)
    }

    /// What was agreed on. A client that names nothing speaks the oldest.
    #[must_use]
    pub fn agreed(name: Option<&str>) -> Self {
        let name = name.unwrap_or(websocket::CHANNEL);
        let known = PROTOCOLS.iter().find(|(known, ..)| *known == name);
        let (version, codec) = known.map_or((Version::V1, Codec::Raw), |(_, version, codec)| {
            (*version, *codec)
        });
        Self { version, codec }
    }

    /// Data on a channel, as it is sent.
    #[must_use]
    pub fn message(self, channel: u8, data: &[u8]) -> Message {
        match self.codec {
            Codec::Raw => Message::binary(message(channel, data)),
            Codec::Base64 => {
                let mut out = channel.to_string();
                STANDARD.encode_string(data, &mut out);
                Message::text(out)
            }
        }
    }

    /// What a message of the client means.
    ///
    /// # Errors
    /// Where it shall be base64 and is not.
    pub fn parse(self, message: &Bytes) -> Result<Input, DecodeError> {
        let Some((first, data)) = message.split_first() else {
            return Ok(Input::Nothing);
        };
        let (channel, data) = match self.codec {
            Codec::Raw => (*first, message.slice(1..)),
            Codec::Base64 => (first.wrapping_sub(b'0'), STANDARD.decode(data)?.into()),
        };
        Ok(match (self.version, channel) {
            (_, STDIN) if !data.is_empty() => Input::Data(data),
            (_, RESIZE) if !data.is_empty() => Input::Resize(data),
            (Version::V5, CLOSE) if data.first() == Some(&STDIN) => Input::HalfClose,
            _ => Input::Nothing,
        })
    }

    /// How a session with this status ends; `None` where the client is not told.
    pub(super) fn status(self, status: &Value) -> Option<Message> {
        let text = match self.version {
            Version::V1 if status["status"] == "Success" => return None,
            Version::V1 => status["message"].as_str().unwrap_or_default().to_owned(),
            Version::V4 | Version::V5 => status.to_string(),
        };
        Some(self.message(ERROR, text.as_bytes()))
    }
}

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const RESIZE: u8 = 4;
/// Followed by the number of the channel that is closed.
pub(super) const CLOSE: u8 = 255;

/// Data with its channel in front.
pub(super) fn message(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 1);
    out.push(channel);
    out.extend_from_slice(data);
    out
}

/// A message of the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// For the process; not empty.
    Data(Bytes),
    /// The size of the client's terminal, as JSON.
    Resize(Bytes),
    /// The client sends nothing more to the process.
    HalfClose,
    /// Nothing that has a meaning here.
    Nothing,
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

    fn parsed(name: &str, message: &'static [u8]) -> Input {
        let protocol = Protocol::agreed(Some(name));
        protocol.parse(&Bytes::from_static(message)).unwrap()
    }

    #[test]
    fn only_v5_closes_the_input() {
        let (v4, v5) = (websocket::V4, websocket::V5);
        assert_eq!(parsed(v5, &[CLOSE, STDIN]), Input::HalfClose);
        assert_eq!(parsed(v4, &[CLOSE, STDIN]), Input::Nothing);
        assert_eq!(parsed(v4, &[STDIN, b'x']), Input::Data("x".into()));
        assert_eq!(parsed(v4, &[STDIN]), Input::Nothing);
    }

    #[test]
    fn base64_goes_both_ways_as_text() {
        for name in [websocket::CHANNEL_BASE64, websocket::V4_BASE64] {
            assert_eq!(parsed(name, b"0Zm9vCgo="), Input::Data("foo\n\n".into()));
            assert_eq!(parsed(name, b"4e30="), Input::Resize("{}".into()));
            let protocol = Protocol::agreed(Some(name));
            assert_eq!(protocol.message(STDOUT, b"\n"), Message::text("1Cg=="));
            assert!(protocol.parse(&Bytes::from_static(b"0!")).is_err());
        }
    }

    #[test]
    fn the_oldest_protocol_tells_of_failures_only_and_as_text() {
        let command = ["false".to_owned()];
        for name in [None, Some(websocket::CHANNEL)] {
            let protocol = Protocol::agreed(name);
            assert_eq!(protocol.status(&exit_status(&command, 0)), None);
            let failure = protocol
                .status(&exit_status(&command, 1))
                .unwrap()
                .into_data();
            let text = "command terminated with non-zero exit code: error executing command [false], exit code 1";
            assert_eq!(failure[1..], *text.as_bytes());
        }
        let status = Protocol::agreed(Some(websocket::V4)).status(&exit_status(&command, 0));
        let status = status.unwrap().into_data();
        assert_eq!(status[0], ERROR);
        assert_eq!(
            serde_json::from_slice::<Value>(&status[1..]).unwrap()["status"],
            "Success"
        );
    }
}
