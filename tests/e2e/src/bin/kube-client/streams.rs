//! Exec over WebSocket, and logs.

use anyhow::{Context, Result, ensure};
use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, AttachParams, AttachedProcess, LogParams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Commands in pod `shell`: output, input with its end, and the exit code.
pub(crate) async fn exec(client: Client) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client);
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = pods.exec("shell", ["cat"], &params).await?;
    let mut stdin = process.stdin().context("no stdin")?;
    stdin.write_all(b"over kube").await?;
    // Half-closing is what version 5 of the protocol added; without it `cat` would never end.
    stdin.shutdown().await?;
    drop(stdin);
    let (output, code) = finish(process).await?;
    ensure!(output == "over kube" && code == 0, "{output:?} {code}");

    let params = AttachParams::default().stderr(false);
    let command = ["sh", "-c", "echo failing; exit 7"];
    let (output, code) = finish(pods.exec("shell", command, &params).await?).await?;
    ensure!(output == "failing\n" && code == 7, "{output:?} {code}");
    let missing = pods.exec("nothing", command, &params).await;
    let missing = missing.err().context("a pod that does not exist")?;
    ensure!(
        matches!(&missing, kube::Error::Api(status) if status.code == 404),
        "{missing:?}"
    );
    Ok(())
}

/// What the process wrote, and its exit code.
async fn finish(mut process: AttachedProcess) -> Result<(String, i32)> {
    let status = process.take_status().context("no status")?;
    let mut output = String::new();
    let mut stdout = process.stdout().context("no stdout")?;
    stdout.read_to_string(&mut output).await?;
    let status = status.await.context("the connection ended first")?;
    let details = status.details.as_ref();
    let causes = details.and_then(|details| details.causes.as_deref());
    let mut causes = causes.unwrap_or_default().iter();
    let code = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = match code {
        Some(cause) => cause.message.as_deref().unwrap_or_default().parse()?,
        None => i32::from(status.status.as_deref() != Some("Success")),
    };
    Ok((output, code))
}

/// A log read whole, and one line of it as a stream.
pub(crate) async fn logs(client: Client) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client);
    let whole = pods.logs("talker", &LogParams::default()).await?;
    ensure!(whole.starts_with("line 1\n"), "{whole:?}");
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut lines = pods.log_stream("talker", &follow).await?.lines();
    let first = lines.try_next().await?;
    ensure!(first.as_deref() == Some("line 1"), "{first:?}");
    Ok(())
}

/// An HTTP request to pod `web` through the API server, and the line it leaves in the pod's log.
pub(crate) async fn port_forward(client: Client) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client);
    let mut forwarder = pods.portforward("web", &[80]).await?;
    let mut stream = forwarder.take_stream(80).context("no stream")?;
    let request = b"GET /forwarded HTTP/1.0\r\nHost: web\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(
        answer.contains(" 200 ") && answer.contains("one web"),
        "{answer:?}"
    );
    drop(stream);
    forwarder.abort();
    Ok(())
}
