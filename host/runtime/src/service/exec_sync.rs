//! `ExecSync`: runs a command to its end and returns its output.

use std::time::Duration;

use crate::error::{Error, Result, ShimFailure};
use crate::pod::ShimClient;
use crate::shim::protocol::{Exec, ExecExit, Kind, Request};

/// The most that is kept of either output; the rest is discarded (CVE-2022-1708).
const OUTPUT_LIMIT_BYTES: usize = 16 << 20;

/// The outcome of a command.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: i32,
}

/// Runs `args` in a container; killed after `timeout`, unless that is zero.
pub(crate) async fn run(
    shim: &ShimClient,
    id: String,
    args: Vec<String>,
    timeout: Duration,
) -> Result<Output> {
    let request = Request::Exec(Exec {
        id,
        args,
        stdout: true,
        stderr: true,
        ..Exec::default()
    });
    let mut stream = shim.open(&request).await?;
    let mut output = Output::default();
    let collect = async {
        while let Some((kind, payload)) = stream.reader.next().await? {
            match kind {
                Kind::Stdout => append(&mut output.stdout, &payload),
                Kind::Stderr => append(&mut output.stderr, &payload),
                Kind::Exit => {
                    let exit: ExecExit =
                        serde_json::from_slice(&payload).map_err(ShimFailure::Answer)?;
                    output.code = exit.code;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(ShimFailure::Closed.into())
    };
    if timeout.is_zero() {
        collect.await?;
        return Ok(output);
    }
    match tokio::time::timeout(timeout, collect).await {
        Ok(result) => result.map(|()| output),
        Err(_) => {
            stream.writer.send(Kind::Kill, &[]).await?;
            Err(Error::Timeout(format!("the command, after {timeout:?},")))
        }
    }
}

fn append(output: &mut Vec<u8>, data: &[u8]) {
    let room = OUTPUT_LIMIT_BYTES.saturating_sub(output.len());
    output.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
}
