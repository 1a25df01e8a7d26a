//! `k3s-differential`: starts upstream's twin and this server in one corner of the machine, and itself in
//! there, where it sends the corpus to both.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use k3s_differential::options::Options;
use k3s_differential::run::{Servers, conclude, run};
use k3s_differential::target::Target;
use k3s_harness::{Cluster, ClusterOptions};

const OUR_KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
const TWIN_PORT: u16 = 6543;
/// Only the API: what else runs would change objects between two answers.
const FLAGS: &[&str] = &[
    "--disable-agent",
    "--disable-controller-manager",
    "--disable-scheduler",
    "--disable-cloud-controller",
    "--disable-kube-proxy",
    "--disable=coredns,servicelb,traefik,local-storage",
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == "inside" => inside(rest),
        _ => outside(&words),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("k3s-differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts both servers, and this program inside their corner.
fn outside(words: &[String]) -> Result<ExitCode> {
    Options::parse(words)?;
    let twin = std::env::var("K3S_DIFFERENTIAL_TWIN")
        .context("K3S_DIFFERENTIAL_TWIN names the twin; `cargo xtask differential` builds it")?;
    let cluster = Cluster::start_with(ClusterOptions {
        flags: FLAGS.iter().map(|flag| (*flag).to_owned()).collect(),
        without_node: true,
        ..ClusterOptions::default()
    })?;
    let corner = cluster.corner();
    let dir = corner.dir().join("twin");
    let line = format!("exec {twin} --dir {} --port {TWIN_PORT}", dir.display());
    let _twin = corner.background(&line, "twin.log")?;
    let status = corner
        .command(std::env::current_exe()?)
        .arg("inside")
        .arg(&dir)
        .args(words)
        .env("K3S_DIFFERENTIAL_DIR", own_dir())
        .stdin(Stdio::null())
        .status()?;
    if !status.success()
        && let Ok(log) = std::fs::read_to_string(corner.dir().join("twin.log"))
    {
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        eprintln!("the end of the twin's log:\n{}", last.join("\n"));
    }
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sends the corpus. The first word is the twin's folder.
fn inside(words: &[String]) -> Result<ExitCode> {
    let (twin, rest) = words.split_first().context("the twin's folder")?;
    let options = Options::parse(rest)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let servers = Servers {
            upstream: Target::new(&twin_kubeconfig(Path::new(twin)).await?)?,
            ours: Target::new(Path::new(OUR_KUBECONFIG))?,
        };
        run(&servers, &own_dir(), &options).await
    })?;
    let report = std::env::var_os("K3S_DIFFERENTIAL_REPORT").map(PathBuf::from);
    conclude(&outcome, report.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// The folder of corpus and rules: of the checkout that this runs for.
fn own_dir() -> PathBuf {
    std::env::var_os("K3S_DIFFERENTIAL_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// A kubeconfig for the twin, once it has written its credentials.
async fn twin_kubeconfig(dir: &Path) -> Result<PathBuf> {
    let (authority, token) = (dir.join("apiserver.crt"), dir.join("token"));
    let made = async {
        while !(authority.exists() && token.exists()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), made)
        .await
        .context("the twin has made no credentials")?;
    let path = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: twin\n\
         clusters: [{{name: twin, cluster: {{server: 'https://127.0.0.1:{TWIN_PORT}', certificate-authority: {}}}}}]\n\
         users: [{{name: admin, user: {{tokenFile: {}}}}}]\n\
         contexts: [{{name: twin, context: {{cluster: twin, user: admin}}}}]\n",
        authority.display(),
        token.display(),
    );
    std::fs::write(&path, text)?;
    Ok(path)
}
