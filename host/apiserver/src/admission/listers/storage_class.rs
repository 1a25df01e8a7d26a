//! A storage class. It is kept whole: which class is the default, and what a class allows, is
//! decided in `k3s-volume` for all components alike.

use k3s_registry::mirror::Decode;
use serde_json::Value;

pub(in crate::admission) struct StorageClass(pub(in crate::admission) Value);

impl Decode for StorageClass {
    const GROUP: &'static str = "storage.k8s.io";
    const PLURAL: &'static str = "storageclasses";

    fn decode(class: &Value) -> Self {
        Self(class.clone())
    }
}
