//! Forks one shim per request.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use k3s_sys::process::{self, Fork};

use super::protocol::{ARGV0, RemoteError, ShimStarted, StartShim, decode_frame, message};
use super::{server, setup};

/// Serves requests until the server closes its end. In a child it becomes the shim and returns when
/// that ends.
pub(super) fn run(mut socket: UnixStream) -> io::Result<()> {
    process::set_name(ARGV0)?;
    std::env::set_current_dir("/")?;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let count = match socket.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        while let Some((_, payload)) = decode_frame(&mut buffer).map_err(io::Error::other)? {
            let request: StartShim = serde_json::from_slice(&payload).map_err(io::Error::other)?;
            if fork_detached()? {
                return become_shim(socket, &request);
            }
        }
    }
}

/// True in the new process. It is forked twice, so that init becomes its parent: the end of the zygote
/// does not affect it, and init collects it.
fn fork_detached() -> io::Result<bool> {
    match process::fork()? {
        Fork::Parent(middle) => process::wait(middle).map(|()| false),
        Fork::Child => match process::fork() {
            Ok(Fork::Child) => Ok(true),
            Ok(Fork::Parent(_)) => leave(0),
            Err(_) => leave(1),
        },
    }
}

/// Ends the middle process, which has nothing to flush.
#[allow(
    clippy::exit,
    reason = "a forked process must not return into its parent's code"
)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

fn become_shim(mut socket: UnixStream, request: &StartShim) -> io::Result<()> {
    let started = setup::prepare(request);
    let result = match &started {
        Ok(shim) => Ok(shim.pids),
        Err(error) => Err(RemoteError::new(error)),
    };
    // One write of less than a socket buffer: answers of several children do not mix.
    socket.write_all(&message(&ShimStarted {
        sandbox: request.sandbox.clone(),
        result,
    }))?;
    drop(socket);
    started.map_err(io::Error::other).and_then(server::run)
}
