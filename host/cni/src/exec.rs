//! One call of a plugin: environment, standard input, and what it answers.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A plugin that takes longer is killed. Kubernetes gives the whole sandbox four minutes.
const PATIENCE: Duration = Duration::from_secs(90);
/// A result is a few KiB; more is not read.
const OUTPUT_LIMIT: u64 = 1 << 20;
/// "Try again later", of the specification.
const TRY_LATER: u32 = 11;
/// STATUS: "the plugin is not available".
const NOT_AVAILABLE: u32 = 50;

/// The operation of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
        }
    }
}

/// The attachment that a call is about; none for GC and STATUS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) container: String,
    /// Empty when it is gone.
    pub(crate) netns: String,
    pub(crate) interface: String,
    /// `CNI_ARGS`.
    pub(crate) args: String,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecError {
    #[error("no plugin {name:?} in {}", shown(.folders))]
    Missing { name: String, folders: Vec<PathBuf> },
    #[error("cannot run plugin {name:?}")]
    Run {
        name: String,
        #[source]
        source: std::io::Error,
    },
    #[error("plugin {name:?} did not end within {PATIENCE:?} and was killed")]
    TimedOut { name: String },
    #[error("plugin {name:?} failed ({verb}): {message}")]
    Failed {
        name: String,
        verb: &'static str,
        code: u32,
        message: String,
    },
    #[error("the answer of plugin {name:?} is not a JSON document")]
    Answer {
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

impl ExecError {
    /// Whether the same call may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Run { .. } | Self::TimedOut { .. } => true,
            Self::Failed { code, .. } => matches!(*code, TRY_LATER | NOT_AVAILABLE),
            Self::Answer { .. } => false,
        }
    }
}

fn shown(folders: &[PathBuf]) -> String {
    folders
        .iter()
        .map(|f| f.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Calls `name` from the first folder that has it. The answer is null when the plugin prints nothing.
pub(crate) async fn call(
    folders: &[PathBuf],
    name: &str,
    verb: Verb,
    attachment: Option<&Attachment>,
    input: &Value,
) -> Result<Value, ExecError> {
    let program = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    let missing = || ExecError::Missing {
        name: name.to_owned(),
        folders: folders.to_vec(),
    };
    let program = program.ok_or_else(missing)?;
    let run = |source| ExecError::Run {
        name: name.to_owned(),
        source,
    };
    let work = run_plugin(&program, folders, verb, attachment, input);
    let timed_out = |_| ExecError::TimedOut {
        name: name.to_owned(),
    };
    let output = tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(timed_out)?
        .map_err(run)?;
    output.read(name, verb)
}

struct Output {
    success: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

async fn run_plugin(
    program: &Path,
    folders: &[PathBuf],
    verb: Verb,
    attachment: Option<&Attachment>,
    input: &Value,
) -> std::io::Result<Output> {
    let mut command = Command::from(k3s_sys::process::command(program));
    command.env("CNI_COMMAND", verb.name()).env(
        "CNI_PATH",
        std::env::join_paths(folders).map_err(std::io::Error::other)?,
    );
    for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"] {
        command.env_remove(name);
    }
    if let Some(attachment) = attachment {
        command
            .env("CNI_CONTAINERID", &attachment.container)
            .env("CNI_IFNAME", &attachment.interface);
        command
            .env("CNI_NETNS", &attachment.netns)
            .env("CNI_ARGS", &attachment.args);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir("/")
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let bytes = input.to_string().into_bytes();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A plugin that fails early does not read everything; its answer has the reason.
            let _ = stdin.write_all(&bytes).await;
        }
    };
    let ((), stdout, stderr) = tokio::join!(write, read(stdout), read(stderr));
    let success = child.wait().await?.success();
    Ok(Output {
        success,
        stdout: stdout?,
        stderr: stderr?,
    })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else {
        return Ok(bytes);
    };
    let mut limited = stream.take(OUTPUT_LIMIT);
    limited.read_to_end(&mut bytes).await?;
    // What exceeds the limit is discarded, so that the plugin can end.
    tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// The specification's error document.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    code: u32,
    msg: String,
    details: String,
}

impl Output {
    fn read(&self, name: &str, verb: Verb) -> Result<Value, ExecError> {
        let failed = |code: u32, message: String| ExecError::Failed {
            name: name.to_owned(),
            verb: verb.name(),
            code,
            message,
        };
        if !self.success {
            return Err(match serde_json::from_slice::<Failure>(&self.stdout) {
                Ok(failure) if !failure.msg.is_empty() => failed(failure.code, join(failure)),
                _ => failed(0, self.plain_text()),
            });
        }
        if self.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.stdout).map_err(|source| ExecError::Answer {
            name: name.to_owned(),
            source,
        })
    }

    /// The end of what it printed.
    fn plain_text(&self) -> String {
        const MOST: usize = 500;
        let printed = if self.stderr.is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let text = String::from_utf8_lossy(
            printed
                .get(printed.len().saturating_sub(MOST)..)
                .unwrap_or_default(),
        );
        if text.trim().is_empty() {
            "it printed nothing".to_owned()
        } else {
            text.trim().to_owned()
        }
    }
}

fn join(said: Failure) -> String {
    if said.details.is_empty() {
        said.msg
    } else {
        format!("{}; {}", said.msg, said.details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(success: bool, stdout: &str, stderr: &str) -> Output {
        Output {
            success,
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn failures_are_read_as_specified_or_as_they_are() {
        let read = |o: Output| o.read("bridge", Verb::Add);
        let error = read(output(
            false,
            r#"{"cniVersion": "1.0.0", "code": 11, "msg": "busy", "details": "later"}"#,
            "",
        ))
        .unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "plugin \"bridge\" failed (ADD): busy; later"
        );
        let error = read(output(false, "", "panic: no\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin \"bridge\" failed (ADD): panic: no"
        );
        assert!(!error.is_retryable());
        let error = read(output(true, "hello", "")).unwrap_err();
        assert!(matches!(error, ExecError::Answer { .. }), "{error}");
        assert_eq!(read(output(true, "\n", "")).unwrap(), Value::Null);
    }
}
