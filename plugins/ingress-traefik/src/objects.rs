//! Narrow views of the Kubernetes objects that routes follow from.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressClass {
    pub(crate) metadata: Meta,
    pub(crate) spec: IngressClassSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressClassSpec {
    pub(crate) controller: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ingress {
    pub(crate) metadata: Meta,
    pub(crate) spec: IngressSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressSpec {
    pub(crate) ingress_class_name: Option<String>,
    pub(crate) default_backend: Option<IngressBackend>,
    pub(crate) tls: Vec<IngressTls>,
    pub(crate) rules: Vec<IngressRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressTls {
    pub(crate) secret_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressRule {
    pub(crate) host: String,
    pub(crate) http: Option<HttpRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRule {
    pub(crate) paths: Vec<HttpPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpPath {
    pub(crate) path: String,
    pub(crate) path_type: String,
    pub(crate) backend: IngressBackend,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressBackend {
    pub(crate) service: Option<IngressService>,
    pub(crate) resource: Option<TypedReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TypedReference {
    pub(crate) kind: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressService {
    pub(crate) name: String,
    pub(crate) port: PortReference,
}

/// A Service's port by name or by number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PortReference {
    pub(crate) name: String,
    pub(crate) number: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub(crate) metadata: Meta,
    pub(crate) spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    pub(crate) r#type: String,
    pub(crate) external_name: String,
    pub(crate) ports: Vec<ServicePort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServicePort {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) app_protocol: String,
}
