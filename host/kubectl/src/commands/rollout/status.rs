//! Whether a rollout is done, in stock kubectl's sentences (kubectl `pkg/polymorphichelpers/rollout_status.go`).

use futures_util::StreamExt;
use k3s_client::{WatchEvent, WatchParams};
use k3s_meta::{object, tree};
use serde_json::Value;

use super::super::named::Named;
use super::Status;
use crate::duration;
use crate::error::Failure;
use crate::session::Session;

/// A sentence, and whether it is the last one.
type Progress = Result<(String, bool), Failure>;

pub(super) async fn follow(
    session: &Session,
    one: &Named<'_>,
    args: &Status,
) -> Result<(), Failure> {
    super::of(
        one,
        &["deployments", "daemonsets", "statefulsets"],
        "status",
    )?;
    let patience = duration::parse("--timeout", &args.timeout)?;
    let watched = watch(session, one, args.watch == "true");
    if patience.is_zero() {
        return watched.await;
    }
    tokio::time::timeout(patience, watched)
        .await
        .map_err(|_| Failure::local("timed out waiting for the condition"))?
}

async fn watch(session: &Session, one: &Named<'_>, follow: bool) -> Result<(), Failure> {
    let (resource, namespace) = (&one.served.resource, Some(session.namespace.as_str()));
    loop {
        let live = session.client.get(resource, namespace, &one.name).await?;
        if print_progress(one, live.value())? || !follow {
            return Ok(());
        }
        let named = WatchParams::default().fields(&format!("metadata.name={}", one.name));
        let watch = session
            .client
            .watch(resource, namespace, &named, live.resource_version());
        let mut events = match watch.await {
            Ok(events) => events,
            Err(e) if e.is_gone() => continue,
            Err(e) => return Err(e.into()),
        };
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(live) | WatchEvent::Modified(live)) => {
                    if print_progress(one, live.value())? {
                        return Ok(());
                    }
                }
                Ok(WatchEvent::Deleted(_)) => {
                    return Err(Failure::local("object has been deleted"));
                }
                Ok(WatchEvent::Bookmark { .. }) => {}
                // The watch ended or fell behind: read the object again.
                Err(_) => break,
            }
        }
    }
}

fn print_progress(one: &Named<'_>, live: &Value) -> Result<bool, Failure> {
    let (text, done) = match &*one.served.resource.plural {
        "deployments" => deployment(live),
        "daemonsets" => daemon_set(live),
        _ => stateful_set(live),
    }?;
    println!("{text}");
    Ok(done)
}

fn status(live: &Value, field: &str) -> i64 {
    tree::int(live, &format!("status.{field}")).unwrap_or_default()
}

fn observed(live: &Value) -> bool {
    object::generation(live) <= status(live, "observedGeneration")
}

fn deployment(live: &Value) -> Progress {
    let name = object::name(live);
    if !observed(live) {
        return Ok((
            "Waiting for deployment spec update to be observed...".into(),
            false,
        ));
    }
    let late = tree::list(live, "status.conditions")
        .iter()
        .any(|c| tree::text(c, "reason") == "ProgressDeadlineExceeded");
    if late {
        return Err(Failure::local(format!(
            "deployment \"{name}\" exceeded its progress deadline"
        )));
    }
    let wanted = tree::int(live, "spec.replicas").unwrap_or(1);
    let (updated, all, available) = (
        status(live, "updatedReplicas"),
        status(live, "replicas"),
        status(live, "availableReplicas"),
    );
    let waiting = format!("Waiting for deployment \"{name}\" rollout to finish:");
    Ok(if updated < wanted {
        (
            format!("{waiting} {updated} out of {wanted} new replicas have been updated..."),
            false,
        )
    } else if all > updated {
        (
            format!(
                "{waiting} {} old replicas are pending termination...",
                all - updated
            ),
            false,
        )
    } else if available < updated {
        (
            format!("{waiting} {available} of {updated} updated replicas are available..."),
            false,
        )
    } else {
        (
            format!("deployment \"{name}\" successfully rolled out"),
            true,
        )
    })
}

fn only_rolling(live: &Value) -> Result<(), Failure> {
    if tree::text(live, "spec.updateStrategy.type") == "RollingUpdate" {
        return Ok(());
    }
    Err(Failure::local(
        "rollout status is only available for RollingUpdate strategy type",
    ))
}

fn daemon_set(live: &Value) -> Progress {
    only_rolling(live)?;
    let name = object::name(live);
    if !observed(live) {
        return Ok((
            "Waiting for daemon set spec update to be observed...".into(),
            false,
        ));
    }
    let wanted = status(live, "desiredNumberScheduled");
    let (updated, available) = (
        status(live, "updatedNumberScheduled"),
        status(live, "numberAvailable"),
    );
    let waiting = format!("Waiting for daemon set \"{name}\" rollout to finish:");
    Ok(if updated < wanted {
        (
            format!("{waiting} {updated} out of {wanted} new pods have been updated..."),
            false,
        )
    } else if available < wanted {
        (
            format!("{waiting} {available} of {wanted} updated pods are available..."),
            false,
        )
    } else {
        (
            format!("daemon set \"{name}\" successfully rolled out"),
            true,
        )
    })
}

fn stateful_set(live: &Value) -> Progress {
    only_rolling(live)?;
    if status(live, "observedGeneration") == 0 || !observed(live) {
        return Ok((
            "Waiting for statefulset spec update to be observed...".into(),
            false,
        ));
    }
    let wanted = tree::int(live, "spec.replicas").unwrap_or(1);
    let (ready, updated) = (
        status(live, "readyReplicas"),
        status(live, "updatedReplicas"),
    );
    let revision = |field| tree::text(live, &format!("status.{field}"));
    let partition = tree::int(live, "spec.updateStrategy.rollingUpdate.partition");
    Ok(if ready < wanted {
        (
            format!("Waiting for {} pods to be ready...", wanted - ready),
            false,
        )
    } else if let Some(partition) = partition {
        // Set by default, so that this is what a whole rollout says too.
        let due = wanted - partition;
        if updated < due {
            let text = "Waiting for partitioned roll out to finish:";
            (
                format!("{text} {updated} out of {due} new pods have been updated..."),
                false,
            )
        } else {
            (
                format!("partitioned roll out complete: {updated} new pods have been updated..."),
                true,
            )
        }
    } else if revision("updateRevision") == revision("currentRevision") {
        let (pods, at) = (status(live, "currentReplicas"), revision("currentRevision"));
        (
            format!("statefulset rolling update complete {pods} pods at revision {at}..."),
            true,
        )
    } else {
        let at = revision("updateRevision");
        (
            format!(
                "waiting for statefulset rolling update to complete {updated} pods at revision {at}..."
            ),
            false,
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployments_rollout_step_by_step() {
        let live = |generation: i64, status: Value| json!({"metadata": {"name": "web", "generation": generation}, "spec": {"replicas": 3}, "status": status});
        let says = |generation, status| deployment(&live(generation, status)).unwrap();
        assert_eq!(
            says(2, json!({"observedGeneration": 1})).0,
            "Waiting for deployment spec update to be observed..."
        );
        let step = says(2, json!({"observedGeneration": 2, "updatedReplicas": 1}));
        let waiting = "Waiting for deployment \"web\" rollout to finish:";
        assert_eq!(
            step,
            (
                format!("{waiting} 1 out of 3 new replicas have been updated..."),
                false
            )
        );
        let step = says(
            2,
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
        );
        assert_eq!(
            step,
            (
                format!("{waiting} 1 old replicas are pending termination..."),
                false
            )
        );
        let step = says(
            2,
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
        );
        assert_eq!(
            step,
            (
                format!("{waiting} 2 of 3 updated replicas are available..."),
                false
            )
        );
        let step = says(
            2,
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
        );
        assert_eq!(
            step,
            ("deployment \"web\" successfully rolled out".into(), true)
        );
        let late = json!({"observedGeneration": 2, "conditions": [{"reason": "ProgressDeadlineExceeded"}]});
        assert!(deployment(&live(2, late)).is_err());
    }
}
