use serde_json::json;

use super::*;
use crate::pod::model::SandboxRecord;

#[test]
fn placeholder_for_compile() {
    assert!(plan(&Pod::default(), &Observed::default(), &HashMap::new()).is_empty());
    let _ = (json!({}), SandboxRecord { id: String::new(), attempt: 0, ready: true, created_at_ns: 0, ips: vec![] });
}
