//! Schedules of CronJobs: the cron format (`robfig/cron`'s `ParseStandard`) and when it is due next.

mod field;
mod next;

use jiff::tz::TimeZone;
use k3s_base::error::Sentence;

use field::{DAY, HOUR, MINUTE, MONTH, WEEKDAY};

/// When a CronJob runs, to the minute or in steps of seconds.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Seconds between two runs.
    Every(i64),
    At(Fields),
}

/// The numbers at which the schedule is due, as bits; see [`field::STAR`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
}

/// What the names of regular schedules stand for.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// Reads a schedule. `zone` holds unless the text starts with `TZ=` or `CRON_TZ=`.
    ///
    /// # Errors
    /// The text of the upstream parser.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, Sentence> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        let has_zone = text.starts_with("TZ=") || text.starts_with("CRON_TZ=");
        let (text, zone) = if has_zone {
            own_zone(text, zone)?
        } else {
            (text, zone)
        };
        let rule = if text.starts_with('@') {
            descriptor(text)?
        } else {
            Rule::At(Fields::parse(text)?)
        };
        Ok(Self { rule, zone })
    }
}

/// A zone of the tz database by its exact name.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    // The library finds names in any case.
    let zone = TimeZone::get(name).ok()?;
    let is_exact = zone.iana_name() == Some(name);
    is_exact.then_some(zone)
}

/// The schedule behind a zone, and this zone.
fn own_zone(text: &str, local: TimeZone) -> Result<(&str, TimeZone), Sentence> {
    let Some((assignment, rest)) = text.split_once(' ') else {
        // Upstream's parser panics there, and its caller reports the panic.
        let panic = "runtime error: slice bounds out of range [:-1]";
        return Err(format!("invalid schedule format: {panic}").into());
    };
    let name = assignment.split_once('=').map_or("", |(_, name)| name);
    let found = match name {
        "" => Some(TimeZone::UTC),
        "Local" => Some(local),
        name => zone(name),
    };
    match found {
        Some(zone) => Ok((rest.trim(), zone)),
        None => Err(format!("provided bad location {name}: unknown time zone {name}").into()),
    }
}

fn descriptor(text: &str) -> Result<Rule, Sentence> {
    let known = DESCRIPTORS.iter().find(|(name, _)| *name == text);
    if let Some((_, fields)) = known {
        return Ok(Rule::At(Fields::parse(fields)?));
    }
    let Some(duration) = text.strip_prefix("@every ") else {
        return Err(format!("unrecognized descriptor: {text}").into());
    };
    match k3s_duration::parse(duration) {
        Ok(delay) => {
            let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
            Ok(Rule::Every(seconds.max(1)))
        }
        Err(why) => Err(format!("failed to parse duration {text}: {why}").into()),
    }
}

impl Fields {
    fn parse(text: &str) -> Result<Self, Sentence> {
        let texts: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = texts.as_slice() else {
            let found = texts.len();
            let texts = texts.join(" ");
            return Err(format!("expected exactly 5 fields, found {found}: [{texts}]").into());
        };
        Ok(Self {
            minute: MINUTE.bits(minute)?,
            hour: HOUR.bits(hour)?,
            day: DAY.bits(day)?,
            month: MONTH.bits(month)?,
            weekday: WEEKDAY.bits(weekday)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rule, Sentence> {
        Schedule::parse(text, TimeZone::UTC).map(|schedule| schedule.rule)
    }

    #[test]
    fn good_schedules_are_read() {
        for good in [
            "* * * * *",
            "*/5 0-4,8 1 jan mon-fri",
            "0 0 ? * 0",
            "TZ=Europe/Berlin 0 0 * * *",
            "CRON_TZ=UTC @hourly",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        assert_eq!(read("@every 1h30m"), Ok(Rule::Every(5400)));
        assert_eq!(read("@every 1ms"), Ok(Rule::Every(1)));
        assert_eq!(read("@hourly"), read("0 * * * *"));
    }

    #[test]
    fn the_error_of_a_bad_schedule_is_that_of_upstreams_parser() {
        let bad = [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-3 * * * *",
                "beginning of range (5) beyond end of range (3): 5-3",
            ),
            (
                "x * * * *",
                "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                "99999999999999999999 * * * *",
                "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
            ),
            ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@often", "unrecognized descriptor: @often"),
            (
                "@every 5",
                "failed to parse duration @every 5: time: invalid duration \"5\"",
            ),
            (
                "TZ=0",
                "invalid schedule format: runtime error: slice bounds out of range [:-1]",
            ),
            (
                "TZ=europe/berlin * * * * *",
                "provided bad location europe/berlin: unknown time zone europe/berlin",
            ),
        ];
        for (schedule, message) in bad {
            assert_eq!(read(schedule), Err(message.into()), "{schedule}");
        }
    }

    #[test]
    fn zones_have_exact_names() {
        for (name, is_known) in [
            ("UTC", true),
            ("Europe/Berlin", true),
            ("europe/berlin", false),
            ("utc", false),
            ("Nowhere/Land", false),
        ] {
            assert_eq!(zone(name).is_some(), is_known, "{name}");
        }
    }
}
