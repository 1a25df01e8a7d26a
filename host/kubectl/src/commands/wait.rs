//! `kubectl wait`.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use k3s_client::{Object, WatchEvent, WatchParams};
use k3s_meta::tree;
use serde_json::Value;

use super::named::{self, Named, Selection};
use crate::duration;
use crate::error::Failure;
use crate::session::Session;

/// Wait for a condition on one or many resources
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// TYPE NAME... or TYPE/NAME...
    #[arg(required = true)]
    what: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// delete, create, condition=NAME[=VALUE] or jsonpath={.path}=VALUE
    #[arg(long = "for")]
    until: String,
    /// How long to wait in all, such as 30s
    #[arg(long, default_value = "30s")]
    timeout: String,
}

/// What is waited for.
#[derive(Debug, PartialEq, Eq)]
enum Until {
    Gone,
    There,
    Condition { kind: String, value: String },
    Field { path: String, value: String },
}

impl Until {
    fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::local(format!("unrecognized condition: {text:?}"));
        if text.eq_ignore_ascii_case("delete") {
            return Ok(Self::Gone);
        }
        if text.eq_ignore_ascii_case("create") {
            return Ok(Self::There);
        }
        let (what, rest) = text.split_once('=').ok_or_else(bad)?;
        match what {
            "condition" => {
                let (kind, value) = rest.split_once('=').unwrap_or((rest, "True"));
                Ok(Self::Condition {
                    kind: kind.to_owned(),
                    value: value.to_owned(),
                })
            }
            "jsonpath" => {
                let rest = rest.trim_matches('\'');
                let (path, value) = rest.split_once("}=").ok_or_else(bad)?;
                let path = path.strip_prefix("{.").ok_or_else(bad)?;
                if path.contains(['[', '(', '*']) {
                    return Err(Failure::local(
                        "only plain paths such as {.status.phase} are understood here",
                    ));
                }
                Ok(Self::Field {
                    path: path.to_owned(),
                    value: value.to_owned(),
                })
            }
            _ => Err(bad()),
        }
    }

    fn holds(&self, live: &Value) -> bool {
        match self {
            Self::Gone => false,
            Self::There => true,
            Self::Condition { kind, value } => {
                tree::list(live, "status.conditions").iter().any(|c| {
                    tree::text(c, "type").eq_ignore_ascii_case(kind)
                        && tree::text(c, "status").eq_ignore_ascii_case(value)
                })
            }
            Self::Field { path, value } => tree::get(live, path).is_some_and(|found| match found {
                Value::String(text) => text == value,
                other => serde_json::from_str::<Value>(value).is_ok_and(|wanted| wanted == *other),
            }),
        }
    }
}

pub(crate) async fn run(session: &Session, args: &Wait) -> Result<(), Failure> {
    let until = Until::parse(&args.until)?;
    let patience = duration::parse("--timeout", &args.timeout)?;
    let discovery = session.discovery().await?;
    let deadline = tokio::time::Instant::now() + patience.min(Duration::from_secs(7 * 24 * 3600));
    for one in named::select(session, &discovery, &args.what, &args.selection).await? {
        let met = tokio::time::timeout_at(deadline, wait(session, &one, &until)).await;
        met.map_err(|_| {
            let what = &one.served.resource.plural;
            Failure::local(format!(
                "timed out waiting for the condition on {what}/{}",
                one.name
            ))
        })??;
        println!("{} condition met", one.shown());
    }
    Ok(())
}

async fn wait(session: &Session, one: &Named<'_>, until: &Until) -> Result<(), Failure> {
    let (resource, namespace) = (&one.served.resource, Some(session.namespace.as_str()));
    loop {
        let version = match session.client.get(resource, namespace, &one.name).await {
            Ok(live) if until.holds(live.value()) => return Ok(()),
            Ok(live) => live.resource_version().to_owned(),
            Err(e) if e.is_not_found() && *until == Until::Gone => return Ok(()),
            // It may still be made: watch from the list's revision.
            Err(e) if e.is_not_found() && *until == Until::There => String::new(),
            Err(e) => return Err(e.into()),
        };
        let named = WatchParams::default().fields(&format!("metadata.name={}", one.name));
        let watch = session.client.watch(resource, namespace, &named, &version);
        let mut events = match watch.await {
            Ok(events) => events,
            Err(e) if e.is_gone() => continue,
            Err(e) => return Err(e.into()),
        };
        while let Some(event) = events.next().await {
            let live: Object = match event {
                Ok(WatchEvent::Added(live) | WatchEvent::Modified(live)) => live,
                Ok(WatchEvent::Deleted(_)) if *until == Until::Gone => return Ok(()),
                Ok(_) => continue,
                // The watch ended or fell behind: read the object again.
                Err(_) => break,
            };
            if until.holds(live.value()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_and_fields() {
        let pod = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}});
        let holds = |text| Until::parse(text).unwrap().holds(&pod);
        assert!(!holds("condition=Ready"));
        assert!(holds("condition=ready=false"));
        assert!(holds("jsonpath={.status.phase}=Running"));
        assert!(!holds("jsonpath='{.status.phase}=Pending'"));
        assert!(holds("create") && !holds("delete"));
        assert!(Until::parse("ready").is_err() && Until::parse("jsonpath={.a[0]}=b").is_err());
    }
}
