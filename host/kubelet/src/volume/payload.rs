//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource,
    SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic::{File, Payload};
use super::context::VolumeContext;
use super::error::MountError;
use crate::api::unless_optional;
use crate::container::fields::{NodeContext, field_value, resource_value};
use crate::model;

/// Mode of files for which neither volume nor item states one.
const DEFAULT_MODE: i32 = 0o644;

/// The payload of a volume; `None` when it is not of these kinds.
pub(crate) async fn payload(
    ctx: &VolumeContext,
    pod: &Pod,
    volume: &Volume,
    node: &NodeContext,
) -> Result<Option<Payload>, MountError> {
    let payload = if let Some(source) = &volume.config_map {
        config_map_volume(ctx, pod, source).await?
    } else if let Some(source) = &volume.secret {
        secret_volume(ctx, pod, source).await?
    } else if let Some(source) = &volume.downward_api {
        let items = source.items.as_deref();
        let mode = default_mode(source.default_mode);
        downward_api(pod, items.unwrap_or_default(), node, mode)?
    } else if let Some(source) = &volume.projected {
        projected(ctx, pod, source, node).await?
    } else {
        return Ok(None);
    };
    Ok(Some(with_group(pod, payload)))
}

async fn config_map_volume(
    ctx: &VolumeContext,
    pod: &Pod,
    source: &ConfigMapVolumeSource,
) -> Result<Payload, MountError> {
    let items = source.items.as_deref();
    let mode = default_mode(source.default_mode);
    config_map(ctx, pod, &source.name, items, source.optional, mode).await
}

async fn secret_volume(
    ctx: &VolumeContext,
    pod: &Pod,
    source: &SecretVolumeSource,
) -> Result<Payload, MountError> {
    let name = source.secret_name.as_deref().unwrap_or_default();
    let items = source.items.as_deref();
    let mode = default_mode(source.default_mode);
    secret(ctx, pod, name, items, source.optional, mode).await
}

/// The mode of files for which the volume states none.
fn default_mode(mode: Option<i32>) -> i32 {
    mode.unwrap_or(DEFAULT_MODE)
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
    kind: &'static str,
    data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Payload, MountError> {
    let mut payload = Payload::new();
    let items = items.unwrap_or_default();
    if items.is_empty() {
        for (key, content) in data {
            payload.insert(key, file(content, mode));
        }
        return Ok(payload);
    }
    for item in items {
        let content = data.get(&item.key);
        if let Some(content) = content {
            let mode = item.mode.unwrap_or(mode);
            let file = file(content.clone(), mode);
            payload.insert(item.path.clone(), file);
        } else if optional != Some(true) {
            return Err(MountError::MissingKey {
                kind,
                key: item.key.clone(),
            });
        }
    }
    Ok(payload)
}

async fn config_map(
    ctx: &VolumeContext,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Payload, MountError> {
    let found = ctx.api.config_map(model::namespace(pod), name).await;
    let Some(map) = unless_optional(found, optional)? else {
        return Ok(Payload::new());
    };
    let mut data = BTreeMap::new();
    for (key, value) in map.data.unwrap_or_default() {
        data.insert(key, value.into_bytes());
    }
    for (key, value) in map.binary_data.unwrap_or_default() {
        data.insert(key, value.0);
    }
    pick("configmap", data, items, optional, mode)
}

async fn secret(
    ctx: &VolumeContext,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Payload, MountError> {
    let found = ctx.api.secret(model::namespace(pod), name).await;
    let Some(secret) = unless_optional(found, optional)? else {
        return Ok(Payload::new());
    };
    let mut data = BTreeMap::new();
    for (key, value) in secret.data.unwrap_or_default() {
        data.insert(key, value.0);
    }
    pick("secret", data, items, optional, mode)
}

fn downward_api(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    node: &NodeContext,
    mode: i32,
) -> Result<Payload, MountError> {
    let mut payload = Payload::new();
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_value(pod, node, &field.field_path)?,
            (_, Some(resource)) => resource_value(pod, None, node, resource)?,
            _ => return Err(MountError::NoSource(item.path.clone())),
        };
        let mode = item.mode.unwrap_or(mode);
        let file = file(value.into_bytes(), mode);
        payload.insert(item.path.clone(), file);
    }
    Ok(payload)
}

async fn projected(
    ctx: &VolumeContext,
    pod: &Pod,
    source: &ProjectedVolumeSource,
    node: &NodeContext,
) -> Result<Payload, MountError> {
    let mode = default_mode(source.default_mode);
    let mut payload = Payload::new();
    for projection in source.sources.iter().flatten() {
        payload.extend(projection_files(ctx, pod, projection, node, mode).await?);
    }
    Ok(payload)
}

async fn projection_files(
    ctx: &VolumeContext,
    pod: &Pod,
    projection: &VolumeProjection,
    node: &NodeContext,
    mode: i32,
) -> Result<Payload, MountError> {
    if let Some(source) = &projection.config_map {
        let items = source.items.as_deref();
        return config_map(ctx, pod, &source.name, items, source.optional, mode).await;
    }
    if let Some(source) = &projection.secret {
        let items = source.items.as_deref();
        return secret(ctx, pod, &source.name, items, source.optional, mode).await;
    }
    if let Some(source) = &projection.downward_api {
        let items = source.items.as_deref().unwrap_or_default();
        return downward_api(pod, items, node, mode);
    }
    if let Some(source) = &projection.service_account_token {
        return service_account_token(ctx, pod, source, mode).await;
    }
    if projection.cluster_trust_bundle.is_some() {
        return Err(MountError::UnsupportedProjection("clusterTrustBundle"));
    }
    if projection.pod_certificate.is_some() {
        return Err(MountError::UnsupportedProjection("podCertificate"));
    }
    Ok(Payload::new())
}

async fn service_account_token(
    ctx: &VolumeContext,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: i32,
) -> Result<Payload, MountError> {
    let value = ctx.tokens.token(pod, source).await?;
    let mut file = file(value.into_bytes(), mode);
    // Readable for the one user of the pod only, where all containers agree on one.
    if fs_group(pod).is_some() {
        file.mode = 0o600;
    } else if let Some(uid) = common_user(pod) {
        file.uid = Some(uid);
        file.mode = 0o600;
    }
    Ok(Payload::from([(source.path.clone(), file)]))
}

fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let context = spec.security_context.as_ref();
    let default = context.and_then(|context| context.run_as_user);
    let mut users = model::all_containers(spec).map(|(_, container)| {
        let own = container.security_context.as_ref();
        let user = own.and_then(|own| own.run_as_user);
        user.or(default)
    });
    let first = users.next().flatten()?;
    let all_agree = users.all(|user| user == Some(first));
    if !all_agree {
        return None;
    }
    u32::try_from(first).ok()
}
