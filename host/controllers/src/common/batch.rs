//! Many equal requests, carefully: a failing one must not become hundreds.

use std::future::Future;

use futures_util::future::join_all;

/// The first batch; each next one is twice as large while all succeed.
const FIRST: usize = 1;
/// No more requests at once.
const LARGEST: usize = 32;

/// Sends requests in growing batches and stops after the first batch with a failure. Returns how
/// many succeeded and the first error.
pub(crate) async fn slow_start<F, E>(mut requests: impl Iterator<Item = F>) -> (usize, Option<E>)
where
    F: Future<Output = Result<(), E>>,
{
    let mut done = 0;
    let mut size = FIRST;
    loop {
        let batch: Vec<F> = requests.by_ref().take(size).collect();
        if batch.is_empty() {
            return (done, None);
        }
        size = (size * 2).min(LARGEST);
        let mut failure = None;
        for result in join_all(batch).await {
            match result {
                Ok(()) => done += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if failure.is_some() {
            return (done, failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_failure_stops_the_growth() {
        let asked = Cell::new(0);
        let requests = (0..100).map(|n| {
            asked.set(asked.get() + 1);
            async move { if n == 2 { Err("no") } else { Ok(()) } }
        });
        let (done, error) = slow_start(requests).await;
        assert_eq!((done, error, asked.get()), (2, Some("no"), 3));
    }
}
