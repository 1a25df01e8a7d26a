//! gRPC probes: one `grpc.health.v1.Health/Check` call (`pkg/probe/grpc/grpc.go`). The two messages
//! have one field each, so they are written by hand.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Outcome, dial};

/// `HealthCheckResponse.SERVING`.
const SERVING: u8 = 1;

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
        Ok(Err(error)) => Outcome::Failure(error),
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
        3 => "SERVICE_UNKNOWN",
        _ => "INVALID",
    }
}

/// Length-prefixed `HealthCheckRequest { service = 1 }`.
fn request(service: &str) -> Result<Bytes, String> {
    let length = u8::try_from(service.len())
        .ok()
        .filter(|l| *l < 128)
        .ok_or("the service name is too long")?;
    let mut message = Vec::new();
    if length > 0 {
        message.extend([0x0a, length]);
        message.extend(service.as_bytes());
    }
    let mut frame = vec![
        0,
        0,
        0,
        0,
        u8::try_from(message.len()).map_err(|e| e.to_string())?,
    ];
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

async fn call(ip: &str, port: u16, service: &str, timeout: Duration) -> Result<u8, String> {
    let refused = |e: String| {
        format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {e}"
        )
    };
    let stream = dial(ip, port, timeout)
        .await
        .map_err(|e| format!("error: failed to connect service at \"{ip}:{port}\": {e}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|e| refused(e.to_string()))?;
    let request = http::Request::post(format!("http://{ip}:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.36")
        .body(Full::new(request(service)?))
        .map_err(|e| e.to_string())?;
    let talk = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|e| refused(e.to_string()))?;
        let early = response.headers().get("grpc-status").cloned();
        let collected = response
            .into_body()
            .collect()
            .await
            .map_err(|e| e.to_string())?;
        let late = collected
            .trailers()
            .and_then(|t| t.get("grpc-status"))
            .cloned();
        match late.or(early).as_ref().and_then(|v| v.to_str().ok()) {
            Some("0") => Ok(status(&collected.to_bytes())),
            Some("5") => Ok(3),
            other => Err(refused(format!(
                "grpc status {}",
                other.unwrap_or("missing")
            ))),
        }
    };
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = connection => match ended {
            Ok(()) => talk.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(
            request("ab").unwrap().as_ref(),
            [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']
        );
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), SERVING);
        assert_eq!(status(&[0, 0, 0, 0, 0]), 0);
    }
}
