//! `retry`: the rest of the chain is tried again while no server answers.

use std::time::Duration;

use http::Request;

use super::{Answer, Exchange, Layer, Next};
use crate::error::MiddlewareError;
use crate::model;
use crate::proxy::NoAnswer;
use crate::upstream::body::Keeper;

/// More attempts than this are a mistake.
const MAX_ATTEMPTS: u32 = 100;
/// The wait doubles up to this.
const MAX_INTERVAL: Duration = Duration::from_secs(30);

/// Tries again.
pub(crate) struct Retry {
    attempts: u32,
    initial_interval: Duration,
}

impl Retry {
    pub(crate) fn new(settings: &model::Retry) -> Result<Self, MiddlewareError> {
        if settings.attempts == 0 || settings.attempts > MAX_ATTEMPTS {
            return Err(MiddlewareError::Attempts { max: MAX_ATTEMPTS });
        }
        let initial_interval = Duration::from_millis(settings.initial_interval_ms);
        Ok(Self {
            attempts: settings.attempts,
            initial_interval,
        })
    }
}

impl Layer for Retry {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        Box::pin(async move {
            let Exchange { request, origin } = exchange;
            let (mut parts, body) = request.into_parts();
            // An upgrade can be taken from a request once.
            let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
            if let Some(upgrade) = upgrade {
                parts.extensions.insert(upgrade);
                return next
                    .run(Exchange {
                        request: Request::from_parts(parts, body),
                        origin,
                    })
                    .await;
            }
            parts.extensions.clear();
            let body = Keeper::new(body);
            let mut interval = self.initial_interval;
            let mut attempt = 1;
            loop {
                let request =
                    Request::from_parts(parts.clone(), k3s_serve::body::boxed(body.whole()));
                let response = next
                    .run(Exchange {
                        request,
                        origin: origin.clone(),
                    })
                    .await;
                let no_answer = response.extensions().get::<NoAnswer>().copied();
                // What a server has seen is repeated only if that changes nothing there.
                let again = match no_answer {
                    Some(NoAnswer {
                        may_have_been_seen: false,
                    }) => true,
                    Some(_) => parts.method.is_safe(),
                    None => false,
                };
                if !again || attempt >= self.attempts || !body.is_whole() {
                    return response;
                }
                next.proxy.metrics.retried();
                attempt += 1;
                if !interval.is_zero() {
                    tokio::time::sleep(interval).await;
                    interval = interval.saturating_mul(2).min(MAX_INTERVAL);
                }
            }
        })
    }
}
