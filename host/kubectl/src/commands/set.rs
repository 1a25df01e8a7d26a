//! `kubectl set image`.

use clap::{Args, Subcommand};
use k3s_meta::tree;
use serde_json::{Value, json};

use super::named::{self, STRATEGIC, Selection};
use crate::error::Failure;
use crate::session::Session;

/// Set specific features on objects
#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    /// Update the image of a pod template
    Image(Image),
}

#[derive(Debug, Args)]
pub(crate) struct Image {
    /// TYPE/NAME or TYPE NAME, then CONTAINER=IMAGE...; the container * stands for all
    #[arg(required = true)]
    what: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

pub(crate) async fn run(session: &Session, set: &Set) -> Result<(), Failure> {
    let Set::Image(args) = set;
    let (images, words): (Vec<_>, Vec<_>) =
        args.what.iter().cloned().partition(|w| w.contains('='));
    let images: Vec<(&str, &str)> = images.iter().filter_map(|w| w.split_once('=')).collect();
    if images.is_empty() {
        return Err(Failure::local("at least one image update is required"));
    }
    let discovery = session.discovery().await?;
    for one in named::select(session, &discovery, &words, &args.selection).await? {
        let live = one.get(session).await?;
        let place = pod_spec(&live).ok_or_else(|| {
            Failure::local(format!(
                "{}: there is no pod template to set an image in",
                one.shown()
            ))
        })?;
        let Some(patch) = patch(tree::get(&live, place).unwrap_or(&Value::Null), &images)? else {
            continue;
        };
        let whole = place
            .rsplit('.')
            .fold(patch, |inner, key| json!({key: inner}));
        one.patch(session, None, STRATEGIC, &whole).await?;
        println!("{} image updated", one.shown());
    }
    Ok(())
}

/// Where the pod's specification is in an object.
fn pod_spec(live: &Value) -> Option<&'static str> {
    const PLACES: [&str; 3] = [
        "spec.template.spec",
        "spec.jobTemplate.spec.template.spec",
        "spec",
    ];
    PLACES
        .into_iter()
        .find(|place| tree::get(live, place).is_some_and(|spec| spec.get("containers").is_some()))
}

/// The strategic patch of a pod specification; `None` when nothing changes.
fn patch(spec: &Value, images: &[(&str, &str)]) -> Result<Option<Value>, Failure> {
    let mut patch = serde_json::Map::new();
    let mut missing: Vec<&str> = images.iter().map(|(name, _)| *name).collect();
    for list in ["initContainers", "containers"] {
        let mut changed = Vec::new();
        for container in tree::list(spec, list) {
            let name = tree::text(container, "name");
            for (wanted, image) in images
                .iter()
                .filter(|(wanted, _)| *wanted == name || *wanted == "*")
            {
                missing.retain(|m| m != wanted);
                if tree::text(container, "image") != *image {
                    changed.push(json!({"name": name, "image": image}));
                }
            }
        }
        if !changed.is_empty() {
            patch.insert(list.to_owned(), changed.into());
        }
    }
    match missing.first() {
        Some(name) => Err(Failure::local(format!(
            "unable to find container named \"{name}\""
        ))),
        None => Ok((!patch.is_empty()).then_some(Value::Object(patch))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_named_containers() {
        let spec =
            json!({"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]});
        assert_eq!(
            patch(&spec, &[("b", "y:2")]).unwrap(),
            Some(json!({"containers": [{"name": "b", "image": "y:2"}]}))
        );
        assert_eq!(patch(&spec, &[("a", "x:1")]).unwrap(), None);
        assert!(
            patch(&spec, &[("c", "z")])
                .unwrap_err()
                .to_string()
                .contains("unable to find container named \"c\"")
        );
        assert_eq!(
            patch(&spec, &[("*", "z")]).unwrap().unwrap()["containers"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }
}
