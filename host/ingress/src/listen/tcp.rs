//! Routes of whole connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

use super::port::Port;
use crate::config::EntryPoint;
use crate::model::TcpTls;
use crate::table::rule::Facts;
use crate::table::{ServedTcp, Table};
use crate::upstream::balance::Balancer;

/// Endpoints tried for one connection.
const MAX_ENDPOINTS: usize = 3;
/// Bytes held per direction.
const BUFFER_BYTES: usize = 16 << 10;

/// The route of a connection, among those of these kinds. A route that takes any name leaves names to
/// HTTP that HTTP has routes for.
pub(crate) fn find(
    table: &Table,
    entry_point: &EntryPoint,
    client: SocketAddr,
    server_name: &str,
    kinds: &[TcpTls],
) -> Option<Arc<ServedTcp>> {
    let entry = table.of(entry_point.name)?;
    if entry.tcp.len() == 0 {
        return None;
    }
    let headers = HeaderMap::new();
    let facts = Facts {
        host: "",
        path: "",
        query: "",
        method: &Method::CONNECT,
        headers: &headers,
        client: client.ip(),
        sni: server_name,
    };
    let route = entry
        .tcp
        .find_where(&facts, |route| kinds.contains(&route.tls))?;
    let any_name = route.rule.server_names().is_none();
    (!(any_name && entry.http.names_host(server_name))).then(|| route.clone())
}

/// Joins a client with a server of the target until one of them ends.
pub(crate) async fn pipe<S>(port: &Port, target: &Balancer, mut client: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut server = dial(target).await?;
    let stopping = port.connections.stopping();
    tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES) => copied.map(drop),
        () = stopping.cancelled() => Ok(()),
    }
}

async fn dial(target: &Balancer) -> io::Result<TcpStream> {
    let none = || io::Error::new(io::ErrorKind::NotConnected, "no available server");
    let choice = target.choose(None).ok_or_else(none)?;
    let mut last = none();
    for endpoint in choice.pool.candidates(MAX_ENDPOINTS, None) {
        match choice.client.connect(&endpoint).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = io::Error::other(error),
        }
    }
    Err(last)
}
