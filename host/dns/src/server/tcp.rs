//! Questions by connection: those whose answer does not fit a datagram. Only who may ask gets a connection, and no
//! client all of them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use k3s_serve::{Listener, Places};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Server;
use crate::upstream::Transport;

/// How long a connection may be silent (RFC 7766 asks for a few seconds).
const IDLE: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts without end.
pub(crate) async fn serve_tcp(server: Arc<Server>, listener: TcpListener, tasks: Tasks) {
    let places = Places::new(Listener::Dns.own_capacity());
    let may_ask = |from: IpAddr| server.access.allows(from, &server.zone.read());
    loop {
        match places.accept(&listener, may_ask).await {
            Ok((stream, from, place)) => {
                let server = server.clone();
                tasks.spawn_until_stopped("dns connection", async move {
                    let _place = place;
                    if let Err(error) = serve(&server, stream, from.ip()).await {
                        tracing::debug!(error = chain(&error), %from, "connection");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(server: &Server, mut stream: TcpStream, from: IpAddr) -> io::Result<()> {
    loop {
        let Some(question) = read(&mut stream).await? else {
            return Ok(());
        };
        let response = match server.begin(&question, from, Transport::Tcp) {
            Ok(response) => response,
            Err(pending) => server.finish(*pending, Transport::Tcp).await,
        };
        let Some(response) = response else {
            return Ok(());
        };
        let length = u16::try_from(response.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&response);
        tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// The next question; None at the end, or after too long a silence.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let read = async {
        let mut question = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut question).await?;
        Ok(question)
    };
    match tokio::time::timeout(IDLE, read).await {
        Err(_) => Ok(None),
        Ok(Err(error)) if io::Error::kind(&error) == io::ErrorKind::UnexpectedEof => Ok(None),
        Ok(result) => result.map(Some),
    }
}
