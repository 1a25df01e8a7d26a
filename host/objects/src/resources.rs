//! Lists of resource amounts (`core/v1.ResourceList`) and their arithmetic.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use k3s_meta::Quantity;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::view::view;

view! {
    /// What a container or a pod as a whole asks for and may use (`core/v1.ResourceRequirements`).
    pub struct ResourceRequirements {
        /// Guaranteed amounts.
        pub requests: ResourceList,
        /// Upper bounds.
        pub limits: ResourceList,
    }
}

/// Amounts by resource name. Validation has refused unreadable quantities when the object was
/// written; should there be one all the same, it reads as missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceList(BTreeMap<String, Quantity>);

impl ResourceList {
    /// Reads a list from the dynamic tree; anything but a map reads as empty.
    #[must_use]
    pub fn from_value(list: &Value) -> Self {
        let entries = list.as_object().into_iter().flatten();
        entries
            .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?)))
            .collect()
    }

    /// The amount of one resource, zero when the list does not name it.
    #[must_use]
    pub fn amount(&self, name: &str) -> Quantity {
        self.0.get(name).copied().unwrap_or(Quantity::ZERO)
    }

    /// Adds every amount of `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let sum = self.amount(name) + *amount;
            self.0.insert(name.clone(), sum);
        }
    }

    /// Raises each amount to that of `other` where the latter is greater.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            if self.0.get(name).is_none_or(|own| amount > own) {
                self.0.insert(name.clone(), *amount);
            }
        }
    }
}

impl Deref for ResourceList {
    type Target = BTreeMap<String, Quantity>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for ResourceList {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, Quantity)> for ResourceList {
    fn from_iter<I: IntoIterator<Item = (String, Quantity)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for ResourceList {
    type Item = (String, Quantity);
    type IntoIter = std::collections::btree_map::IntoIter<String, Quantity>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de> Deserialize<'de> for ResourceList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let readable = entries
            .into_iter()
            .filter_map(|(name, amount)| Some((name, Quantity::from_json(&amount).ok()?)));
        Ok(readable.collect())
    }
}

/// Whether a pod may name the resource in `spec.resources`
/// (`component-helpers/resource.IsSupportedPodLevelResource`).
#[must_use]
pub fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(value: Value) -> ResourceList {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn amounts_add_up_and_rise() {
        let mut sum = list(json!({"cpu": "100m", "memory": "1Gi"}));
        sum.add(&list(json!({"cpu": 1, "example.com/gpu": "2"})));
        assert_eq!(
            sum,
            list(json!({"cpu": "1100m", "memory": "1Gi", "example.com/gpu": 2}))
        );
        sum.raise_to(&list(json!({"cpu": "1", "memory": "2Gi", "pods": 3})));
        assert_eq!(sum.amount("cpu").to_string(), "1100m");
        assert_eq!(sum.amount("memory").to_string(), "2Gi");
        assert_eq!(sum.amount("pods").value(), 3);
        assert!(sum.amount("absent").is_zero());
    }

    #[test]
    fn unreadable_amounts_read_as_missing() {
        let value = json!({"cpu": "much", "memory": null, "pods": 3});
        assert_eq!(list(value.clone()), list(json!({"pods": 3})));
        assert_eq!(ResourceList::from_value(&value), list(json!({"pods": 3})));
        assert!(ResourceList::from_value(&json!("text")).is_empty());
    }
}
