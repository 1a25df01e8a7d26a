//! DefaultTolerationSeconds: a pod stays for five minutes on a node that is not ready or not
//! reachable, unless it says otherwise.

use async_trait::async_trait;
use k3s_meta::tree;
use k3s_objects::Toleration;
use k3s_registry::{Attributes, Operation, Result};
use serde_json::{Value, json};

use super::{Step, is_write_of};

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Step for DefaultTolerationSeconds {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        pod: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        if !writes || !is_write_of(attributes, "", "pods") {
            return Ok(());
        }
        let mut tolerations = tree::list(pod, "spec.tolerations").to_vec();
        let before = tolerations.len();
        for taint in TAINTS {
            let concerns = |it: &Value| Toleration::from_value(it).concerns(taint, "NoExecute");
            if !tolerations.iter().any(concerns) {
                tolerations.push(json!({
                    "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
                }));
            }
        }
        if tolerations.len() > before {
            tree::set(pod, "spec.tolerations", tolerations);
        }
        Ok(())
    }
}
