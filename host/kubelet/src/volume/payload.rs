//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Secret,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic::{File, Payload};
use super::token;
use crate::container::fields::{NodeFacts, field_value, resource_value};
use crate::context::{Context, Lookup};
use crate::pod::model;

/// Mode of files where nothing is said.
const DEFAULT_MODE: i32 = 0o644;

/// The payload of a volume; `None` when it is not of these kinds.
pub(crate) async fn payload(
    ctx: &Context,
    pod: &Pod,
    volume: &Volume,
    facts: &NodeFacts,
) -> Option<Result<Payload, String>> {
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        Some(
            config_map(
                ctx,
                pod,
                &source.name,
                source.items.as_deref(),
                source.optional,
                mode,
            )
            .await,
        )
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        Some(
            secret(
                ctx,
                pod,
                name,
                source.items.as_deref(),
                source.optional,
                mode,
            )
            .await,
        )
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        Some(downward(
            pod,
            source.items.as_deref().unwrap_or_default(),
            facts,
            mode,
        ))
    } else {
        match &volume.projected {
            Some(source) => Some(projected(ctx, pod, source, facts).await),
            None => None,
        }
    }
    .map(|payload| payload.map(|p| with_group(pod, p)))
}

/// `fsGroup` owns the files and may read them.
fn with_group(pod: &Pod, mut payload: Payload) -> Payload {
    if let Some(group) = fs_group(pod) {
        for file in payload.values_mut() {
            file.gid = Some(group);
            file.mode |= 0o440;
        }
    }
    payload
}

/// The pod's `fsGroup`.
pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

fn bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0) & 0o7777
}

fn file(content: Vec<u8>, mode: i32) -> File {
    File {
        content,
        mode: bits(mode),
        uid: None,
        gid: None,
    }
}

/// Picks keys: all of them, or the listed ones under their paths.
fn pick(
    what: &str,
    data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Payload, String> {
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        return Ok(data
            .into_iter()
            .map(|(key, content)| (key, file(content, mode)))
            .collect());
    };
    let mut payload = Payload::new();
    for item in items {
        match data.get(&item.key) {
            Some(content) => {
                payload.insert(
                    item.path.clone(),
                    file(content.clone(), item.mode.unwrap_or(mode)),
                );
            }
            None if optional == Some(true) => {}
            None => {
                return Err(format!(
                    "{what} references non-existent {what} key: {}",
                    item.key
                ));
            }
        }
    }
    Ok(payload)
}

fn optional<T>(found: Result<T, Lookup>, optional: Option<bool>) -> Result<Option<T>, String> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.missing && optional == Some(true) => Ok(None),
        Err(error) => Err(error.message),
    }
}

async fn config_map(
    ctx: &Context,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    may_miss: Option<bool>,
    mode: i32,
) -> Result<Payload, String> {
    let found = ctx.config_map(model::namespace(pod), name).await;
    match optional::<ConfigMap>(found, may_miss)? {
        Some(map) => {
            let text = map
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.into_bytes()));
            let binary = map
                .binary_data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.0));
            pick(
                "configmap",
                text.chain(binary).collect(),
                items,
                may_miss,
                mode,
            )
        }
        None => Ok(Payload::new()),
    }
}

async fn secret(
    ctx: &Context,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    may_miss: Option<bool>,
    mode: i32,
) -> Result<Payload, String> {
    let found = ctx.secret(model::namespace(pod), name).await;
    match optional::<Secret>(found, may_miss)? {
        Some(secret) => {
            let data = secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.0))
                .collect();
            pick("secret", data, items, may_miss, mode)
        }
        None => Ok(Payload::new()),
    }
}

fn downward(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    facts: &NodeFacts,
    mode: i32,
) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_value(pod, facts, &field.field_path)?,
            (_, Some(resource)) => resource_value(pod, None, facts, resource)?,
            _ => return Err(format!("downward API file {} names no source", item.path)),
        };
        payload.insert(
            item.path.clone(),
            file(value.into_bytes(), item.mode.unwrap_or(mode)),
        );
    }
    Ok(payload)
}

async fn projected(
    ctx: &Context,
    pod: &Pod,
    source: &ProjectedVolumeSource,
    facts: &NodeFacts,
) -> Result<Payload, String> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let mut payload = Payload::new();
    for projection in source.sources.iter().flatten() {
        payload.extend(projection_files(ctx, pod, projection, facts, mode).await?);
    }
    Ok(payload)
}

async fn projection_files(
    ctx: &Context,
    pod: &Pod,
    projection: &VolumeProjection,
    facts: &NodeFacts,
    mode: i32,
) -> Result<Payload, String> {
    if let Some(source) = &projection.config_map {
        return config_map(
            ctx,
            pod,
            &source.name,
            source.items.as_deref(),
            source.optional,
            mode,
        )
        .await;
    }
    if let Some(source) = &projection.secret {
        return secret(
            ctx,
            pod,
            &source.name,
            source.items.as_deref(),
            source.optional,
            mode,
        )
        .await;
    }
    if let Some(source) = &projection.downward_api {
        return downward(
            pod,
            source.items.as_deref().unwrap_or_default(),
            facts,
            mode,
        );
    }
    if let Some(source) = &projection.service_account_token {
        return service_account_token(ctx, pod, source, mode).await;
    }
    if projection.cluster_trust_bundle.is_some() {
        return Err("clusterTrustBundle projections are not supported by this node".to_owned());
    }
    if projection.pod_certificate.is_some() {
        return Err("podCertificate projections are not supported by this node".to_owned());
    }
    Ok(Payload::new())
}

async fn service_account_token(
    ctx: &Context,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: i32,
) -> Result<Payload, String> {
    let value = token::token(ctx, pod, source).await?;
    let mut file = file(value.into_bytes(), mode);
    // Readable for the one user of the pod only, where all containers agree on one.
    if fs_group(pod).is_none()
        && let Some(uid) = common_user(pod)
    {
        file.uid = Some(uid);
        file.mode = 0o600;
    } else if fs_group(pod).is_some() {
        file.mode = 0o600;
    }
    Ok(Payload::from([(source.path.clone(), file)]))
}

fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let default = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let mut users = model::all_containers(spec).map(|(_, c)| {
        c.security_context
            .as_ref()
            .and_then(|s| s.run_as_user)
            .or(default)
    });
    let first = users.next().flatten()?;
    users
        .all(|user| user == Some(first))
        .then_some(first)
        .and_then(|user| u32::try_from(user).ok())
}
