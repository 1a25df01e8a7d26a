//! The nearest peer that can be had: Debian's etcd, alone, beside the whole of our API server.
//!
//! etcd here answers bare key-value puts over plain HTTP (its JSON gateway): no TLS, no authentication,
//! no defaulting, validation or watch cache, all of which our figure includes.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k3s_harness::{Corner, until};
use tokio::net::TcpStream;

use crate::load::RUN;

const ADDRESS: &str = "127.0.0.1:2379";

/// An etcd in the corner; stopped when dropped.
pub(crate) struct Etcd(Child);

impl Etcd {
    pub(crate) fn start(corner: &Corner) -> Result<Self> {
        let mut command = corner.command("/usr/bin/etcd");
        command.args(["--data-dir", "/var/lib/bench-etcd", "--log-level", "error"]);
        let child = Self(
            command
                .spawn()
                .context("start etcd (Debian's package etcd-server)")?,
        );
        until("etcd answers", Duration::from_secs(20), || {
            corner
                .sh("wget -q -O - http://127.0.0.1:2379/health")?
                .ok()?;
            Ok(())
        })?;
        Ok(child)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Inside: durable puts per second by `clients` connections.
pub(crate) async fn puts(clients: usize) -> Result<u64> {
    let end = Instant::now() + RUN;
    let value = STANDARD.encode("x".repeat(1024));
    let mut tasks = Vec::new();
    for n in 0..clients {
        let value = value.clone();
        tasks.push(tokio::spawn(async move {
            let (mut sender, connection) =
                handshake(TokioIo::new(TcpStream::connect(ADDRESS).await?)).await?;
            let driver = tokio::spawn(connection);
            let mut done = 0_u64;
            while Instant::now() < end {
                put(&mut sender, &format!("bench-{clients}-{n}-{done}"), &value).await?;
                done += 1;
            }
            driver.abort();
            anyhow::Ok(done)
        }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await??;
    }
    Ok(sum / RUN.as_secs())
}

async fn put(sender: &mut SendRequest<Full<Bytes>>, key: &str, value: &str) -> Result<()> {
    let body = format!(r#"{{"key":"{}","value":"{value}"}}"#, STANDARD.encode(key));
    sender.ready().await?;
    let request = Request::post("/v3/kv/put")
        .header("host", ADDRESS)
        .body(Full::from(body))?;
    let answer = sender.send_request(request).await?;
    ensure!(
        answer.status().is_success(),
        "etcd answered {}",
        answer.status()
    );
    answer.into_body().collect().await?;
    Ok(())
}
