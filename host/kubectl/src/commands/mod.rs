//! One file per sub-command.

mod api_resources;
mod apply;
mod create;
mod delete;
mod exec;
mod get;
mod logs;
mod pods;
mod target;
mod terminal;
mod version;
mod write;

use crate::Failure;
use crate::cli::{Cli, Command};
use crate::session::Session;

/// Runs one parsed command.
pub(crate) async fn run(cli: Cli, client_version: &str) -> Result<(), Failure> {
    let session = || Session::open(&cli.globals);
    match &cli.command {
        Command::Get(args) => get::run(&session()?, args).await,
        Command::Apply(args) => apply::run(&session()?, args).await,
        Command::Create(args) => create::run(&session()?, args).await,
        Command::Delete(args) => delete::run(&session()?, args).await,
        Command::Logs(args) => logs::run(&session()?, args).await,
        Command::Exec(args) => exec::run(&session()?, args).await,
        Command::ApiResources(args) => api_resources::run(&session()?, args).await,
        Command::Version(args) => version::run(&cli.globals, args, client_version).await,
    }
}
