//! The contract's functions.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Cluster, IngressController, Key, Kind, Outcome};

use crate::config::Config;
use crate::view::View;
use crate::{crd, ingress, kinds};

/// The ingress controller: its settings.
#[derive(Debug)]
pub(crate) struct Traefik {
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
        };
        let compile = if *key.kind == kinds::INGRESS {
            ingress::compile
        } else if *key.kind == kinds::INGRESS_ROUTE {
            crd::route::compile
        } else {
            crd::compile_tcp
        };
        Ok(compile(&view, key))
    }
}
