//! `kubectl delete`.

use futures_util::StreamExt;
use k3s_client::{DeleteParams, ListParams, Object, PropagationPolicy, WatchEvent, WatchParams};
use k3s_meta::object;

use super::target;
use super::write::place;
use crate::cli::Delete;
use crate::discovery::{Discovery, Served};
use crate::duration;
use crate::error::Failure;
use crate::manifest;
use crate::session::Session;

/// One object to delete.
struct Deletion<'a> {
    served: &'a Served,
    namespace: String,
    name: String,
}

pub(crate) async fn run(session: &Session, args: &Delete) -> Result<(), Failure> {
    let params = params(args)?;
    let patience = Some(duration::parse("--timeout", &args.timeout)?).filter(|d| !d.is_zero());
    let discovery = session.discovery().await?;
    let deletions = if args.files.files.is_empty() {
        named(session, &discovery, args).await?
    } else {
        in_files(session, &discovery, args)?
    };
    let mut waiting = Vec::new();
    for one in deletions {
        let namespace = Some(one.namespace.as_str());
        match session
            .client
            .delete(&one.served.resource, namespace, &one.name, &params)
            .await
        {
            Ok(answer) => {
                report(&one, args.force);
                waiting.push((one, answer));
            }
            Err(e) if e.is_not_found() && args.ignore_not_found => {}
            Err(e) => return Err(e.into()),
        }
    }
    if args.wait == "true" && !args.force {
        for (one, answer) in waiting {
            let deleted = wait_until_deleted(session, &one, &answer);
            match patience {
                None => deleted.await?,
                Some(patience) => tokio::time::timeout(patience, deleted)
                    .await
                    .map_err(|_| late(&one))??,
            }
        }
    }
    Ok(())
}

fn late(one: &Deletion<'_>) -> Failure {
    let what = &one.served.resource.plural;
    Failure::local(format!(
        "timed out waiting for the condition on {what}/{}",
        one.name
    ))
}

fn report(one: &Deletion<'_>, force: bool) {
    let (kind, name) = (one.served.qualified(""), &one.name);
    let kind = kind.trim_end_matches('/');
    let how = if force { "force deleted" } else { "deleted" };
    if one.served.resource.namespaced {
        println!("{kind} \"{name}\" {how} from {} namespace", one.namespace);
    } else {
        println!("{kind} \"{name}\" {how}");
    }
}

fn params(args: &Delete) -> Result<DeleteParams, Failure> {
    let propagation = match args.cascade.as_str() {
        "background" | "true" => PropagationPolicy::Background,
        "foreground" => PropagationPolicy::Foreground,
        "orphan" | "false" => PropagationPolicy::Orphan,
        other => {
            return Err(Failure::local(format!(
                "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
            )));
        }
    };
    let grace = match (args.grace_period, args.now, args.force) {
        (Some(_), true, _) => {
            return Err(Failure::local(
                "--now and --grace-period cannot be specified together",
            ));
        }
        (Some(0), _, false) => return Err(Failure::local("--grace-period=0 needs --force")),
        (Some(n), ..) => Some(n),
        (None, true, _) => Some(1),
        (None, false, true) => {
            eprintln!(
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
            );
            Some(0)
        }
        (None, false, false) => None,
    };
    Ok(DeleteParams {
        // A negative number means the kind's own grace, as kubectl's default of -1 does.
        grace_period_seconds: grace.and_then(|seconds| u32::try_from(seconds).ok()),
        propagation_policy: Some(propagation),
        ..DeleteParams::default()
    })
}

fn in_files<'a>(
    session: &Session,
    discovery: &'a Discovery,
    args: &Delete,
) -> Result<Vec<Deletion<'a>>, Failure> {
    let place_one = |mut manifest| {
        let served = place(session, discovery, &mut manifest)?;
        Ok(Deletion {
            served,
            namespace: object::namespace(&manifest).to_owned(),
            name: object::name(&manifest).to_owned(),
        })
    };
    manifest::read(&args.files)?
        .into_iter()
        .map(place_one)
        .collect()
}

async fn named<'a>(
    session: &Session,
    discovery: &'a Discovery,
    args: &Delete,
) -> Result<Vec<Deletion<'a>>, Failure> {
    let mut deletions = Vec::new();
    for target in target::parse(discovery, &args.what)? {
        let served = target.served;
        let namespace = session.namespace.clone();
        if !target.names.is_empty() {
            let one = |name| Deletion {
                served,
                namespace: namespace.clone(),
                name,
            };
            deletions.extend(target.names.into_iter().map(one));
            continue;
        }
        if args.selector.is_none() && !args.all {
            return Err(Failure::local(
                "resource(s) were provided, but no name was specified",
            ));
        }
        if !served.verbs.iter().any(|v| v == "delete") {
            continue;
        }
        let params = ListParams {
            label_selector: args.selector.clone(),
            ..ListParams::default()
        };
        let list = session
            .client
            .list_all(&served.resource, Some(&namespace), &params)
            .await?;
        deletions.extend(list.items.iter().map(|o| Deletion {
            served,
            namespace: namespace.clone(),
            name: o.name().to_owned(),
        }));
    }
    if deletions.is_empty() && args.what.len() <= 1 {
        println!("No resources found");
    }
    Ok(deletions)
}

/// Watches the object until it is deleted, or another one has its name.
async fn wait_until_deleted(
    session: &Session,
    one: &Deletion<'_>,
    answer: &Object,
) -> Result<(), Failure> {
    // The answer is the object while it lingers, and a Status once it is deleted.
    if answer.kind() == "Status" {
        return Ok(());
    }
    let (resource, namespace) = (&one.served.resource, Some(one.namespace.as_str()));
    let uid = answer.uid().to_owned();
    loop {
        let live = match session.client.get(resource, namespace, &one.name).await {
            Ok(live) if live.uid() == uid => live,
            Ok(_) => return Ok(()),
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e.into()),
        };
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
                Ok(WatchEvent::Deleted(_)) => return Ok(()),
                Ok(_) => {}
                // The watch ended or fell behind: read the object again.
                Err(_) => break,
            }
        }
    }
}
