//! `kubectl exec`: kube's session over WebSocket (`v5.channel.k8s.io`, KEP-4006), tied to this
//! terminal.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use super::pods;
use super::terminal::{RawMode, size};
use crate::cli::Exec;
use crate::error::Failure;
use crate::session::Session;

/// What kube buffers of one stream before it waits for this terminal.
const BUFFER_BYTES: usize = 32 << 10;

pub(crate) async fn run(session: &Session, args: &Exec) -> Result<(), Failure> {
    let pod = pods::find(session, &args.pod).await?;
    let container = pods::container(&pod, args.container.as_deref())?;
    let mut tty = args.tty;
    if tty && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        tty = false;
    }
    let params = AttachParams::default()
        .container(container)
        .stdin(args.stdin)
        .stderr(!tty)
        .tty(tty)
        .max_stdout_buf_size(BUFFER_BYTES)
        .max_stderr_buf_size(BUFFER_BYTES);
    let api: Api<Pod> = Api::namespaced(session.client.kube().clone(), pod.namespace());
    let process = api.exec(pod.name(), &args.command, &params).await;
    let process = process.map_err(Failure::kube)?;
    let raw = if tty { RawMode::enter() } else { None };
    let outcome = attend(process).await;
    drop(raw);
    outcome
}

/// Connects the process with this terminal until it ends.
async fn attend(mut process: AttachedProcess) -> Result<(), Failure> {
    let status = process.take_status();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let output = async {
        let out = copy(stdout, tokio::io::stdout());
        let err = copy(stderr, tokio::io::stderr());
        tokio::try_join!(out, err)
    };
    // The command's end ends the session, whatever the input does; input that ends does not.
    tokio::select! {
        copied = output => copied.map(drop)?,
        failed = feed(&mut process) => return failed,
    }
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    match status {
        Some(status) => ended(&status),
        None => Err(Failure::local(
            "the connection ended before the command did",
        )),
    }
}

/// Copies a stream of the process as it comes; at once done where it has none.
async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default())
            .await?;
        // A prompt has no newline that would make it appear.
        to.flush().await?;
    }
}

/// Passes on input and window sizes; ends only with an error.
async fn feed(process: &mut AttachedProcess) -> Result<(), Failure> {
    let mut sizes = process.terminal_size();
    let mut remote = process.stdin();
    let mut resized = signal(SignalKind::window_change())?;
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0_u8; 8 << 10];
    if let Some(sizes) = &mut sizes {
        // The receiver is gone only when the session has ended, which the output shows.
        let _ = sizes.try_send(window());
    }
    loop {
        tokio::select! {
            read = input.read(&mut buffer), if remote.is_some() => {
                let data = buffer.get(..read?).unwrap_or_default();
                pass_on(&mut remote, data).await?;
            }
            _ = resized.recv(), if sizes.is_some() => {
                if let Some(sizes) = &mut sizes {
                    let _ = sizes.try_send(window());
                }
            }
            else => std::future::pending().await,
        }
    }
}

/// Writes input; its end closes the process's standard input.
async fn pass_on(remote: &mut Option<impl AsyncWrite + Unpin>, data: &[u8]) -> Result<(), Failure> {
    let Some(open) = remote else { return Ok(()) };
    if data.is_empty() {
        open.shutdown().await?;
        *remote = None;
    } else {
        open.write_all(data).await?;
    }
    Ok(())
}

/// What the status at the end of a process says.
fn ended(status: &Status) -> Result<(), Failure> {
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let details = status.details.as_ref();
    let causes = details.and_then(|details| details.causes.as_deref());
    let mut causes = causes.unwrap_or_default().iter();
    let code = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_ref()?.parse::<u8>().ok());
    let message = || Failure::local(status.message.clone().unwrap_or_default());
    Err(code.map_or_else(message, Failure::Exit))
}

fn window() -> TerminalSize {
    let (width, height) = size().unwrap_or((80, 24));
    TerminalSize { height, width }
}
