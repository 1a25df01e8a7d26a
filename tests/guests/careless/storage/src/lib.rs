//! A storage provisioner that breaks its contract in the way of its configuration (`mode`), as careless
//! authors do; `k3s plugin check` must find it. Without a mode it keeps the contract.

use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::serde_json::Value;
use k3s_plugin_sdk::storage::{
    Affinity, Class, Error, Existing, Host, Kind, Node, Provisioner, Request, Volume,
};
use k3s_plugin_sdk::{Sentence, export_storage};

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Config {
    #[serde(rename = "nodePathMap")]
    nodes: Value,
    mode: String,
    /// Everything else, which a careful plugin refuses.
    #[serde(flatten)]
    unknown: std::collections::BTreeMap<String, Value>,
}

struct Careless {
    root: String,
    mode: String,
    calls: u32,
}

impl Careless {
    fn is(&self, mode: &str) -> bool {
        self.mode == mode
    }
}

impl Provisioner for Careless {
    type Config = Config;

    const NAME: &'static str = "careless";
    const VERSION: &'static str = "0.1.0";

    fn new(config: Config) -> Result<Self, Sentence> {
        if !config.unknown.is_empty() && config.mode != "takes-any-setting" {
            return Err("unknown settings".into());
        }
        let root = config
            .nodes
            .pointer("/0/paths/0")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            root,
            mode: config.mode,
            calls: 0,
        })
    }

    fn provision(&mut self, host: &dyn Host, request: &Request) -> Result<Volume, Error> {
        self.calls += 1;
        if self.is("traps") {
            panic!("on purpose");
        }
        if request.claim.block && !self.is("makes-devices") {
            return Err(Error::Invalid("no devices".to_owned()));
        }
        let mut path = format!("{}/{}", self.root, request.volume_name);
        match self.mode.as_str() {
            "forgets" => path = format!("{path}-{}", self.calls),
            "shares" => path = format!("{}/all", self.root),
            "nests" if request.volume_name.ends_with('b') => {
                path = format!("{}/pvc-a/b", self.root)
            }
            "wipes" => host.remove(&path)?,
            "escapes" => {
                let path = "/etc/kubernetes".to_owned();
                return Ok(volume(path, request));
            }
            "promises" => return Ok(volume(path, request)),
            _ => {}
        }
        host.make(&path, 0o777, None)?;
        let mut made = volume(path, request);
        match self.mode.as_str() {
            "shrinks" => made.capacity_bytes /= 2,
            "elsewhere" => {
                let values = vec!["another-node".to_owned()];
                made.affinity = Some(Affinity {
                    key: "kubernetes.io/hostname".to_owned(),
                    values,
                });
            }
            _ => {}
        }
        Ok(made)
    }

    fn delete(&mut self, host: &dyn Host, volume: &Existing) -> Result<(), Error> {
        match self.mode.as_str() {
            "keeps" => Ok(()),
            // Claims success whatever happened.
            "agrees" => {
                let _ = host.remove(&volume.path);
                Ok(())
            }
            _ => Ok(host.remove(&volume.path)?),
        }
    }

    fn expand(
        &mut self,
        _: &dyn Host,
        volume: &Existing,
        capacity_bytes: u64,
    ) -> Result<u64, Error> {
        if self.is("does-not-grow") {
            Ok(volume.capacity_bytes)
        } else {
            Ok(capacity_bytes)
        }
    }

    fn capacity(&mut self, host: &dyn Host, _class: &Class, _node: &Node) -> Result<u64, Error> {
        Ok(host.usage(&self.root)?.available_bytes)
    }
}

fn volume(path: String, request: &Request) -> Volume {
    let capacity_bytes = request.claim.capacity_bytes;
    Volume {
        kind: Kind::Local,
        path,
        affinity: None,
        capacity_bytes,
        annotations: Vec::new(),
    }
}

export_storage!(Careless);
