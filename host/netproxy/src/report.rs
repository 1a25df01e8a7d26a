//! Tells authors of Services what their Services do not get. One proxy reports what all of them see: Events of one
//! reason and text about one object are counted, not repeated.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use k3s_client::{EventRecorder, Obj};

use crate::model::Transport;
use crate::plan::Frontend;
use crate::reserved::Target;
use crate::state::ServiceKey;

/// What was reported already. Bounded by the number of Services.
pub(crate) struct Reports {
    events: EventRecorder,
    told: HashMap<ServiceKey, BTreeSet<String>>,
}

/// What a Service does not get.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    pub(crate) refused: Vec<(Target, &'static str)>,
    /// Frontends that another Service has.
    pub(crate) taken: Vec<(Frontend, ServiceKey)>,
}

impl Reports {
    pub(crate) fn new(events: EventRecorder) -> Self {
        Self {
            events,
            told: HashMap::new(),
        }
    }

    /// Reports what is new. A Service that does not exist any more is forgotten.
    pub(crate) fn tell(&mut self, key: &ServiceKey, object: Option<&Obj>, losses: &Losses) {
        let Some(object) = object.filter(|_| !losses.is_empty()) else {
            self.told.remove(key);
            return;
        };
        let sentences: BTreeSet<String> = losses.sentences().collect();
        let told = self.told.entry(key.clone()).or_default();
        for sentence in sentences.difference(told) {
            tracing::warn!(service = %key, "{sentence}");
            self.events.warning(object, "AddressNotServed", sentence);
        }
        *told = sentences;
    }
}

impl Losses {
    fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.taken.is_empty()
    }

    fn sentences(&self) -> impl Iterator<Item = String> {
        let refused = self
            .refused
            .iter()
            .map(|((address, transport, port), owner)| {
                let target = target(*address, *transport, *port);
                format!("external address {target} is not served: it belongs to {owner}")
            });
        let taken = self.taken.iter().map(|(frontend, owner)| {
            let target = match *frontend {
                Frontend::Address(address, transport, port) => target(address, transport, port),
                Frontend::NodePort(transport, port) => {
                    format!("node port {port}/{}", transport.name())
                }
                Frontend::ClusterIp(address) => address.to_string(),
            };
            format!("{target} is not served: service {owner} has it")
        });
        refused.chain(taken)
    }
}

fn target(address: Ipv4Addr, transport: Transport, port: u16) -> String {
    format!("{address}:{port}/{}", transport.name())
}
