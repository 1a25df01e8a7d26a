//! One exec or attach session: octets between a client and a process in a shim.

use std::time::Duration;

use k3s_base::error::chain;

use super::channel::{self, STDERR, STDOUT};
use super::client::{self, Input, Options, Output, Received};
use super::error::SessionError;
use super::handshake::Connection;
use super::{Offer, Shared};
use crate::pod::{Frame, ShimStream};
use crate::shim::protocol::{Exec, ExecExit, Kind, Request};

/// How long a client has to read what was sent at the end.
const LINGER: Duration = Duration::from_secs(5);

pub(super) async fn run(
    connection: Connection,
    offer: Offer,
    shared: &Shared,
) -> Result<(), SessionError> {
    let (sandbox, request, options) = request_of(offer)?;
    let (mut output, mut input) = client::open(connection, &options, &shared.tasks).await?;
    let status = match shared.manager.shim(&sandbox).open(&request).await {
        Ok(shim) => pipe(shim, &mut output, &mut input, &options).await?,
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

fn request_of(offer: Offer) -> Result<(String, Request, Options), SessionError> {
    match offer {
        Offer::Exec { sandbox, request } => {
            let options = Options {
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
            Ok((sandbox, Request::Exec(exec), options))
        }
        Offer::Attach { sandbox, request } => {
            let options = Options {
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
                options,
            ))
        }
        Offer::PortForward(_) => Err(SessionError::Kind),
    }
}

/// Pipes until either side ends. Returns the status to send if the process ended.
async fn pipe(
    shim: ShimStream,
    output: &mut Output,
    input: &mut Input,
    options: &Options,
) -> Result<Option<serde_json::Value>, SessionError> {
    let ShimStream { mut reader, writer } = shim;
    let input = forward_input(input, writer, options.stdin);
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
                let exit: ExecExit =
                    serde_json::from_slice(&payload).map_err(SessionError::Exit)?;
                return Ok(Some(channel::exit_status(&options.command, exit.code)));
            }
            Some(frame) => forward_output(output, frame, options).await?,
        }
    }
}

async fn forward_output(
    output: &mut Output,
    (kind, payload): Frame,
    options: &Options,
) -> Result<(), SessionError> {
    match kind {
        Kind::Stdout if options.stdout => output.data(STDOUT, payload).await,
        Kind::Stderr if options.stderr => output.data(STDERR, payload).await,
        _ => Ok(()),
    }
}

/// Returns when the client left. A process that accepts no more input has ended: its output and exit code
/// are still to come, so the session goes on without it.
async fn forward_input(
    input: &mut Input,
    writer: crate::pod::FrameWriter,
    stdin: bool,
) -> Result<(), SessionError> {
    let mut writer = Some(writer);
    while let Some(received) = input.next().await? {
        let (kind, data) = match &received {
            Received::Data(data) if stdin => (Kind::Stdin, data.as_ref()),
            Received::Resize(size) => (Kind::Resize, size.as_ref()),
            Received::HalfClose if stdin => (Kind::StdinEof, [].as_slice()),
            _ => continue,
        };
        if let Some(open) = &mut writer
            && let Err(error) = open.send(kind, data).await
        {
            tracing::debug!(error = chain(&error), "the process accepts no more input");
            writer = None;
        }
    }
    Ok(())
}
