//! The plugin's end: this executable, called by a foreign runtime.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use k3s_base::error::chain;
use serde_json::{Value, json};

use crate::forward::{Answer, Call};

/// Where the server listens unless the configuration's `socket` says otherwise.
const SOCKET: &str = "/run/k3s/cni.sock";
/// The supported versions of the specification.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
/// Longer than any call takes in the server.
const PATIENCE: Duration = Duration::from_secs(60);
/// The server is not there: "try again later".
const TRY_LATER: u32 = 11;
/// The input cannot be decoded.
const UNDECODABLE: u32 = 6;

/// Whether this process was started as a CNI plugin: without arguments, and with a command in its
/// environment.
#[must_use]
pub fn is_plugin_invocation() -> bool {
    std::env::args_os().len() == 1 && std::env::var_os("CNI_COMMAND").is_some()
}

/// Performs the call that the environment describes and prints its answer.
#[must_use]
pub fn plugin_main() -> ExitCode {
    let answer = run();
    if !answer.output.is_null() {
        let mut stdout = std::io::stdout().lock();
        // There is no other way to report a failure of this.
        let _ = writeln!(stdout, "{}", answer.output);
    }
    if answer.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run() -> Answer {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let command = variable("CNI_COMMAND");
    if command == "VERSION" {
        return Answer {
            failed: false,
            output: json!({"cniVersion": "1.1.0", "supportedVersions": VERSIONS}),
        };
    }
    let config = match read_config() {
        Ok(config) => config,
        Err(error) => {
            let message = format!("the configuration on standard input: {}", chain(&error));
            return failure(UNDECODABLE, message);
        }
    };
    let socket = config
        .get("socket")
        .and_then(Value::as_str)
        .unwrap_or(SOCKET)
        .to_owned();
    let call = Call {
        command,
        container: variable("CNI_CONTAINERID"),
        netns: variable("CNI_NETNS"),
        interface: variable("CNI_IFNAME"),
        args: variable("CNI_ARGS"),
        config,
    };
    ask(Path::new(&socket), &call).unwrap_or_else(|error| {
        let error = chain(&error);
        let message = format!("the k3s server does not answer at {socket}: {error}");
        failure(TRY_LATER, message)
    })
}

fn read_config() -> std::io::Result<Value> {
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input)?;
    Ok(serde_json::from_slice(&input)?)
}

fn failure(code: u32, message: String) -> Answer {
    Answer {
        failed: true,
        output: json!({"cniVersion": "1.0.0", "code": code, "msg": message}),
    }
}

/// One call over the socket. Blocks.
pub(crate) fn ask(socket: &Path, call: &Call) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(call)?)?;
    stream.shutdown(Shutdown::Write)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
