//! The revisions of a workload: replica sets of a deployment, controller revisions of the others.

use k3s_client::{ListParams, Object, Resource, resources};
use k3s_meta::{object, tree};
use serde_json::Value;

use super::super::named::Named;
use crate::error::Failure;
use crate::print::Columns;
use crate::session::Session;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";

/// One revision and the object that keeps it.
pub(super) struct Revision {
    pub(super) number: i64,
    pub(super) keeper: Object,
}

pub(super) async fn show(session: &Session, one: &Named<'_>) -> Result<(), Failure> {
    let live = one.get(session).await?;
    let mut rows = vec![["REVISION", "CHANGE-CAUSE"].map(str::to_owned).to_vec()];
    for revision in of(session, one, &live).await? {
        let cause = revision
            .keeper
            .annotation(CAUSE)
            .filter(|c| !c.is_empty())
            .unwrap_or("<none>");
        rows.push(vec![revision.number.to_string(), cause.to_owned()]);
    }
    println!("{} \n{}", one.shown(), history_table(&rows));
    Ok(())
}

/// Two blanks apart, as kubectl's history alone is.
fn history_table(rows: &[Vec<String>]) -> String {
    Columns::with_gap(2).layout(rows)
}

/// Oldest first.
pub(super) async fn of(
    session: &Session,
    one: &Named<'_>,
    live: &Value,
) -> Result<Vec<Revision>, Failure> {
    super::of(
        one,
        &["deployments", "daemonsets", "statefulsets"],
        "history",
    )?;
    let deployment = one.served.resource.plural == "deployments";
    let keepers: &Resource = if deployment {
        &resources::REPLICA_SETS
    } else {
        &resources::CONTROLLER_REVISIONS
    };
    let list = session
        .client
        .list_all(keepers, Some(&session.namespace), &ListParams::default())
        .await?;
    let uid = object::uid(live);
    let owned = |keeper: &Object| {
        object::controller_of(keeper.value()).is_some_and(|owner| owner.uid == uid)
    };
    let number = |keeper: &Object| {
        if deployment {
            keeper
                .annotation(REVISION)
                .and_then(|text| text.parse().ok())
        } else {
            tree::int(keeper.value(), "revision")
        }
    };
    let mut revisions: Vec<Revision> = list
        .items
        .into_iter()
        .filter(owned)
        .filter_map(|keeper| {
            Some(Revision {
                number: number(&keeper)?,
                keeper,
            })
        })
        .collect();
    revisions.sort_by_key(|r| r.number);
    Ok(revisions)
}
