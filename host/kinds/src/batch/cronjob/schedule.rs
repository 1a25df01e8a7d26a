//! Validation of the cron format (`robfig/cron`'s `ParseStandard`).

use k3s_base::error::Sentence;

/// Names and bounds of one of the five fields.
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field {
        low: 0,
        high: 59,
        names: &[],
    },
    Field {
        low: 0,
        high: 23,
        names: &[],
    },
    Field {
        low: 1,
        high: 31,
        names: &[],
    },
    Field {
        low: 1,
        high: 12,
        names: &MONTHS,
    },
    Field {
        low: 0,
        high: 6,
        names: &DAYS,
    },
];

const DESCRIPTORS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// Checks a schedule; the error is the parser's own text.
pub(super) fn check(schedule: &str) -> Result<(), Sentence> {
    if schedule.is_empty() {
        return Err("empty spec string".into());
    }
    if schedule.starts_with('@') {
        return descriptor(schedule);
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        )
        .into());
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            field.check(part)?;
        }
    }
    Ok(())
}

fn descriptor(schedule: &str) -> Result<(), Sentence> {
    if DESCRIPTORS.contains(&schedule) {
        return Ok(());
    }
    let Some(duration) = schedule.strip_prefix("@every ") else {
        return Err(format!("unrecognized descriptor: {schedule}").into());
    };
    match k3s_duration::parse(duration) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("failed to parse duration {schedule}: {why}").into()),
    }
}

impl Field {
    fn check(&self, part: &str) -> Result<(), Sentence> {
        let (start, end) = self.range(part)?;
        let why = if start < self.low {
            let low = self.low;
            format!("beginning of range ({start}) below minimum ({low}): {part}")
        } else if end > self.high {
            let high = self.high;
            format!("end of range ({end}) above maximum ({high}): {part}")
        } else if start > end {
            format!("beginning of range ({start}) beyond end of range ({end}): {part}")
        } else {
            return Ok(());
        };
        Err(why.into())
    }

    /// First and last number of `3`, `1-5`, `*`, each perhaps with a step behind a slash.
    fn range(&self, part: &str) -> Result<(u32, u32), Sentence> {
        let (range, step) = match part.split('/').collect::<Vec<_>>().as_slice() {
            [range] => (*range, None),
            [range, step] => (*range, Some(*step)),
            _ => return Err(format!("too many slashes: {part}").into()),
        };
        let bounds = match range.split('-').collect::<Vec<_>>().as_slice() {
            ["*" | "?"] => (self.low, self.high),
            [single] => {
                let start = self.number(single)?;
                (start, if step.is_some() { self.high } else { start })
            }
            [start, end] => (self.number(start)?, self.number(end)?),
            _ => return Err(format!("too many hyphens: {part}").into()),
        };
        match step.map(integer).transpose()? {
            Some(0) => Err(format!("step of range should be a positive number: {part}").into()),
            _ => Ok(bounds),
        }
    }

    fn number(&self, text: &str) -> Result<u32, Sentence> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(index) => Ok(self.low + u32::try_from(index).unwrap_or_default()),
            None => integer(text),
        }
    }
}

fn integer(text: &str) -> Result<u32, Sentence> {
    text.parse::<u32>().map_err(|_| {
        let go = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
        format!("failed to parse int from {text}: {go}").into()
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules_are_told_apart() {
        for good in [
            "* * * * *",
            "*/5 0-4,8 1 jan mon-fri",
            "@hourly",
            "@every 1h30m",
            "0 0 ? * 0",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let bad = [
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
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("@often", "unrecognized descriptor: @often"),
            (
                "@every 5",
                "failed to parse duration @every 5: time: invalid duration \"5\"",
            ),
        ];
        for (schedule, message) in bad {
            assert_eq!(check(schedule), Err(message.into()));
        }
    }
}
