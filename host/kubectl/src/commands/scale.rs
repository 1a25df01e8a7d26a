//! `kubectl scale`.

use clap::Args;
use k3s_meta::tree;
use serde_json::json;

use super::named::{self, MERGE, Selection};
use crate::error::Failure;
use crate::session::Session;

/// Set a new size for a deployment, replica set, replication controller or stateful set
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(required = true)]
    what: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// The new desired number of replicas
    #[arg(long)]
    replicas: u32,
    /// Precondition: the current size
    #[arg(long)]
    current_replicas: Option<i64>,
}

pub(crate) async fn run(session: &Session, args: &Scale) -> Result<(), Failure> {
    let discovery = session.discovery().await?;
    for one in named::select(session, &discovery, &args.what, &args.selection).await? {
        if let Some(expected) = args.current_replicas {
            let present = tree::int(&one.get(session).await?, "spec.replicas").unwrap_or_default();
            if present != expected {
                return Err(Failure::local(format!(
                    "Expected replicas to be {expected}, was {present}"
                )));
            }
        }
        one.patch(
            session,
            Some("scale"),
            MERGE,
            &json!({"spec": {"replicas": args.replicas}}),
        )
        .await?;
        println!("{} scaled", one.shown());
    }
    Ok(())
}
