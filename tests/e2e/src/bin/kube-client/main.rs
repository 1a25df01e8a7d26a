//! A client that nobody here wrote, kube with its runtime, run inside a test cluster's corner:
//! `kube-client CHECK`. It speaks to the server as any operator in Rust does: kube's own HTTPS
//! stack, typed and dynamic APIs, watchers, reflectors and a controller.
//!
//! Ends with 0 when the check held, and with 1 and what did not on standard error.

mod access;
mod runtime;
mod streams;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
/// Long enough for a loaded two-core machine, short enough to see a hang.
const SOON: Duration = Duration::from_secs(60);

#[tokio::main]
#[allow(
    clippy::print_stderr,
    reason = "the test that runs this shows its standard error"
)]
async fn main() -> ExitCode {
    let check = std::env::args().nth(1).unwrap_or_default();
    match tokio::time::timeout(SOON * 2, run(&check)).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{check}: {error:?}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("{check} did not end");
            ExitCode::FAILURE
        }
    }
}

async fn run(check: &str) -> Result<()> {
    let client = client().await?;
    match check {
        "typed" => access::typed(client).await,
        "dynamic" => access::dynamic(client).await,
        "watcher" => runtime::watcher(client).await,
        "reflector" => runtime::reflector(client).await,
        "controller" => runtime::controller(client).await,
        "exec" => streams::exec(client).await,
        "logs" => streams::logs(client).await,
        "port-forward" => streams::port_forward(client).await,
        other => bail!("unknown check {other:?}"),
    }
}

async fn client() -> Result<Client> {
    let file = Kubeconfig::read_from(KUBECONFIG)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Waits until `holds` gives a value.
async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let found = async {
        loop {
            if let Some(value) = holds().await? {
                return anyhow::Ok(value);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let within = tokio::time::timeout(SOON, found).await;
    within.with_context(|| format!("never came true: {what}"))?
}
