//! One file per sub-command.

mod api_resources;
mod apply;
pub(crate) mod auth;
mod create;
mod delete;
mod exec;
pub(crate) mod explain;
pub(crate) mod generate;
mod get;
pub(crate) mod label;
mod logs;
mod named;
pub(crate) mod patch;
mod pods;
pub(crate) mod rollout;
pub(crate) mod scale;
pub(crate) mod set;
mod target;
mod terminal;
mod version;
pub(crate) mod wait;
mod write;

use crate::cli::{Cli, Command};
use crate::error::Failure;
use crate::session::Session;
use label::Metadata;

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
        Command::Rollout(args) => rollout::run(&session()?, args).await,
        Command::Scale(args) => scale::run(&session()?, args).await,
        Command::Set(args) => set::run(&session()?, args).await,
        Command::Patch(args) => patch::run(&session()?, args).await,
        Command::Label(args) => label::run(&session()?, args, Metadata::Labels).await,
        Command::Annotate(args) => label::run(&session()?, args, Metadata::Annotations).await,
        Command::Wait(args) => wait::run(&session()?, args).await,
        Command::Run(args) => generate::run(&session()?, args).await,
        Command::Expose(args) => generate::expose(&session()?, args).await,
        Command::Explain(args) => explain::run(&session()?, args).await,
        Command::Auth(args) => auth::run(&session()?, args).await,
        Command::ApiResources(args) => api_resources::run(&session()?, args).await,
        Command::Version(args) => version::run(&cli.globals, args, client_version).await,
    }
}
