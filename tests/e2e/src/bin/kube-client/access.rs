//! The verbs, typed and by discovery.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, Error, ResourceExt};
use serde_json::json;

fn config_map(name: &str) -> Result<ConfigMap> {
    let map =
        json!({"metadata": {"name": name, "labels": {"made-by": "kube"}}, "data": {"a": "1"}});
    Ok(serde_json::from_value(map)?)
}

/// The code of a refusal.
fn code<T>(result: Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// Create, read, patch, replace and delete through `Api<ConfigMap>`, with the parameters that have
/// a meaning of their own: dry run, versions and preconditions.
pub(crate) async fn typed(client: Client) -> Result<()> {
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry, &config_map("a")?).await?;
    ensure!(api.get_opt("a").await?.is_none(), "a dry run was stored");

    let made = api
        .create(&PostParams::default(), &config_map("a")?)
        .await?;
    let again = api.create(&PostParams::default(), &config_map("a")?).await;
    ensure!(code(again) == Some(409), "created twice");
    let merge = Patch::Merge(json!({"data": {"a": null, "b": "2"}}));
    let patched = api.patch("a", &PatchParams::default(), &merge).await?;
    let data = patched.data.clone().unwrap_or_default();
    ensure!(
        data.get("b").is_some_and(|b| b == "2") && data.len() == 1,
        "{data:?}"
    );
    let stale = api.replace("a", &PostParams::default(), &made).await;
    ensure!(code(stale) == Some(409), "a stale object was stored");
    api.replace("a", &PostParams::default(), &patched).await?;
    pages(&api).await?;
    deletes(&api, &made).await
}

/// Two pages of a selection add up.
async fn pages(api: &Api<ConfigMap>) -> Result<()> {
    api.create(&PostParams::default(), &config_map("b")?)
        .await?;
    let first = ListParams::default().labels("made-by=kube").limit(1);
    let page = api.list(&first).await?;
    let token = page.metadata.continue_.clone().context("no second page")?;
    let rest = api.list(&first.continue_token(&token)).await?;
    let names = page.into_iter().chain(rest).map(|map| map.name_any());
    let names: Vec<String> = names.collect();
    ensure!(names == ["a", "b"], "{names:?}");
    Ok(())
}

async fn deletes(api: &Api<ConfigMap>, made: &ConfigMap) -> Result<()> {
    let only = |uid: &str| {
        DeleteParams::background().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        })
    };
    let other = api.delete("a", &only("another")).await;
    ensure!(
        code(other) == Some(409),
        "deleted in spite of its precondition"
    );
    let uid = made.uid().context("no uid")?;
    api.delete("a", &only(&uid)).await?;
    ensure!(code(api.get("a").await) == Some(404), "still there");
    let selected = ListParams::default().labels("made-by=kube");
    api.delete_collection(&DeleteParams::default(), &selected)
        .await?;
    let left = api.list(&selected).await?.items.len();
    ensure!(left == 0, "{left} left");
    Ok(())
}

/// Discovery by both forms of the documents, and objects of a kind found by it.
pub(crate) async fn dynamic(client: Client) -> Result<()> {
    let deployment = GroupVersionKind::gvk("apps", "v1", "Deployment");
    for discovery in [
        Discovery::new(client.clone()).run().await?,
        Discovery::new(client.clone()).run_aggregated().await?,
    ] {
        let (resource, capabilities) = discovery.resolve_gvk(&deployment).context("no kind")?;
        ensure!(resource.plural == "deployments", "{resource:?}");
        ensure!(capabilities.scope == Scope::Namespaced, "{capabilities:?}");
        ensure!(
            capabilities.supports_operation(verbs::WATCH),
            "{capabilities:?}"
        );
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        api.list(&ListParams::default()).await?;
    }
    let namespace: Namespace = Api::all(client.clone()).get("kube-system").await?;
    ensure!(
        namespace
            .status
            .is_some_and(|status| status.phase.is_some())
    );
    let version = client.apiserver_version().await?;
    ensure!(version.git_version.starts_with("v1.36."), "{version:?}");
    Ok(())
}
