//! EndpointSlices (`discovery/v1.EndpointSlice`).

use crate::view::view;

/// Label that names the Service to which a slice belongs.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Label that names the component which keeps a slice; others leave it alone.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

view! {
    /// A slice of the endpoints of a Service.
    pub struct EndpointSlice {
        /// `IPv4`, `IPv6` or `FQDN`.
        pub address_type: String,
        /// Endpoints, all of which have all ports.
        pub endpoints: Vec<Endpoint>,
        /// Ports.
        pub ports: Vec<EndpointPort>,
    }

    /// `discovery/v1.Endpoint`
    pub struct Endpoint {
        /// Addresses that are fungible; readers use the first.
        pub addresses: Vec<String>,
        /// State of the endpoint.
        pub conditions: EndpointConditions,
        /// Name in DNS, where the pod has one.
        pub hostname: Option<String>,
        /// Node on which it runs.
        pub node_name: Option<String>,
        /// The object that has the addresses.
        pub target_ref: TargetRef,
    }

    /// `core/v1.ObjectReference`, as an endpoint names its pod; empty texts where there is none.
    pub struct TargetRef {
        /// `Pod`.
        pub kind: String,
        /// Namespace.
        pub namespace: String,
        /// Name.
        pub name: String,
    }

    /// `discovery/v1.EndpointConditions`; `None` is unknown.
    pub struct EndpointConditions {
        /// Takes connections and is not terminating.
        pub ready: Option<bool>,
        /// Takes connections, terminating or not.
        pub serving: Option<bool>,
        /// Is being deleted.
        pub terminating: Option<bool>,
    }

    /// `discovery/v1.EndpointPort`
    pub struct EndpointPort {
        /// Name of the Service's port; empty for the only one.
        pub name: String,
        /// `TCP`, `UDP` or `SCTP`; empty means `TCP`.
        pub protocol: String,
        /// Number; `None` means all ports.
        pub port: Option<u16>,
    }
}

impl EndpointConditions {
    /// Unknown reads as ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Unknown reads as the readiness.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving.unwrap_or_else(|| self.is_ready())
    }

    /// Unknown reads as not terminating.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.terminating.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_conditions_have_their_meaning() {
        for (value, expected) in [
            (json!(null), (true, true, false)),
            (json!({"ready": null}), (true, true, false)),
            (json!({"ready": false}), (false, false, false)),
            (
                json!({"ready": false, "serving": true, "terminating": true}),
                (false, true, true),
            ),
        ] {
            let endpoint: Endpoint = serde_json::from_value(json!({"conditions": value})).unwrap();
            let conditions = &endpoint.conditions;
            let read = (
                conditions.is_ready(),
                conditions.is_serving(),
                conditions.is_terminating(),
            );
            assert_eq!(read, expected, "{value}");
        }
    }
}
