//! Amounts of resources, and the arithmetic of pods' requests.

use std::collections::BTreeMap;

use super::amount;

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
    /// Reads a `ResourceList`.
    #[must_use]
    pub fn read(list: &BTreeMap<String, String>) -> Self {
        let mut all = Self::default();
        for (name, text) in list {
            match name.as_str() {
                "cpu" => all.milli_cpu = amount(text, true),
                "memory" => all.memory = amount(text, false),
                "ephemeral-storage" => all.ephemeral_storage = amount(text, false),
                "pods" => all.pods = amount(text, false),
                other => {
                    all.others.insert(other.to_owned(), amount(text, false));
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

    /// The greater of each amount.
    pub fn maximum(&mut self, other: &Self) {
        self.combine(other, i64::max);
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
