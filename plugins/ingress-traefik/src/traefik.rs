//! The contract's functions.

use std::cell::RefCell;

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Cluster, IngressController, Key, Kind, Outcome};

use crate::config::Config;
use crate::outcome::warn_all;
use crate::view::View;
use crate::{crd, ingress, kinds};

/// The ingress controller: its settings.
#[derive(Debug)]
pub struct Traefik {
    config: Config,
}

impl IngressController for Traefik {
    type Config = Config;

    const NAME: &'static str = "traefik";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const KINDS: &'static [&'static Kind] = kinds::ALL;

    fn new(config: Config) -> Result<Self, Sentence> {
        Ok(Self { config })
    }

    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, Sentence> {
        let view = View {
            config: &self.config,
            cluster,
            warnings: RefCell::default(),
        };
        let compile = if *key.kind == kinds::INGRESS {
            ingress::compile
        } else if *key.kind == kinds::INGRESS_ROUTE {
            crd::route::compile
        } else if *key.kind == kinds::INGRESS_ROUTE_TCP {
            crd::compile_tcp
        } else if *key.kind == kinds::TLS_STORE {
            crd::store::compile
        } else {
            crd::not_supported
        };
        let mut outcome = compile(&view, key);
        if let Some(outcome) = &mut outcome {
            warn_all(outcome, "Ignored", view.warnings.take());
        }
        Ok(outcome)
    }
}
