//! Which run of a CronJob is due, and when the next one is (upstream `mostRecentScheduleTime`,
//! `nextScheduleTimeDuration`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k3s_client::Obj;
use k3s_kinds::schedule::Schedule;
use k3s_meta::tree;

use super::status::Status;
use crate::common::time;

/// Waits end a little late, so that the clock has surely passed the moment.
const DELTA: SignedDuration = SignedDuration::from_millis(100);
/// More missed runs than this are worth a warning.
const MANY: i64 = 100;

/// What decides when a CronJob runs.
#[derive(Debug)]
pub(super) struct Timing {
    schedule: Schedule,
    /// The last run, before the first one the creation.
    since: Timestamp,
    /// How late a run may start.
    deadline: Option<SignedDuration>,
}

/// A run whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) due: Timestamp,
    /// Whether so many others were missed that something must be wrong.
    pub(super) missed_many: bool,
}

/// The schedule names a date that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("time difference between two schedules is less than 1 second")]
pub(super) struct NeverDue;

impl Timing {
    /// Nothing for an object without a readable creation time, which no server stores.
    pub(super) fn read(cron: &Obj, status: &Status, schedule: Schedule) -> Option<Self> {
        let created = time::parse(&cron.meta().creation_timestamp);
        let since = status.last_run().or(created)?;
        let deadline = tree::int(cron.value(), "spec.startingDeadlineSeconds");
        Some(Self {
            schedule,
            since,
            deadline: deadline.map(SignedDuration::from_secs),
        })
    }

    /// The last run that should have started by now. One that is later than the deadline allows does not
    /// count.
    pub(super) fn due(&self, now: Timestamp) -> Result<Option<Run>, NeverDue> {
        let limit = self.deadline.and_then(|late| now.checked_sub(late).ok());
        let from = limit.map_or(self.since, |limit| limit.max(self.since));
        self.last_after(from, now)
    }

    /// Whether a run would start too late.
    pub(super) fn is_too_late(&self, run: Run, now: Timestamp) -> bool {
        let end = self
            .deadline
            .and_then(|late| run.due.checked_add(late).ok());
        end.is_some_and(|end| end < now)
    }

    /// How long it is until the next run.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        // A schedule in steps (`@every`) counts from the last run.
        let from = match self.last_after(self.since, now) {
            Ok(Some(run)) => run.due,
            Ok(None) => self.since,
            Err(NeverDue) => now,
        };
        let next = self.schedule.next(from).filter(|next| *next > now);
        let next = next.or_else(|| self.schedule.next(now))?;
        let end = next.checked_add(DELTA).ok()?;
        Some(end.duration_since(now).unsigned_abs())
    }

    /// The last run after `from` that is not after `now`. Between them are as many runs as fit at the
    /// distance of the first two: each is looked at only near the end.
    fn last_after(&self, from: Timestamp, now: Timestamp) -> Result<Option<Run>, NeverDue> {
        let first = self.schedule.next(from).ok_or(NeverDue)?;
        if now < first {
            return Ok(None);
        }
        let second = self.schedule.next(first).ok_or(NeverDue)?;
        if now < second {
            return Ok(Some(Run {
                due: first,
                missed_many: false,
            }));
        }
        let apart = second.as_second() - first.as_second();
        let missed = now.duration_since(first).as_secs() / apart.max(1) + 1;
        let skipped = SignedDuration::from_secs((missed - 2) * apart);
        let mut at = first.checked_add(skipped).map_err(|_| NeverDue)?;
        let mut last = None;
        while let Some(next) = self.schedule.next(at).filter(|next| *next <= now) {
            last = Some(next);
            at = next;
        }
        Ok(last.map(|due| Run {
            due,
            missed_many: missed > MANY,
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn timing(schedule: &str, since: &str, deadline: Option<i64>) -> Timing {
        Timing {
            schedule: Schedule::parse(schedule, TimeZone::UTC).unwrap(),
            since: at(since),
            deadline: deadline.map(SignedDuration::from_secs),
        }
    }

    const SINCE: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn only_the_last_run_is_due() {
        let hourly = timing("0 * * * *", SINCE, None);
        let cases = [
            ("2026-01-01T00:59:59Z", None),
            (
                "2026-01-01T01:00:00Z",
                Some(("2026-01-01T01:00:00Z", false)),
            ),
            (
                "2026-01-01T01:59:59Z",
                Some(("2026-01-01T01:00:00Z", false)),
            ),
            (
                "2026-01-01T07:30:00Z",
                Some(("2026-01-01T07:00:00Z", false)),
            ),
            ("2026-01-09T00:30:00Z", Some(("2026-01-09T00:00:00Z", true))),
        ];
        for (now, expected) in cases {
            let run = expected.map(|(due, missed_many)| Run {
                due: at(due),
                missed_many,
            });
            assert_eq!(hourly.due(at(now)), Ok(run), "{now}");
        }
    }

    #[test]
    fn runs_at_uneven_distances_are_found() {
        let uneven = timing("30 6-16/4 * * 1-5", SINCE, None);
        let run = uneven.due(at("2026-01-12T09:00:00Z")).unwrap().unwrap();
        assert_eq!(run.due, at("2026-01-12T06:30:00Z"));
        let every = timing("@every 7m", SINCE, None);
        let run = every.due(at("2026-01-01T01:00:00Z")).unwrap().unwrap();
        assert_eq!(run.due, at("2026-01-01T00:56:00Z"));
    }

    #[test]
    fn a_run_past_its_deadline_is_not_due() {
        let hourly = timing("0 * * * *", SINCE, Some(60));
        assert_eq!(hourly.due(at("2026-01-01T01:30:00Z")), Ok(None));
        let run = hourly.due(at("2026-01-01T01:00:30Z")).unwrap().unwrap();
        assert_eq!(run.due, at("2026-01-01T01:00:00Z"));
        assert!(!hourly.is_too_late(run, at("2026-01-01T01:01:00Z")));
        assert!(hourly.is_too_late(run, at("2026-01-01T01:01:01Z")));
    }

    #[test]
    fn a_date_that_does_not_exist_is_never_due() {
        let never = timing("59 23 31 2 *", SINCE, None);
        assert_eq!(never.due(at("2026-01-01T01:30:00Z")), Err(NeverDue));
        assert_eq!(never.wait(at("2026-01-01T01:30:00Z")), None);
    }

    #[test]
    fn the_wait_ends_just_after_the_next_run() {
        let hourly = timing("0 * * * *", SINCE, None);
        let wait = hourly.wait(at("2026-01-01T01:59:00Z"));
        assert_eq!(wait, Some(Duration::from_millis(60_100)));
        let every = timing("@every 7m", SINCE, None);
        let wait = every.wait(at("2026-01-01T00:13:00Z"));
        assert_eq!(wait, Some(Duration::from_millis(60_100)));
    }
}
