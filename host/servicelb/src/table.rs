//! What every Service was assigned, for the writers.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::model::Assignment;

/// Assignments by Service.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: RwLock<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    /// Every Service was assigned once; before that, absence means nothing.
    complete: bool,
    by_service: HashMap<Arc<str>, Arc<Assignment>>,
}

impl Table {
    /// Stores an assignment. From here on writers act on it, so the nodes' forwards are set before.
    pub(crate) fn set(&self, assignment: Assignment) {
        self.rows
            .write()
            .by_service
            .insert(assignment.service.clone(), Arc::new(assignment));
    }

    /// Forgets a Service; as with [`Table::set`], the nodes' forwards are set before.
    pub(crate) fn remove(&self, service: &str) {
        self.rows.write().by_service.remove(service);
    }

    /// What a Service was assigned last.
    pub(crate) fn last(&self, service: &str) -> Option<Arc<Assignment>> {
        self.rows.read().by_service.get(service).cloned()
    }

    /// Every Service was assigned once.
    pub(crate) fn set_complete(&self) {
        self.rows.write().complete = true;
    }

    /// `None` before every Service was assigned once; `Some(None)` for a Service without assignment.
    pub(crate) fn get(&self, service: &str) -> Option<Option<Arc<Assignment>>> {
        let rows = self.rows.read();
        rows.complete.then(|| rows.by_service.get(service).cloned())
    }
}
