//! A pod network that misbehaves as its configuration demands, to prove that the rest of the cluster is
//! not affected. It sets nothing up and removes nothing, so that pods of the previous network keep their
//! connection; it misbehaves when a pod is added.

use k3s_plugin_sdk::cni::net::{Link, LinkKind, Plan};
use k3s_plugin_sdk::cni::{
    Attachment, Error, Host, NODE_OWNER, Node, Outcome, PodNetwork, Sandbox,
};
use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::{Sentence, export_cni, warn};

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    #[serde(default, rename = "network")]
    _network: String,
    /// `loop`, `hog`, `trap`, `flood`, `huge`, `lie`, `grab`, `fail-sync`.
    #[serde(default)]
    mode: String,
    /// For `trap`: at which call of an instance.
    #[serde(default)]
    at: u32,
}

struct Hostile {
    config: Config,
    calls: u32,
}

impl PodNetwork for Hostile {
    type Config = Config;

    const NAME: &'static str = "hostile";
    const VERSION: &'static str = "0.1.0";

    fn new(config: Config) -> Result<Self, Sentence> {
        match config.mode.as_str() {
            "refuse" => Err("on purpose".into()),
            _ => Ok(Self { config, calls: 0 }),
        }
    }

    fn sync(
        &mut self,
        host: &dyn Host,
        _this_node: &str,
        _nodes: &[Node],
    ) -> Result<Outcome, Error> {
        if self.config.mode == "fail-sync" {
            // What a network that breaks the node would do first.
            host.remove(NODE_OWNER)?;
            return Err(Error::Other("no network, on purpose".to_owned()));
        }
        Ok(Outcome {
            annotations: Vec::new(),
            subnet_env: String::new(),
        })
    }

    fn status(&self) -> Result<(), Error> {
        Ok(())
    }

    fn add(&mut self, host: &dyn Host, _sandbox: &Sandbox) -> Result<Attachment, Error> {
        self.calls += 1;
        match self.config.mode.as_str() {
            "loop" => loop {
                std::hint::spin_loop();
            },
            "hog" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                }
            }
            "trap" if self.calls > self.config.at => panic!("on purpose, at call {}", self.calls),
            "flood" => {
                for line in 0..100_000 {
                    warn!("flood line {line}");
                }
                Err(Error::Retry("flooded on purpose".to_owned()))
            }
            "huge" => Ok(Attachment {
                addresses: vec!["10.42.0.9 ".repeat(1 << 16); 40],
            }),
            "lie" => Ok(Attachment {
                addresses: vec!["not an address".to_owned()],
            }),
            "grab" => {
                let uplink = host.find_uplink()?.link;
                let link = Link {
                    name: uplink,
                    kind: LinkKind::Bridge,
                    mtu: 1500,
                    mac: None,
                    bridge: None,
                    hairpin: false,
                    addresses: Vec::new(),
                };
                host.apply(
                    NODE_OWNER,
                    &Plan {
                        links: vec![link],
                        ..Plan::default()
                    },
                )?;
                Err(Error::Other("the uplink was handed over".to_owned()))
            }
            _ => Err(Error::Retry("it never connects anything".to_owned())),
        }
    }

    fn del(&mut self, _: &dyn Host, _sandbox_id: &str) -> Result<(), Error> {
        Ok(())
    }

    fn check(&mut self, _: &dyn Host, _sandbox: &Sandbox) -> Result<(), Error> {
        Ok(())
    }

    fn gc(&mut self, _: &dyn Host, _valid_ids: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

export_cni!(Hostile);
