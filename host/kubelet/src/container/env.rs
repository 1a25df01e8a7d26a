//! A container's environment: service variables, `envFrom`, `env` with `valueFrom`
//! (`makeEnvironmentVariables` in upstream's `pkg/kubelet/kubelet_pods.go`).

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapKeySelector, Container, EnvFromSource, EnvVar, EnvVarSource, Pod,
    SecretEnvSource, SecretKeySelector, Service, ServicePort,
};

use super::context::ContainerContext;
use super::error::ConfigError;
use super::expand::expand;
use super::fields::{NodeContext, field_value, resource_value};
use crate::api::unless_optional;
use crate::model;

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
    ctx: &ContainerContext,
    pod: &Pod,
    container: &Container,
    node: &NodeContext,
) -> Result<Environment, ConfigError> {
    let namespace = model::namespace(pod);
    let spec = pod.spec.as_ref();
    let links = spec.and_then(|spec| spec.enable_service_links);
    let services = ctx.api.services(namespace);
    let mut services = service_variables(&services, namespace, links.unwrap_or(true));

    let mut result = Environment::default();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let variables = env_from(ctx, pod, source).await?;
        for (key, value) in variables {
            let name = format!("{prefix}{key}");
            result.set(&name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => value_from(ctx, pod, container, node, source).await?,
            None => Some(expanded(variable, &result, &services)),
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

/// A variable's text with the variables before it, or those of services, in place of `$(NAME)`.
fn expanded(
    variable: &EnvVar,
    before: &Environment,
    services: &BTreeMap<String, String>,
) -> String {
    let lookup = |name: &str| {
        let own = before.get(name);
        own.or_else(|| services.get(name).cloned())
    };
    let text = variable.value.as_deref();
    expand(text.unwrap_or_default(), lookup)
}

async fn env_from(
    ctx: &ContainerContext,
    pod: &Pod,
    source: &EnvFromSource,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let namespace = model::namespace(pod);
    let mut variables = if let Some(reference) = &source.config_map_ref {
        config_map_variables(ctx, namespace, reference).await?
    } else if let Some(reference) = &source.secret_ref {
        secret_variables(ctx, namespace, reference).await?
    } else {
        BTreeMap::new()
    };
    variables.retain(|name, _| usable(name));
    Ok(variables)
}

async fn config_map_variables(
    ctx: &ContainerContext,
    namespace: &str,
    reference: &ConfigMapEnvSource,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let found = ctx.api.config_map(namespace, &reference.name).await;
    let map = unless_optional(found, reference.optional)?;
    let data = map.and_then(|map| map.data);
    Ok(data.unwrap_or_default())
}

async fn secret_variables(
    ctx: &ContainerContext,
    namespace: &str,
    reference: &SecretEnvSource,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let found = ctx.api.secret(namespace, &reference.name).await;
    let secret = unless_optional(found, reference.optional)?;
    let data = secret.and_then(|secret| secret.data);
    let mut variables = BTreeMap::new();
    for (key, value) in data.unwrap_or_default() {
        variables.insert(key, lossy(&value));
    }
    Ok(variables)
}

/// A secret's value as text.
fn lossy(value: &ByteString) -> String {
    let text = String::from_utf8_lossy(&value.0);
    text.into_owned()
}

/// Printable ASCII without `=` may name a variable.
fn usable(name: &str) -> bool {
    let printable = |byte: u8| (0x20..0x7f).contains(&byte);
    let allowed = |byte: u8| printable(byte) && byte != b'=';
    !name.is_empty() && name.bytes().all(allowed)
}

async fn value_from(
    ctx: &ContainerContext,
    pod: &Pod,
    container: &Container,
    node: &NodeContext,
    source: &EnvVarSource,
) -> Result<Option<String>, ConfigError> {
    let namespace = model::namespace(pod);
    if let Some(field) = &source.field_ref {
        let value = field_value(pod, node, &field.field_path)?;
        return Ok(Some(value));
    }
    if let Some(resource) = &source.resource_field_ref {
        let value = resource_value(pod, Some(container), node, resource)?;
        return Ok(Some(value));
    }
    if let Some(selector) = &source.config_map_key_ref {
        return config_map_key(ctx, namespace, selector).await;
    }
    if let Some(selector) = &source.secret_key_ref {
        return secret_key(ctx, namespace, selector).await;
    }
    if source.file_key_ref.is_some() {
        return Err(ConfigError::Unsupported("env.valueFrom.fileKeyRef"));
    }
    Err(ConfigError::NoSource)
}

async fn config_map_key(
    ctx: &ContainerContext,
    namespace: &str,
    selector: &ConfigMapKeySelector,
) -> Result<Option<String>, ConfigError> {
    let found = ctx.api.config_map(namespace, &selector.name).await;
    let Some(map) = unless_optional(found, selector.optional)? else {
        return Ok(None);
    };
    let mut data = map.data.unwrap_or_default();
    let value = data.remove(&selector.key);
    if value.is_none() && selector.optional != Some(true) {
        return Err(ConfigError::MissingKey {
            kind: "ConfigMap",
            namespace: namespace.to_owned(),
            name: selector.name.clone(),
            key: selector.key.clone(),
        });
    }
    Ok(value)
}

async fn secret_key(
    ctx: &ContainerContext,
    namespace: &str,
    selector: &SecretKeySelector,
) -> Result<Option<String>, ConfigError> {
    let found = ctx.api.secret(namespace, &selector.name).await;
    let Some(secret) = unless_optional(found, selector.optional)? else {
        return Ok(None);
    };
    let data = secret.data.unwrap_or_default();
    let value = data.get(&selector.key);
    if value.is_none() && selector.optional != Some(true) {
        return Err(ConfigError::MissingKey {
            kind: "Secret",
            namespace: namespace.to_owned(),
            name: selector.name.clone(),
            key: selector.key.clone(),
        });
    }
    Ok(value.map(lossy))
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
        let meta = &service.metadata;
        let name = meta.name.as_deref().unwrap_or_default();
        let home = meta.namespace.as_deref().unwrap_or_default();
        let is_master = home == "default" && name == "kubernetes";
        if is_master {
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
    let prefix = variable_name(name);
    let host = format!("{prefix}_SERVICE_HOST");
    variables.insert(host, ip.to_owned());
    let ports = spec.ports.iter().flatten();
    for (index, port) in ports.enumerate() {
        let is_first = index == 0;
        add_port(variables, &prefix, ip, is_first, port);
    }
}

/// The variables of one port, in the form of Kubernetes and in that of Docker links. Those without
/// a number or name are of the first port.
fn add_port(
    variables: &mut BTreeMap<String, String>,
    prefix: &str,
    ip: &str,
    first: bool,
    port: &ServicePort,
) {
    let number = port.port.to_string();
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let scheme = protocol.to_ascii_lowercase();
    let is_v6 = ip.contains(':');
    let host = if is_v6 {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let url = format!("{scheme}://{host}:{number}");
    let mut set = |suffix: &str, value: &str| {
        let name = format!("{prefix}_{suffix}");
        variables.insert(name, value.to_owned());
    };
    if first {
        set("SERVICE_PORT", &number);
        set("PORT", &url);
    }
    let port_name = port.name.as_deref().unwrap_or_default();
    if !port_name.is_empty() {
        let port_name = variable_name(port_name);
        let suffix = format!("SERVICE_PORT_{port_name}");
        set(&suffix, &number);
    }
    let link = format!("PORT_{number}_{protocol}");
    set(&link, &url);
    let parts = [("PROTO", scheme.as_str()), ("PORT", &number), ("ADDR", ip)];
    for (part, value) in parts {
        set(&format!("{link}_{part}"), value);
    }
}

fn variable_name(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
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
