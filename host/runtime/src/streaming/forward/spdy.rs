//! Port-forward over SPDY: two streams per connection, paired by their `requestid` (upstream
//! `portforward/httpstream.go`).

use std::collections::HashMap;

use hyper::upgrade::OnUpgrade;
use k3s_lifecycle::Tasks;
use k3s_spdy::Stream;

use super::{Forwarding, Target, Writer, forward};
use crate::streaming::client;
use crate::streaming::error::SessionError;

/// Streams whose counterpart is not there yet; more are reset.
const MAX_UNPAIRED: usize = 256;

pub(super) async fn run(
    upgraded: OnUpgrade,
    target: Target,
    tasks: &Tasks,
) -> Result<(), SessionError> {
    let mut acceptor = client::connect(upgraded, tasks).await?;
    let mut unpaired: HashMap<String, Stream> = HashMap::new();
    while let Some(stream) = acceptor.accept().await {
        let Some(forwarding) = paired(&mut unpaired, stream) else {
            continue;
        };
        let target = target.clone();
        let task = async move { forward(&target, forwarding).await };
        tasks.spawn_until_stopped("port forward", task);
    }
    Ok(())
}

/// The connection that `stream` completes, if it does. What cannot be part of one is dropped, and thereby
/// reset.
fn paired(unpaired: &mut HashMap<String, Stream>, stream: Stream) -> Option<Forwarding> {
    let port = port(&stream)?;
    let request = stream.headers().get("requestid")?.to_owned();
    let is_error = is_error(&stream)?;
    match unpaired.remove(&request) {
        Some(other) if self::is_error(&other) == Some(!is_error) => {
            let (data, error) = if is_error {
                (other, stream)
            } else {
                (stream, other)
            };
            let (incoming, outgoing) = data.split();
            let (_, error) = error.split();
            Some(Forwarding {
                port,
                incoming,
                outgoing: Writer::Spdy(outgoing),
                error: Writer::Spdy(error),
            })
        }
        _ => {
            if unpaired.len() < MAX_UNPAIRED {
                unpaired.insert(request, stream);
            }
            None
        }
    }
}

/// Whether the stream is the one for errors; none for a stream of no known type.
fn is_error(stream: &Stream) -> Option<bool> {
    match stream.headers().get("streamtype") {
        Some("error") => Some(true),
        Some("data") => Some(false),
        _ => None,
    }
}

fn port(stream: &Stream) -> Option<u16> {
    let port = stream.headers().get("port")?.parse().ok();
    port.filter(|port| *port > 0)
}
