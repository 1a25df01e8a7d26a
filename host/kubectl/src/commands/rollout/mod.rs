//! `kubectl rollout`: following, undoing and repeating the rollout of a workload.

mod history;
mod status;
mod undo;

use clap::{Args, Subcommand};
use k3s_base::Clock;
use k3s_meta::tree;
use serde_json::json;

use super::named::{self, MERGE, Named, Selection};
use crate::error::Failure;
use crate::session::Session;

/// Manage the rollout of one or many resources
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Show the status of the rollout
    Status(Status),
    /// View rollout history
    History(What),
    /// Undo a previous rollout
    Undo(Undo),
    /// Restart a resource
    Restart(What),
    /// Mark a deployment as paused
    Pause(What),
    /// Resume a paused deployment
    Resume(What),
}

#[derive(Debug, Args)]
pub(crate) struct What {
    /// TYPE NAME or TYPE/NAME
    #[arg(required = true)]
    what: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    what: What,
    /// Follow until the rollout is done
    #[arg(short = 'w', long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    watch: String,
    /// How long to follow, such as 30s; 0 means without limit
    #[arg(long, default_value = "0")]
    timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    #[command(flatten)]
    what: What,
    /// The revision to go back to; 0 is the one before
    #[arg(long, default_value_t = 0)]
    to_revision: i64,
}

pub(crate) async fn run(session: &Session, rollout: &Rollout) -> Result<(), Failure> {
    let what = match rollout {
        Rollout::Status(args) => &args.what,
        Rollout::Undo(args) => &args.what,
        Rollout::History(what)
        | Rollout::Restart(what)
        | Rollout::Pause(what)
        | Rollout::Resume(what) => what,
    };
    let discovery = session.discovery().await?;
    for one in named::select(session, &discovery, &what.what, &what.selection).await? {
        match rollout {
            Rollout::Status(args) => status::follow(session, &one, args).await?,
            Rollout::History(_) => history::show(session, &one).await?,
            Rollout::Undo(args) => undo::run(session, &one, args.to_revision).await?,
            Rollout::Restart(_) => restart(session, &one).await?,
            Rollout::Pause(_) => pause(session, &one, true).await?,
            Rollout::Resume(_) => pause(session, &one, false).await?,
        }
    }
    Ok(())
}

/// A new annotation on the pod template makes every pod new.
async fn restart(session: &Session, one: &Named<'_>) -> Result<(), Failure> {
    of(
        one,
        &["deployments", "daemonsets", "statefulsets"],
        "restarting",
    )?;
    let now = Clock::system()
        .now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    one.patch(session, None, MERGE, &patch).await?;
    println!("{} restarted", one.shown());
    Ok(())
}

async fn pause(session: &Session, one: &Named<'_>, paused: bool) -> Result<(), Failure> {
    let (verb, done) = if paused {
        ("pausing", "paused")
    } else {
        ("resuming", "resumed")
    };
    of(one, &["deployments"], verb)?;
    let now = tree::flag(&one.get(session).await?, "spec.paused");
    if now == paused {
        return Err(Failure::local(format!(
            "{} is {}",
            one.shown(),
            if paused {
                "already paused"
            } else {
                "not paused"
            }
        )));
    }
    one.patch(session, None, MERGE, &json!({"spec": {"paused": paused}}))
        .await?;
    println!("{} {done}", one.shown());
    Ok(())
}

/// Refuses what has no rollouts.
fn of(one: &Named<'_>, kinds: &[&str], doing: &str) -> Result<(), Failure> {
    let resource = &one.served.resource;
    if resource.group == "apps" && kinds.contains(&&*resource.plural) {
        return Ok(());
    }
    Err(Failure::local(format!(
        "{resource} \"{}\" {doing} is not supported",
        one.name
    )))
}
