//! Choosing among a target's backends by weight, and keeping clients where they were.

use std::sync::Arc;

use parking_lot::Mutex;

use super::client::Client;
use super::pool::Pool;
use crate::model::{Backend, Cookie};

/// A backend that can be used.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) backend: Backend,
    pub(crate) pool: Arc<Pool>,
    pub(crate) client: Arc<Client>,
    /// `namespace-name-port`, for logs, metrics and cookies.
    pub(crate) service: Arc<str>,
}

/// Where a route leads.
#[derive(Debug)]
pub(crate) struct Balancer {
    choices: Vec<Choice>,
    sticky: Option<Cookie>,
    /// The service, or all of them, for metrics and cookies.
    label: Arc<str>,
    /// Smooth weighted round robin: each turn everybody gains its weight, the richest is taken and
    /// pays the sum (nginx, `ngx_http_upstream_round_robin.c`).
    credit: Mutex<Vec<i64>>,
}

impl Balancer {
    /// Backends of weight 0 are kept for clients that stick to them.
    pub(crate) fn new(choices: Vec<Choice>, sticky: Option<Cookie>) -> Self {
        let credit = Mutex::new(vec![0; choices.len()]);
        let names: Vec<&str> = choices.iter().map(|choice| &*choice.service).collect();
        let label = names.join("+").into();
        Self {
            choices,
            sticky,
            label,
            credit,
        }
    }

    /// The service, or all of them.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The cookie that keeps clients at a backend.
    pub(crate) fn sticky(&self) -> Option<&Cookie> {
        self.sticky.as_ref()
    }

    /// The backend whose turn it is, or the one a client brought the name of. Backends without
    /// endpoints are passed over while others have some.
    pub(crate) fn choose(&self, preferred: Option<&str>) -> Option<&Choice> {
        if let [only] = self.choices.as_slice() {
            return Some(only);
        }
        let named = preferred.and_then(|name| {
            self.choices
                .iter()
                .find(|choice| service_id(&choice.service) == name)
        });
        if let Some(named) = named.filter(|choice| !choice.pool.is_empty()) {
            return Some(named);
        }
        let usable = |choice: &Choice| choice.backend.weight > 0 && !choice.pool.is_empty();
        let mut credit = self.credit.lock();
        let mut sum = 0;
        let mut best: Option<(usize, i64)> = None;
        for (at, choice) in self
            .choices
            .iter()
            .enumerate()
            .filter(|(_, choice)| usable(choice))
        {
            let weight = i64::from(choice.backend.weight);
            sum += weight;
            if let Some(own) = credit.get_mut(at) {
                *own += weight;
                if best.is_none_or(|(_, most)| *own > most) {
                    best = Some((at, *own));
                }
            }
        }
        let Some((at, _)) = best else {
            return self.choices.iter().find(|choice| choice.backend.weight > 0);
        };
        if let Some(own) = credit.get_mut(at) {
            *own -= sum;
        }
        self.choices.get(at)
    }
}

/// What a cookie says of a backend.
pub(crate) fn service_id(service: &str) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    service.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
