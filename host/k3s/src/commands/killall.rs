//! `k3s killall`: stops the server and removes everything that outlives it by design (K3s'
//! `k3s-killall.sh`): pods, their mounts, cgroups, namespaces, links and rules. State on disk stays.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k3s_config::data_dir_from;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{asks_for_help, refuse, show};
use crate::node::Paths;
use crate::server::ServerLock;

const USAGE: &str = "usage: k3s killall [--data-dir DIR]";
/// A server needs at most 10 s after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(15);

pub(crate) fn run(words: &[String]) -> ExitCode {
    if asks_for_help(words) {
        return show(USAGE);
    }
    let data_dir = match words {
        [] => data_dir_from(|name| std::env::var(name).ok()),
        [flag, dir] if flag == "--data-dir" || flag == "-d" => dir.into(),
        _ => return refuse(USAGE),
    };
    match everything(&data_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("killall: {error:#}")),
    }
}

fn everything(data_dir: &Path) -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("must run as root");
    }
    stop_server(&data_dir.join("server"))?;
    let paths = Paths::of(data_dir);
    // Every step is tried, whatever the others did; the first failure is reported.
    let steps: [(&str, Result<()>); 4] = [
        (
            "end pods",
            k3s_runtime::kill_everything(&paths.runtime_state, &paths.runtime_root)
                .map_err(Into::into),
        ),
        (
            "unmount volumes",
            k3s_sys::mount::detach_below(&paths.kubelet).map_err(Into::into),
        ),
        ("remove the pod network", network()),
        ("remove cgroups", cgroups()),
    ];
    for (step, result) in steps {
        result.with_context(|| step.to_owned())?;
    }
    Ok(())
}

fn stop_server(server_dir: &Path) -> Result<()> {
    let Some(process) = ServerLock::holder(server_dir) else {
        return Ok(());
    };
    println!("stopping the server (process {process})");
    let process = Pid::from_raw(process);
    kill(process, Signal::SIGTERM).context("signal the server")?;
    let end = Instant::now() + STOP_WITHIN;
    while ServerLock::holder(server_dir).is_some() {
        if Instant::now() > end {
            kill(process, Signal::SIGKILL).context("signal the server")?;
            bail!(
                "the server did not stop within {STOP_WITHIN:?} and was killed; run killall again"
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn network() -> Result<()> {
    let nft = k3s_sys::nft::Nftables::open()?;
    k3s_netproxy::cleanup(&nft)?;
    k3s_podnetwork::cleanup(&k3s_sys::net::Net::current()?, &nft)?;
    k3s_cni::uninstall(&k3s_cni::InstallPaths::default())?;
    Ok(())
}

fn cgroups() -> Result<()> {
    let cgroups = k3s_sys::cgroup::Cgroups::detect()?;
    for group in ["/kubepods", "/k3s-shims", "/k8s.io"] {
        let group = cgroups.group(group);
        group.kill()?;
        group.remove()?;
    }
    Ok(())
}
