//! One exec or attach: octets between a client and a process in a shim.

use k3s_base::error::chain;
use std::time::Duration;

use super::channel::{self, STDERR, STDOUT};
use super::client::{self, Failure, Input, Output, Said, Wants};
use super::handshake::Connection;
use super::{Offer, Shared};
use crate::pod::{Frame, ShimStream};
use crate::shim::protocol::{Exec, ExecExit, Kind, Request};

/// How long a client has to take note of the end.
const LINGER: Duration = Duration::from_secs(5);

pub(super) async fn run(
    connection: Connection,
    offer: Offer,
    shared: &Shared,
) -> Result<(), Failure> {
    let (sandbox, request, wants) = request_of(offer)?;
    let (mut output, mut input) = client::open(connection, &wants, &shared.tasks).await?;
    let status = match shared.manager.shim(&sandbox).open(&request).await {
        Ok(shim) => pipe(shim, &mut output, &mut input, &wants).await?,
        Err(error) => Some(channel::failure_status(&chain(&error))),
    };
    output.end(status).await?;
    // Closing a socket with input unread resets it, and the peer may lose what it has not read yet.
    let _late = tokio::time::timeout(LINGER, async {
        while let Ok(Some(_)) = input.next().await {}
    })
    .await;
    Ok(())
}

fn request_of(offer: Offer) -> Result<(String, Request, Wants), Failure> {
    match offer {
        Offer::Exec { sandbox, request } => {
            let wants = Wants {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                tty: request.tty,
                command: request.cmd.clone(),
            };
            let exec = Exec {
                id: request.container_id,
                args: request.cmd,
                tty: request.tty,
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
            };
            Ok((sandbox, Request::Exec(exec), wants))
        }
        Offer::Attach { sandbox, request } => {
            let wants = Wants {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                tty: request.tty,
                command: Vec::new(),
            };
            Ok((
                sandbox,
                Request::Attach {
                    id: request.container_id,
                    stdin: request.stdin,
                },
                wants,
            ))
        }
        Offer::PortForward { .. } => Err("an exec connection came to a port-forward URL".into()),
    }
}

/// Until either side ends; the status to send when the process did.
async fn pipe(
    shim: ShimStream,
    output: &mut Output,
    input: &mut Input,
    wants: &Wants,
) -> Result<Option<serde_json::Value>, Failure> {
    let ShimStream { mut reader, writer } = shim;
    let input = forward_input(input, writer, wants.stdin);
    tokio::pin!(input);
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame?,
            // The client is gone; dropping the connection hangs a terminal up.
            left = &mut input => return left.map(|()| None),
        };
        match frame {
            None => return Ok(Some(channel::failure_status("the container's shim ended"))),
            Some((Kind::Exit, payload)) => {
                let exit: ExecExit = serde_json::from_slice(&payload)?;
                return Ok(Some(channel::exit_status(&wants.command, exit.code)));
            }
            Some(frame) => forward_output(output, frame, wants).await?,
        }
    }
}

async fn forward_output(
    output: &mut Output,
    (kind, payload): Frame,
    wants: &Wants,
) -> Result<(), Failure> {
    match kind {
        Kind::Stdout if wants.stdout => output.data(STDOUT, payload).await,
        Kind::Stderr if wants.stderr => output.data(STDERR, payload).await,
        _ => Ok(()),
    }
}

/// Returns when the client left. A process that takes no more input has ended: its output and exit code
/// are still to come, so the session goes on without it.
async fn forward_input(
    input: &mut Input,
    writer: crate::pod::FrameWriter,
    stdin: bool,
) -> Result<(), Failure> {
    let mut writer = Some(writer);
    while let Some(said) = input.next().await? {
        let (kind, data) = match &said {
            Said::Data(data) if stdin => (Kind::Stdin, data.as_ref()),
            Said::Resize(size) => (Kind::Resize, size.as_ref()),
            Said::HalfClose if stdin => (Kind::StdinEof, [].as_slice()),
            _ => continue,
        };
        if let Some(open) = &mut writer
            && let Err(error) = open.send(kind, data).await
        {
            tracing::debug!(error = chain(&error), "the process takes no more input");
            writer = None;
        }
    }
    Ok(())
}
