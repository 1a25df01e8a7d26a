//! The pod and container that `logs` and `exec` mean.

use k3s_client::{ListParams, Object, resources};
use k3s_meta::selector::LabelSelector;
use k3s_meta::{object, tree};

use crate::error::Failure;
use crate::session::Session;

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod of `POD`, `pod/POD`, or the first pod of `TYPE/NAME`.
pub(super) async fn find(session: &Session, word: &str) -> Result<Object, Failure> {
    first(session, word).await.map(|(pod, _)| pod)
}

/// As [`find`]; says which pod it is where there was a choice (upstream's `LogsForObject`).
pub(super) async fn find_for_logs(session: &Session, word: &str) -> Result<Object, Failure> {
    let (pod, count) = first(session, word).await?;
    if count > 1 {
        eprintln!("Found {count} pods, using pod/{}", pod.name());
    }
    Ok(pod)
}

/// The pod, and among how many.
async fn first(session: &Session, word: &str) -> Result<(Object, usize), Failure> {
    let namespace = Some(session.namespace.as_str());
    let Some((kind, name)) = word.split_once('/') else {
        return Ok((
            session
                .client
                .get(&resources::PODS, namespace, word)
                .await?,
            1,
        ));
    };
    let discovery = session.discovery().await?;
    let served = discovery.resource(kind)?;
    let owner = session
        .client
        .get(&served.resource, namespace, name)
        .await?;
    if served.resource.plural == "pods" {
        return Ok((owner, 1));
    }
    let selector = tree::get(owner.value(), "spec.selector");
    let labels = match selector {
        // A Service's selector is a plain map.
        Some(map) if map.get("matchLabels").is_none() && map.get("matchExpressions").is_none() => {
            LabelSelector::from_set(&object::string_map(Some(map)))
        }
        Some(selector) => LabelSelector::from_value(selector).map_err(Failure::local)?,
        None => {
            return Err(Failure::local(format!(
                "cannot get pods of {}: it has no selector",
                served.qualified(name)
            )));
        }
    };
    let list = session
        .client
        .list_all(&resources::PODS, namespace, &ListParams::default())
        .await?;
    let mut pods: Vec<Object> = list
        .items
        .into_iter()
        .filter(|p| labels.matches_object(p.value()))
        .collect();
    pods.sort_by_key(|p| {
        (
            tree::text(p.value(), "status.phase") != "Running",
            p.name().to_owned(),
        )
    });
    let count = pods.len();
    pods.into_iter()
        .next()
        .map(|pod| (pod, count))
        .ok_or_else(|| {
            Failure::local(format!(
                "timed out waiting for the condition: {} has no pods",
                served.qualified(name)
            ))
        })
}

/// The container: the one asked for, the annotated default, or the first.
pub(super) fn container(pod: &Object, asked: Option<&str>) -> Result<String, Failure> {
    let names = |field: &str| -> Vec<String> {
        let list = tree::list(pod.value(), &format!("spec.{field}"));
        list.iter()
            .map(|c| tree::text(c, "name").to_owned())
            .collect()
    };
    let (containers, mut all) = (names("containers"), names("containers"));
    all.extend(names("initContainers"));
    all.extend(names("ephemeralContainers"));
    if let Some(asked) = asked {
        let known = all.iter().any(|n| n == asked);
        return if known {
            Ok(asked.to_owned())
        } else {
            Err(Failure::local(format!(
                "container {asked} is not valid for pod {}",
                pod.name()
            )))
        };
    }
    if let Some(default) = pod
        .annotation(DEFAULT_CONTAINER)
        .filter(|d| containers.iter().any(|n| n == d))
    {
        return Ok(default.to_owned());
    }
    let first = containers
        .first()
        .ok_or_else(|| Failure::local("the pod has no containers"))?;
    if all.len() > 1 {
        let listed: Vec<String> = containers
            .iter()
            .cloned()
            .chain(
                names("initContainers")
                    .into_iter()
                    .map(|n| format!("{n} (init)")),
            )
            .collect();
        eprintln!(
            "Defaulted container \"{first}\" out of: {}",
            listed.join(", ")
        );
    }
    Ok(first.clone())
}
