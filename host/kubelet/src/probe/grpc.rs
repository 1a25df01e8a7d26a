//! gRPC probes: one `grpc.health.v1.Health/Check` call (`pkg/probe/grpc/grpc.go`). The two messages
//! have one field each, so they are written by hand.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k3s_base::error::chain;

use super::dial::{DialError, dial};
use super::outcome::Outcome;

/// `HealthCheckResponse.SERVING`.
const SERVING: u8 = 1;
/// `HealthCheckResponse.SERVICE_UNKNOWN`, which servers say with the status `NOT_FOUND`.
const SERVICE_UNKNOWN: u8 = 3;

/// Why there is no health status.
#[derive(Debug, thiserror::Error)]
enum GrpcError {
    #[error("error: failed to connect service at \"{address}\"")]
    Connect {
        address: String,
        #[source]
        source: DialError,
    },
    #[error(
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
    )]
    NoHealthService(#[source] hyper::Error),
    #[error(
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): grpc status {0}"
    )]
    Status(String),
    #[error("the service name is too long")]
    ServiceName,
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Asks the server at `ip:port` for the health of `service`.
pub(crate) async fn check(ip: &str, port: i32, service: &str, timeout: Duration) -> Outcome {
    let Ok(port) = u16::try_from(port) else {
        return Outcome::Error(format!("invalid port: {port}"));
    };
    match tokio::time::timeout(timeout, call(ip, port, service, timeout)).await {
        Ok(Ok(SERVING)) => Outcome::Success,
        Ok(Ok(status)) => Outcome::Failure(format!(
            "service unhealthy (responded with \"{}\")",
            name(status)
        )),
        Ok(Err(error)) => Outcome::Failure(chain(&error)),
        Err(_) => Outcome::Failure(format!(
            "timeout: health rpc did not complete within {}s",
            timeout.as_secs()
        )),
    }
}

fn name(status: u8) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        SERVICE_UNKNOWN => "SERVICE_UNKNOWN",
        _ => "INVALID",
    }
}

/// Length-prefixed `HealthCheckRequest { service = 1 }`.
fn message(service: &str) -> Result<Bytes, GrpcError> {
    let length = u8::try_from(service.len());
    // A longer field would need a length of two bytes.
    let length = length.ok().filter(|length| *length < 128);
    let Some(length) = length else {
        return Err(GrpcError::ServiceName);
    };
    let mut message = Vec::new();
    let mut total = 0;
    if length > 0 {
        message.extend([0x0a, length]);
        message.extend(service.as_bytes());
        total = length + 2;
    }
    let mut frame = vec![0, 0, 0, 0, total];
    frame.extend(message);
    Ok(frame.into())
}

/// The enum of `HealthCheckResponse { status = 1 }`; a missing field is 0.
fn status(body: &[u8]) -> u8 {
    match body.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

async fn call(ip: &str, port: u16, service: &str, timeout: Duration) -> Result<u8, GrpcError> {
    let stream = dial(ip, port, timeout).await;
    let stream = stream.map_err(|source| GrpcError::Connect {
        address: format!("{ip}:{port}"),
        source,
    })?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(GrpcError::NoHealthService)?;
    let request = http::Request::post(format!("http://{ip}:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.36")
        .body(Full::new(message(service)?))?;
    let talk = async {
        let response = sender.send_request(request).await;
        read_status(response.map_err(GrpcError::NoHealthService)?).await
    };
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = connection => {
            ended?;
            talk.await
        }
    }
}

/// The health status in the answer. `grpc-status` stands in the trailers, or in the headers of an
/// answer without a body.
async fn read_status(response: http::Response<Incoming>) -> Result<u8, GrpcError> {
    let early = response.headers().get("grpc-status").cloned();
    let collected = response.into_body().collect().await?;
    let trailers = collected.trailers();
    let late = trailers.and_then(|trailers| trailers.get("grpc-status"));
    let code = late.cloned().or(early);
    let code = code.as_ref().and_then(|code| code.to_str().ok());
    match code {
        Some("0") => {
            let message = collected.to_bytes();
            Ok(status(&message))
        }
        Some("5") => Ok(SERVICE_UNKNOWN),
        other => {
            let code = other.unwrap_or("missing");
            Err(GrpcError::Status(code.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(
            message("ab").unwrap().as_ref(),
            [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']
        );
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), SERVING);
        assert_eq!(status(&[0, 0, 0, 0, 0]), 0);
    }
}
