//! kube's runtime: a watcher by list and by stream, a reflector, and a controller.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;

use crate::until;

fn config_map(name: &str, label: &str) -> Result<ConfigMap> {
    let map = json!({"metadata": {"name": name, "labels": {"for": label}}, "data": {"key": "one"}});
    Ok(serde_json::from_value(map)?)
}

/// Sees what was there, what comes, what changes and what is deleted, whether the present state is
/// listed or streamed.
pub(crate) async fn watcher(client: Client) -> Result<()> {
    let listed = watcher::Config::default().labels("for=watcher");
    let streamed = listed.clone().streaming_lists();
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    for config in [listed, streamed] {
        let before = config_map("before", "watcher")?;
        api.create(&PostParams::default(), &before).await?;
        let mut events = pin!(watcher::watcher(api.clone(), config));
        ensure!(matches!(next(&mut events).await?, Event::Init));
        ensure!(
            matches!(next(&mut events).await?, Event::InitApply(map) if map.name_any() == "before")
        );
        ensure!(matches!(next(&mut events).await?, Event::InitDone));
        let patch = Patch::Merge(json!({"data": {"key": "two"}}));
        api.patch("before", &PatchParams::default(), &patch).await?;
        let Event::Apply(changed) = next(&mut events).await? else {
            bail!("no change")
        };
        let data = changed.data.unwrap_or_default();
        ensure!(
            data.get("key").is_some_and(|value| value == "two"),
            "{data:?}"
        );
        api.delete("before", &DeleteParams::default()).await?;
        ensure!(
            matches!(next(&mut events).await?, Event::Delete(map) if map.name_any() == "before")
        );
    }
    Ok(())
}

async fn next<K>(
    events: &mut (impl Stream<Item = Result<Event<K>, watcher::Error>> + Unpin),
) -> Result<Event<K>> {
    let event = tokio::time::timeout(crate::SOON, events.try_next()).await;
    event.context("no event")??.context("the watch ended")
}

/// A store that follows a collection.
pub(crate) async fn reflector(client: Client) -> Result<()> {
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels("for=reflector");
    let stream = watcher::watcher(api.clone(), config).default_backoff();
    let reflected = reflector::reflector(writer, stream).for_each(|_| async {});
    let follow = tokio::spawn(reflected);
    store.wait_until_ready().await?;
    ensure!(store.is_empty(), "objects of others");
    for name in ["a", "b"] {
        let map = config_map(name, "reflector")?;
        api.create(&PostParams::default(), &map).await?;
    }
    until("both objects are in the store", async || {
        Ok((store.len() == 2).then_some(()))
    })
    .await?;
    api.delete("a", &DeleteParams::default()).await?;
    let deleted = ObjectRef::new("a").within("default");
    until("the deleted object leaves the store", async || {
        Ok(store.get(&deleted).is_none().then_some(()))
    })
    .await?;
    follow.abort();
    Ok(())
}

/// What the controller keeps: for each ConfigMap a Secret of the same name with the same data.
struct Copies {
    secrets: Api<Secret>,
}

async fn copy(map: Arc<ConfigMap>, context: Arc<Copies>) -> Result<Action, kube::Error> {
    let owner = map.controller_owner_ref(&());
    let secret = Secret {
        metadata: kube::api::ObjectMeta {
            name: Some(map.name_any()),
            owner_references: owner.map(|owner| vec![owner]),
            ..Default::default()
        },
        string_data: map.data.clone(),
        ..Secret::default()
    };
    let name = map.name_any();
    let secrets = &context.secrets;
    if secrets.get_opt(&name).await?.is_some() {
        let patch = Patch::Merge(&secret);
        secrets
            .patch(&name, &PatchParams::default(), &patch)
            .await?;
    } else {
        secrets.create(&PostParams::default(), &secret).await?;
    }
    Ok(Action::await_change())
}

fn retry(_: Arc<ConfigMap>, _: &kube::Error, _: Arc<Copies>) -> Action {
    Action::requeue(Duration::from_millis(200))
}

/// A small operator: creates, updates and restores what it owns; the garbage collector of the
/// cluster takes it away with its owner.
pub(crate) async fn controller(client: Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(client);
    let config = watcher::Config::default().labels("for=controller");
    let context = Arc::new(Copies {
        secrets: secrets.clone(),
    });
    let running = Controller::new(maps.clone(), config)
        .owns(secrets.clone(), watcher::Config::default())
        .run(copy, retry, context)
        .for_each(|_| async {});
    let running = tokio::spawn(running);
    let map = config_map("settings", "controller")?;
    maps.create(&PostParams::default(), &map).await?;
    let first = holds(&secrets, "one").await?;
    let patch = Patch::Merge(json!({"data": {"key": "two"}}));
    maps.patch("settings", &PatchParams::default(), &patch)
        .await?;
    holds(&secrets, "two").await?;
    secrets.delete("settings", &DeleteParams::default()).await?;
    let second = holds(&secrets, "two").await?;
    ensure!(
        first.uid() != second.uid(),
        "the deleted Secret is still there"
    );
    running.abort();
    maps.delete("settings", &DeleteParams::background()).await?;
    until("the Secret goes with its owner", async || {
        Ok(secrets.get_opt("settings").await?.is_none().then_some(()))
    })
    .await
}

/// Waits until the Secret has this value.
async fn holds(secrets: &Api<Secret>, value: &str) -> Result<Secret> {
    until(&format!("the Secret holds {value:?}"), async || {
        let secret = secrets.get_opt("settings").await?;
        Ok(secret.filter(|secret| {
            let data: Option<&BTreeMap<_, _>> = secret.data.as_ref();
            let key = data.and_then(|data| data.get("key"));
            key.is_some_and(|bytes| bytes.0 == value.as_bytes())
        }))
    })
    .await
}
