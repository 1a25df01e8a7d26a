//! The cron format, as far as telling right from wrong goes (`robfig/cron`'s `ParseStandard`).

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
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".to_owned());
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
        ));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            field.check(part)?;
        }
    }
    Ok(())
}

fn descriptor(schedule: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&schedule) {
        return Ok(());
    }
    match schedule.strip_prefix("@every ") {
        Some(duration) if is_duration(duration) => Ok(()),
        Some(duration) => Err(format!(
            "failed to parse duration {schedule}: time: invalid duration {duration:?}"
        )),
        None => Err(format!("unrecognized descriptor: {schedule}")),
    }
}

/// A Go duration such as `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Some((number, unit)) = rest.split_at_checked(digits) else {
            return false;
        };
        let Some(unit) = ["ms", "us", "ns", "h", "m", "s"]
            .into_iter()
            .find(|name| unit.starts_with(name))
        else {
            return false;
        };
        if number.parse::<f64>().is_err() {
            return false;
        }
        rest = rest.get(digits + unit.len()..).unwrap_or_default();
    }
    !text.is_empty()
}

impl Field {
    fn check(&self, part: &str) -> Result<(), String> {
        let (range, step) = match part.split('/').collect::<Vec<_>>().as_slice() {
            [range] => (*range, None),
            [range, step] => (*range, Some(*step)),
            _ => return Err(format!("too many slashes: {part}")),
        };
        let (start, end) = match range.split('-').collect::<Vec<_>>().as_slice() {
            ["*" | "?"] => (self.low, self.high),
            [single] => {
                let start = self.number(single)?;
                (start, if step.is_some() { self.high } else { start })
            }
            [start, end] => (self.number(start)?, self.number(end)?),
            _ => return Err(format!("too many hyphens: {part}")),
        };
        if let Some(step) = step
            && integer(step)? == 0
        {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        if start < self.low {
            return Err(format!(
                "beginning of range ({start}) below minimum ({}): {part}",
                self.low
            ));
        }
        if end > self.high {
            return Err(format!(
                "end of range ({end}) above maximum ({}): {part}",
                self.high
            ));
        }
        if start > end {
            return Err(format!(
                "beginning of range ({start}) beyond end of range ({end}): {part}"
            ));
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(index) => Ok(self.low + u32::try_from(index).unwrap_or_default()),
            None => integer(text),
        }
    }
}

fn integer(text: &str) -> Result<u32, String> {
    text.parse::<u32>().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
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
        ];
        for (schedule, message) in bad {
            assert_eq!(check(schedule), Err(message.to_owned()));
        }
    }
}
