//! Going back to an earlier revision.

use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::super::named::{Named, STRATEGIC};
use super::history::{self, Revision};
use crate::error::Failure;
use crate::session::Session;

const HASH: &str = "pod-template-hash";

pub(super) async fn run(session: &Session, one: &Named<'_>, wanted: i64) -> Result<(), Failure> {
    let live = one.get(session).await?;
    if tree::flag(&live, "spec.paused") {
        return Err(Failure::local(format!(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume {}' and try again",
            one.shown()
        )));
    }
    let revisions = history::of(session, one, &live).await?;
    let revision = pick(&revisions, wanted)?;
    if one.served.resource.plural == "deployments" {
        let template = template(revision);
        if tree::get(&live, "spec.template") == Some(&template) {
            println!(
                "{} skipped rollback (current template already matches revision {})",
                one.shown(),
                revision.number
            );
            return Ok(());
        }
        let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
        one.patch(session, None, "application/json-patch+json", &patch)
            .await?;
    } else {
        // The data of a controller revision are the patch itself.
        let data = tree::get(revision.keeper.value(), "data")
            .cloned()
            .unwrap_or(Value::Null);
        one.patch(session, None, STRATEGIC, &data).await?;
    }
    println!("{} rolled back", one.shown());
    Ok(())
}

/// The one asked for; 0 asks for the one before the newest.
fn pick(revisions: &[Revision], wanted: i64) -> Result<&Revision, Failure> {
    let found = match wanted {
        0 => revisions.iter().rev().nth(1),
        number => revisions.iter().find(|r| r.number == number),
    };
    found.ok_or_else(|| {
        Failure::local(match wanted {
            0 => "no rollout history found to go back to".to_owned(),
            number => format!("unable to find specified revision {number} in history"),
        })
    })
}

/// A replica set's template without what the deployment's controller added.
fn template(revision: &Revision) -> Value {
    let mut template = tree::get(revision.keeper.value(), "spec.template")
        .cloned()
        .unwrap_or(Value::Null);
    object::remove_label(&mut template, HASH);
    template
}
