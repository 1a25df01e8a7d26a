//! When a schedule is due next (`robfig/cron`'s `Next`).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::field::STAR;
use super::{Fields, Rule, Schedule};

/// A schedule that is never due within so many years is never due.
const YEARS: i16 = 5;

impl Schedule {
    /// The first moment after `after` at which the schedule is due, a whole second. Nothing if there is
    /// none in five years (`0 0 31 2 *`). A local time that a change of the clock skips is never due; one
    /// that it repeats is due twice.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match &self.rule {
            Rule::Every(seconds) => plus(whole, *seconds),
            Rule::At(fields) => fields.next(plus(whole, 1)?, &self.zone),
        }
    }
}

fn plus(from: Timestamp, seconds: i64) -> Option<Timestamp> {
    from.checked_add(SignedDuration::from_secs(seconds)).ok()
}

impl Fields {
    /// The first due moment that is not before `from`.
    fn next(&self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = from.to_zoned(zone.clone());
        let last_year = at.year() + YEARS;
        while at.year() <= last_year {
            let later = self.skip(&at)?;
            if later == at.timestamp() {
                return Some(later);
            }
            at = later.to_zoned(zone.clone());
        }
        None
    }

    /// The start of the next month, day, hour or minute if the schedule is not due in this one, else the
    /// moment itself. Nothing where time ends.
    fn skip(&self, at: &Zoned) -> Option<Timestamp> {
        let date = at.date();
        let zone = at.time_zone();
        let second = i64::from(at.second());
        if !has(self.month, at.month()) {
            start(date.last_of_month().tomorrow().ok()?, zone)
        } else if !self.has_day(date) {
            start(date.tomorrow().ok()?, zone)
        } else if !has(self.hour, at.hour()) {
            let passed = i64::from(at.minute()) * 60 + second;
            plus(at.timestamp(), 3600 - passed)
        } else if !has(self.minute, at.minute()) || second != 0 {
            plus(at.timestamp(), 60 - second)
        } else {
            Some(at.timestamp())
        }
    }

    /// Day of the month and of the week must both match if one of them is a star, else either.
    fn has_day(&self, date: Date) -> bool {
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        if (self.day | self.weekday) & STAR == 0 {
            day || weekday
        } else {
            day && weekday
        }
    }
}

fn start(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    let start = date.to_zoned(zone.clone()).ok()?;
    Some(start.timestamp())
}

fn has(set: u64, number: i8) -> bool {
    (set >> number) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_due(schedule: &str, after: &str, expected: &[&str]) {
        let parsed = Schedule::parse(schedule, TimeZone::UTC).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        for expected in expected {
            at = parsed.next(at).unwrap();
            assert_eq!(at, expected.parse::<Timestamp>().unwrap(), "{schedule}");
        }
    }

    #[test]
    fn the_next_run_is_the_first_moment_that_matches() {
        let cases: [(&str, &str, &[&str]); 8] = [
            (
                "*/15 * * * *",
                "2026-03-01T11:44:59.5Z",
                &["2026-03-01T11:45:00Z", "2026-03-01T12:00:00Z"],
            ),
            (
                "0 8-10/2 * * *",
                "2026-03-01T08:00:00Z",
                &["2026-03-01T10:00:00Z", "2026-03-02T08:00:00Z"],
            ),
            (
                "0 0 1 jan *",
                "2026-01-01T00:00:00Z",
                &["2027-01-01T00:00:00Z"],
            ),
            (
                "0 0 29 2 *",
                "2026-01-01T00:00:00Z",
                &["2028-02-29T00:00:00Z"],
            ),
            // One of both days suffices.
            (
                "0 0 15 * mon",
                "2026-03-10T00:00:00Z",
                &["2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z"],
            ),
            // With a star both count.
            (
                "0 0 * * mon",
                "2026-03-10T00:00:00Z",
                &["2026-03-16T00:00:00Z"],
            ),
            (
                "@every 90s",
                "2026-03-01T00:00:00.7Z",
                &["2026-03-01T00:01:30Z"],
            ),
            (
                "59 23 31 12 *",
                "2026-03-01T00:00:00Z",
                &["2026-12-31T23:59:00Z"],
            ),
        ];
        for (schedule, after, expected) in cases {
            is_due(schedule, after, expected);
        }
    }

    #[test]
    fn an_impossible_date_is_never_due() {
        let never = Schedule::parse("59 23 31 2 *", TimeZone::UTC).unwrap();
        assert_eq!(never.next("2026-01-01T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn a_skipped_hour_is_left_out_and_a_repeated_one_counts_twice() {
        is_due(
            "TZ=Europe/Berlin 30 2 * * *",
            "2026-03-28T12:00:00Z",
            &["2026-03-30T00:30:00Z"],
        );
        is_due(
            "TZ=Europe/Berlin 30 2 * * *",
            "2026-10-24T12:00:00Z",
            &[
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-26T01:30:00Z",
            ],
        );
    }
}
