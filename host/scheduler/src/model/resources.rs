//! Amounts of resources in the units that filters and scores count in.

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity;
use k3s_objects::ResourceList;

/// Amounts: CPU in thousandths of a core, the rest in whole units (bytes, devices).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes of local disk.
    pub ephemeral_storage: i64,
    /// Pods (allocatable only).
    pub pods: i64,
    /// Extended resources and huge pages by name.
    pub others: BTreeMap<String, i64>,
}

impl Resources {
    /// Rounds the amounts of a list up to the units counted here.
    #[must_use]
    pub fn from_list(list: &ResourceList) -> Self {
        let mut all = Self::default();
        for (name, amount) in list.iter() {
            match name.as_str() {
                "cpu" => all.milli_cpu = milli(*amount),
                "memory" => all.memory = amount.value(),
                "ephemeral-storage" => all.ephemeral_storage = amount.value(),
                "pods" => all.pods = amount.value(),
                other => {
                    all.others.insert(other.to_owned(), amount.value());
                }
            }
        }
        all
    }

    /// Adds.
    pub fn add(&mut self, more: &Self) {
        self.combine(more, i64::saturating_add);
    }

    /// Subtracts.
    pub fn subtract(&mut self, less: &Self) {
        self.combine(less, i64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, how: fn(i64, i64) -> i64) {
        self.milli_cpu = how(self.milli_cpu, other.milli_cpu);
        self.memory = how(self.memory, other.memory);
        self.ephemeral_storage = how(self.ephemeral_storage, other.ephemeral_storage);
        for (name, value) in &other.others {
            let own = self.others.entry(name.clone()).or_insert(0);
            *own = how(*own, *value);
        }
    }
}

fn milli(amount: Quantity) -> i64 {
    i64::try_from(amount.milli()).unwrap_or(i64::MAX)
}
