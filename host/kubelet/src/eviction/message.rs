//! The message of an evicted pod, in upstream's words (`pkg/kubelet/eviction/helpers.go`).

use std::fmt::Write;

use k3s_meta::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::Container;

use super::plan::{Candidate, Met};
use super::settings::Signal;

/// The node is short of something, and these containers use more of it than they asked for.
pub(super) fn low_on_resource(met: &Met, candidate: &Candidate) -> String {
    let resource = met.signal.resource();
    let mut out = format!(
        "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. ",
        shown(met.signal, met.quantity),
        shown(met.signal, met.available)
    );
    let spec = candidate.pod.spec.as_ref();
    for container in spec.into_iter().flat_map(|s| &s.containers) {
        let Some(used) = candidate
            .usage
            .containers
            .iter()
            .find(|c| c.name == container.name)
        else {
            continue;
        };
        let used = match met.signal {
            Signal::Memory => used.memory_bytes,
            Signal::NodeFs | Signal::ImageFs => used.disk_bytes,
            _ => continue,
        };
        let (text, requested) = request(container, resource);
        if used > requested {
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "Container {} was using {}, request is {text}, has larger consumption of {resource}. ",
                container.name,
                kibibytes(used)
            );
        }
    }
    out
}

fn request(container: &Container, resource: &str) -> (String, u64) {
    let requests = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref());
    let text = requests
        .and_then(|r| r.get(resource))
        .map_or("0", |q| q.0.as_str());
    let amount = Quantity::parse(text).map_or(0, |q| u64::try_from(q.value()).unwrap_or(0));
    (text.to_owned(), amount)
}

fn shown(signal: Signal, amount: u64) -> String {
    match signal {
        Signal::Memory | Signal::NodeFs | Signal::ImageFs => kibibytes(amount),
        _ => amount.to_string(),
    }
}

/// A number of bytes in binary units.
pub(super) fn kibibytes(bytes: u64) -> String {
    Quantity::from_value(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::usage::{ContainerUse, PodUse};
    use super::*;

    #[test]
    fn the_words_are_upstreams() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "resources": {"requests": {"memory": "1Gi"}}}]}});
        let usage = |name: &str| ContainerUse {
            name: name.into(),
            memory_bytes: 3 << 20,
            disk_bytes: 0,
        };
        let candidate = Candidate {
            pod: Arc::new(serde_json::from_value(pod).unwrap()),
            usage: PodUse {
                containers: vec![usage("a"), usage("b")],
                ..PodUse::default()
            },
        };
        let met = Met {
            signal: Signal::Memory,
            quantity: 100 << 20,
            threshold: "100Mi".into(),
            available: 2 << 10,
        };
        assert_eq!(
            low_on_resource(&met, &candidate),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 2Ki. \
             Container a was using 3Mi, request is 0, has larger consumption of memory. "
        );
        assert_eq!(
            (kibibytes(0), kibibytes(1025)),
            ("0".to_owned(), "1025".to_owned())
        );
    }
}
