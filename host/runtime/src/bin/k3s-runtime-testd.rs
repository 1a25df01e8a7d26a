//! The runtime alone, with pods that have only loopback: what this crate's tests start, kill and
//! start again. Arguments: the folder to work in, and the control group for everything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_lifecycle::Tasks;
use k3s_runtime::{NoNetwork, Runtime, RuntimeConfig, child_main, is_child_invocation};

fn main() -> ExitCode {
    if is_child_invocation() {
        return child_main();
    }
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(dir), Some(cgroup)) = (args.next(), args.next()) else {
        return ExitCode::from(2);
    };
    let Ok(tokio) = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    else {
        return ExitCode::FAILURE;
    };
    tokio.block_on(serve(dir, &cgroup.to_string_lossy()))
}

async fn serve(dir: PathBuf, cgroup: &str) -> ExitCode {
    let tasks = Tasks::root("testd");
    let config = RuntimeConfig {
        root: dir.join("root"),
        state: dir.join("state"),
        socket: dir.join("cri.sock"),
        images_dir: dir.join("images"),
        registries: dir.join("registries.yaml"),
        default_registry_endpoint: true,
        netns_dir: dir.join("netns"),
        streaming: SocketAddr::from(([127, 0, 0, 1], 0)),
        shim_cgroup: format!("{cgroup}/shims"),
        default_cgroup_parent: format!("{cgroup}/pods"),
        shim_executable: "/proc/self/exe".into(),
        network: Arc::new(NoNetwork),
        clock: Clock::system(),
        random: Random::from_os(),
        tasks: tasks.clone(),
    };
    match Runtime::start(config).await {
        Ok(_runtime) => {
            let _ = tokio::signal::ctrl_c().await;
            tasks.stop(Duration::from_secs(5)).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}
