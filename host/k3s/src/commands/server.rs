//! `k3s server`: settings, log, runtime; then the composition in `server`.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};
use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_config::{ConfigError, ServerSettings, parse_server};
use k3s_observe::{LogOptions, init_logging};
use tracing::warn;

use super::{asks_for_help, refuse};
use crate::plugins::reload::Reread;
use crate::server::{self, End};

/// Threads of the scheduler of tasks. More would only cost memory on the small machines this is
/// for; blocking work has a pool of its own.
const MOST_WORKERS: usize = 4;
/// Threads for blocking work (files, SQLite, netlink).
const BLOCKING_THREADS: usize = 64;

pub(crate) fn run(words: &[String]) -> ExitCode {
    // `k3s server help` is what K3s takes as well.
    let help = ["--help".to_owned()];
    let words = if asks_for_help(words) {
        &help[..]
    } else {
        words
    };
    let clock = Clock::system();
    let settings = match settings(words) {
        Ok(settings) => settings,
        Err(ConfigError::Usage { text, is_error }) => {
            if is_error {
                eprint!("{text}")
            } else {
                print!("{text}")
            }
            return if is_error {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
        Err(error) => return refuse(&chain(&error)),
    };
    let again = words.to_vec();
    let reread: Reread = Box::new(move || self::settings(&again).map(|(settings, _)| settings));
    match serve(settings, clock, reread) {
        Ok(End::Signal(_)) => ExitCode::SUCCESS,
        Ok(End::AddressChanged) => start_over(),
        Err(error) => refuse(&format!("{error:#}")),
    }
}

/// Replaces this process by a new one of the same program and arguments. Returns only when that fails. Pods run
/// on, as they do when the server is started again.
fn start_over() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| "k3s".into());
    // Also the program that was replaced on disk meanwhile.
    let mut program = k3s_sys::process::command("/proc/self/exe");
    let error = program.arg0(name).args(args).exec();
    refuse(&format!("start over: {error}"))
}

fn settings(words: &[String]) -> Result<(ServerSettings, Vec<String>), ConfigError> {
    ServerSettings::resolve(&parse_server(words, &|name| std::env::var(name).ok())?)
}

fn serve(
    (settings, warnings): (ServerSettings, Vec<String>),
    clock: Clock,
    reread: Reread,
) -> Result<End> {
    init_logging(&LogOptions {
        filter: settings.log_filter.clone(),
        file: settings.log_file.clone(),
        also_stderr: settings.also_log_to_stderr,
    })
    .context("set up logging")?;
    for text in warnings {
        warn!("{text}");
    }
    if let Err(error) = k3s_sys::process::raise_max_open_files() {
        warn!(
            error = chain(&error),
            "the limit of open files stays as it is"
        );
    }
    if let Err(error) = k3s_sys::heap::give_back_in_background() {
        warn!(
            error = chain(&error),
            "memory that was freed is kept while the server rests"
        );
    }
    let workers =
        std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, MOST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("k3s")
        .enable_all()
        .build()
        .context("start the task runtime")?;
    let outcome = runtime.block_on(server::run(settings, clock, reread));
    // Whatever still blocks (a read of standard input, a stuck disk) must not keep the process.
    runtime.shutdown_background();
    outcome
}
