//! `kubectl label` and `kubectl annotate`.

use clap::Args;
use k3s_meta::{object, tree};
use serde_json::{Map, Value, json};

use super::named::{self, MERGE, Selection};
use crate::error::Failure;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Label {
    /// TYPE NAME or TYPE/NAME, then KEY=VALUE to set and KEY- to remove
    #[arg(required = true)]
    what: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Allow values to be overwritten
    #[arg(long)]
    overwrite: bool,
}

/// Which map of the metadata a command changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metadata {
    Labels,
    Annotations,
}

impl Metadata {
    fn field(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Labels => "labeled",
            Self::Annotations => "annotated",
        }
    }
}

pub(crate) async fn run(session: &Session, args: &Label, map: Metadata) -> Result<(), Failure> {
    let is_change = |word: &&String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let words: Vec<String> = args
        .what
        .iter()
        .take_while(|w| !is_change(w))
        .cloned()
        .collect();
    let changes = args.what.get(words.len()..).unwrap_or_default();
    if changes.is_empty() {
        return Err(Failure::local(format!(
            "at least one {} update is required",
            map.field().trim_end_matches('s')
        )));
    }
    let discovery = session.discovery().await?;
    for one in named::select(session, &discovery, &words, &args.selection).await? {
        let live = one.get(session).await?;
        let present = object::string_map(tree::get(&live, &format!("metadata.{}", map.field())));
        let patch = patch(&present, changes, args.overwrite)?;
        if patch.is_empty() {
            println!("{} not {}", one.shown(), map.verb());
            continue;
        }
        let only_removed = patch.values().all(Value::is_null);
        one.patch(
            session,
            None,
            MERGE,
            &json!({"metadata": {map.field(): patch}}),
        )
        .await?;
        println!(
            "{} {}{}",
            one.shown(),
            if only_removed { "un" } else { "" },
            map.verb()
        );
    }
    Ok(())
}

/// What really changes.
fn patch(
    present: &std::collections::BTreeMap<String, String>,
    changes: &[String],
    overwrite: bool,
) -> Result<Map<String, Value>, Failure> {
    let mut patch = Map::new();
    for change in changes {
        let Some((key, value)) = change.split_once('=') else {
            let key = change.strip_suffix('-').unwrap_or(change);
            if present.contains_key(key) {
                patch.insert(key.to_owned(), Value::Null);
            } else {
                println!("label \"{key}\" not found.");
            }
            continue;
        };
        match present.get(key) {
            Some(old) if old == value => {}
            Some(old) if !overwrite => {
                return Err(Failure::local(format!(
                    "'{key}' already has a value ({old}), and --overwrite is false"
                )));
            }
            _ => {
                patch.insert(key.to_owned(), value.into());
            }
        }
    }
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_overwritten_unasked() {
        let present = [("a".to_owned(), "1".to_owned())].into();
        let change = |words: &[&str], overwrite| {
            patch(
                &present,
                &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(),
                overwrite,
            )
        };
        assert!(change(&["a=2"], false).is_err());
        assert_eq!(
            Value::Object(change(&["a=2", "b=x=y"], true).unwrap()),
            json!({"a": "2", "b": "x=y"})
        );
        assert_eq!(
            Value::Object(change(&["a-"], false).unwrap()),
            json!({"a": null})
        );
        assert!(change(&["a=1", "b-"], false).unwrap().is_empty());
    }
}
