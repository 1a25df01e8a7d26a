//! A tower service whose inner service is made again when a file it was made from changes, so that
//! rotated certificates take effect without a restart.

use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use k3s_base::Clock;
use k3s_base::error::chain;
use tower::Service;

use crate::error::Result;

/// How often files are checked; a request in between uses what was read last. Rotation leaves
/// minutes of overlap, so seconds are enough.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A service and the files it was made from.
pub(crate) struct Loaded<S> {
    pub(crate) service: S,
    pub(crate) files: Vec<PathBuf>,
}

/// Serves with what `load` made last.
pub(crate) struct Reload<S, F> {
    load: F,
    live: Loaded<S>,
    /// Newest modification time of the files when they were read; `None` where one was unreadable.
    read: Option<SystemTime>,
    clock: Clock,
    checked: Duration,
}

impl<S, F: FnMut() -> Result<Loaded<S>>> Reload<S, F> {
    /// Loads for the first time.
    ///
    /// # Errors
    /// What `load` fails with.
    pub(crate) fn new(mut load: F, clock: Clock) -> Result<Self> {
        let live = load()?;
        Ok(Self {
            load,
            read: newest_change(&live.files),
            live,
            checked: clock.elapsed(),
            clock,
        })
    }

    /// Loads again where a file changed. A half-written or missing file keeps the service in
    /// use: the next check tries again.
    fn refresh(&mut self) {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.checked) < CHECK_INTERVAL {
            return;
        }
        self.checked = now;
        // Taken before reading: a change during the read is then seen by the next check.
        let newest = newest_change(&self.live.files);
        if newest.is_none() || newest == self.read {
            return;
        }
        match (self.load)() {
            Ok(fresh) => {
                self.live = fresh;
                self.read = newest;
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "keeping the old API credentials");
            }
        }
    }
}

impl<S, F, R> Service<R> for Reload<S, F>
where
    S: Service<R>,
    F: FnMut() -> Result<Loaded<S>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        // Only here: the service that `call` uses must be the one that reported readiness.
        self.refresh();
        self.live.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.live.service.call(request)
    }
}

/// The newest modification time; `None` where a file cannot be read.
fn newest_change(files: &[PathBuf]) -> Option<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in files {
        let changed = std::fs::metadata(file).and_then(|meta| meta.modified());
        newest = newest.max(changed.ok()?);
    }
    Some(newest)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs::{self, File};
    use std::future::Ready;
    use std::path::Path;

    use tower::ServiceExt;

    use super::*;
    use crate::error::Error;

    /// Answers with the text that its file held.
    struct Echo(String);

    impl Service<()> for Echo {
        type Response = String;
        type Error = Infallible;
        type Future = Ready<std::result::Result<String, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(self.0.clone()))
        }
    }

    fn load(path: &Path) -> Result<Loaded<Echo>> {
        let text = fs::read_to_string(path).map_err(Error::credentials)?;
        if text.is_empty() {
            return Err(Error::credentials("half written"));
        }
        Ok(Loaded {
            service: Echo(text),
            files: vec![path.to_owned()],
        })
    }

    fn write(path: &Path, text: &str, second: u64) {
        fs::write(path, text).unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(changed).unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_takes_effect_and_a_bad_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert");
        let clock = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        write(&path, "one", 1);
        let mut service = Reload::new(|| load(&path), clock.clone()).unwrap();
        let mut answer = async |advance: u64| {
            clock.advance(Duration::from_secs(advance));
            service.ready().await.unwrap().call(()).await.unwrap()
        };
        assert_eq!(answer(0).await, "one");
        write(&path, "two", 2);
        assert_eq!(answer(9).await, "one");
        assert_eq!(answer(1).await, "two");
        write(&path, "", 3);
        assert_eq!(answer(10).await, "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(answer(10).await, "two");
        write(&path, "three", 4);
        assert_eq!(answer(10).await, "three");
    }
}
