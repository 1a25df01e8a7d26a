//! A container's environment: service variables, `envFrom`, `env` with `valueFrom`
//! (`makeEnvironmentVariables` in upstream's `pkg/kubelet/kubelet_pods.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};

use super::expand::expand;
use super::fields::{NodeFacts, field_value, resource_value};
use crate::context::Context;
use crate::pod::model;

/// The variables in order; a name occurs once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    list: Vec<(String, String)>,
}

impl Environment {
    /// A variable's value.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.list
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.list.iter_mut().find(|(n, _)| n == name) {
            Some(slot) => slot.1 = value,
            None => self.list.push((name.to_owned(), value)),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.list.iter()
    }
}

/// Builds the environment; an error is what `CreateContainerConfigError` says.
pub(crate) async fn environment(
    ctx: &Context,
    pod: &Pod,
    container: &Container,
    facts: &NodeFacts,
) -> Result<Environment, String> {
    let links = pod
        .spec
        .as_ref()
        .and_then(|s| s.enable_service_links)
        .unwrap_or(true);
    let mut services = service_variables(
        &ctx.services(model::namespace(pod)),
        model::namespace(pod),
        links,
    );
    let mut result = Environment::default();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        for (key, value) in env_from(ctx, pod, source).await? {
            result.set(&format!("{prefix}{key}"), value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => value_from(ctx, pod, container, facts, source).await?,
            None => {
                let lookup = |name: &str| result.get(name).or_else(|| services.get(name).cloned());
                Some(expand(
                    variable.value.as_deref().unwrap_or_default(),
                    lookup,
                ))
            }
        };
        if let Some(value) = value {
            services.remove(&variable.name);
            result.set(&variable.name, value);
        }
    }
    for (name, value) in services {
        if result.get(&name).is_none() {
            result.set(&name, value);
        }
    }
    Ok(result)
}

async fn env_from(
    ctx: &Context,
    pod: &Pod,
    source: &k8s_openapi::api::core::v1::EnvFromSource,
) -> Result<Vec<(String, String)>, String> {
    let namespace = model::namespace(pod);
    if let Some(reference) = &source.config_map_ref {
        let found = ctx.config_map(namespace, &reference.name).await;
        return match optional(found, reference.optional)? {
            Some(map) => Ok(map
                .data
                .unwrap_or_default()
                .into_iter()
                .filter(|(k, _)| usable(k))
                .collect()),
            None => Ok(Vec::new()),
        };
    }
    if let Some(reference) = &source.secret_ref {
        let found = ctx.secret(namespace, &reference.name).await;
        let Some(secret) = optional(found, reference.optional)? else {
            return Ok(Vec::new());
        };
        let data = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .filter(|(k, _)| usable(k));
        return Ok(data
            .map(|(k, v)| (k, String::from_utf8_lossy(&v.0).into_owned()))
            .collect());
    }
    Ok(Vec::new())
}

/// Printable ASCII without `=` may name a variable.
fn usable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=')
}

/// A missing object is fine where it is optional.
fn optional<T>(
    found: Result<T, crate::context::Lookup>,
    optional: Option<bool>,
) -> Result<Option<T>, String> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.missing && optional == Some(true) => Ok(None),
        Err(error) => Err(error.message),
    }
}

async fn value_from(
    ctx: &Context,
    pod: &Pod,
    container: &Container,
    facts: &NodeFacts,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    let namespace = model::namespace(pod);
    if let Some(field) = &source.field_ref {
        return field_value(pod, facts, &field.field_path).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        return resource_value(pod, Some(container), facts, resource).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        let found = optional(ctx.config_map(namespace, &key.name).await, key.optional)?;
        let Some(map) = found else { return Ok(None) };
        return config_map_key(&map, &key.key, namespace, &key.name, key.optional);
    }
    if let Some(key) = &source.secret_key_ref {
        let found = optional(ctx.secret(namespace, &key.name).await, key.optional)?;
        let Some(secret) = found else { return Ok(None) };
        return secret_key(&secret, &key.key, namespace, &key.name, key.optional);
    }
    if source.file_key_ref.is_some() {
        return Err("env.valueFrom.fileKeyRef is not supported by this node".to_owned());
    }
    Err("env.valueFrom names no source".to_owned())
}

fn config_map_key(
    map: &ConfigMap,
    key: &str,
    ns: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<String>, String> {
    match map.data.as_ref().and_then(|d| d.get(key)) {
        Some(value) => Ok(Some(value.clone())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in ConfigMap {ns}/{name}")),
    }
}

fn secret_key(
    secret: &Secret,
    key: &str,
    ns: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<String>, String> {
    match secret.data.as_ref().and_then(|d| d.get(key)) {
        Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in Secret {ns}/{name}")),
    }
}

/// Service links: every service of the namespace where asked for, and always `kubernetes`.
fn service_variables(
    services: &[Service],
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut master = None;
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let home = service.metadata.namespace.as_deref().unwrap_or_default();
        if home == "default" && name == "kubernetes" {
            master = Some(service);
        } else if home == namespace && links {
            add_service(&mut variables, name, service);
        }
    }
    if let Some(service) = master {
        add_service(&mut variables, "kubernetes", service);
    }
    variables
}

fn add_service(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    if ip.is_empty() || ip == "None" {
        return;
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    let upper = |text: &str| text.to_ascii_uppercase().replace('-', "_");
    let prefix = upper(name);
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let mut set =
        |suffix: String, value: String| variables.insert(format!("{prefix}_{suffix}"), value);
    set("SERVICE_HOST".into(), ip.to_owned());
    for (index, port) in ports.iter().enumerate() {
        let number = port.port;
        if index == 0 {
            set("SERVICE_PORT".into(), number.to_string());
        }
        if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
            set(
                format!("SERVICE_PORT_{}", upper(port_name)),
                number.to_string(),
            );
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{number}", protocol.to_ascii_lowercase());
        if index == 0 {
            set("PORT".into(), url.clone());
        }
        let link = format!("PORT_{number}_{protocol}");
        set(link.clone(), url);
        set(format!("{link}_PROTO"), protocol.to_ascii_lowercase());
        set(format!("{link}_PORT"), number.to_string());
        set(format!("{link}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn service_variables_have_both_forms_and_kubernetes_is_always_there() {
        let service = |ns: &str, name: &str, ip: &str| -> Service {
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": ns},
                "spec": {"clusterIP": ip, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}))
            .unwrap()
        };
        let list = [
            service("a", "my-web", "10.43.0.5"),
            service("a", "headless", "None"),
            service("default", "kubernetes", "10.43.0.1"),
        ];
        let variables = service_variables(&list, "a", true);
        for (name, value) in [
            ("MY_WEB_SERVICE_HOST", "10.43.0.5"),
            ("MY_WEB_SERVICE_PORT_HTTP", "80"),
            ("MY_WEB_PORT", "tcp://10.43.0.5:80"),
            ("MY_WEB_PORT_80_TCP_ADDR", "10.43.0.5"),
            ("KUBERNETES_SERVICE_HOST", "10.43.0.1"),
        ] {
            assert_eq!(
                variables.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        assert!(!variables.keys().any(|k| k.starts_with("HEADLESS")));
        assert!(
            service_variables(&list, "a", false)
                .keys()
                .all(|k| k.starts_with("KUBERNETES"))
        );
    }
}
