//! One of the five fields of a schedule: `*/15`, `mon-fri`, `0,30`.

use std::num::IntErrorKind;

use k3s_base::error::Sentence;

/// The bit of a field that was given as a star.
pub(super) const STAR: u64 = 1 << 63;

/// Names and bounds of a field.
pub(super) struct Field {
    low: u64,
    high: u64,
    names: &'static [&'static str],
}

pub(super) const MINUTE: Field = Field::numbers(0, 59);
pub(super) const HOUR: Field = Field::numbers(0, 23);
pub(super) const DAY: Field = Field::numbers(1, 31);
pub(super) const MONTH: Field = Field {
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
    ..Field::numbers(1, 12)
};
pub(super) const WEEKDAY: Field = Field {
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ..Field::numbers(0, 6)
};

/// First and last number, and whether they were given as a star.
type Range = (u64, u64, bool);

impl Field {
    const fn numbers(low: u64, high: u64) -> Self {
        Self {
            low,
            high,
            names: &[],
        }
    }

    /// The numbers of a list, as bits.
    pub(super) fn bits(&self, list: &str) -> Result<u64, Sentence> {
        let mut bits = 0;
        for part in list.split(',').filter(|part| !part.is_empty()) {
            bits |= self.part(part)?;
        }
        Ok(bits)
    }

    /// The bits of a range, perhaps with a step behind a slash.
    fn part(&self, part: &str) -> Result<u64, Sentence> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (start, mut end, is_star) = self.range(range, part)?;
        let step = match step {
            None => 1,
            Some(step) if step.contains('/') => {
                return Err(format!("too many slashes: {part}").into());
            }
            Some(step) => {
                // A single number with a step runs to the end.
                if !range.contains('-') {
                    end = self.high;
                }
                integer(step)?
            }
        };
        self.check(start, end, part)?;
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}").into());
        }
        let step_by = usize::try_from(step).unwrap_or(usize::MAX);
        let numbers = (start..=end).step_by(step_by);
        let bits = numbers.fold(0_u64, |bits, number| bits | (1_u64 << number));
        let keeps_star = is_star && step == 1;
        Ok(if keeps_star { bits | STAR } else { bits })
    }

    fn range(&self, range: &str, part: &str) -> Result<Range, Sentence> {
        let mut ends = range.split('-');
        let first = ends.next().unwrap_or_default();
        if matches!(first, "*" | "?") {
            return Ok((self.low, self.high, true));
        }
        let start = self.number(first)?;
        match (ends.next(), ends.next()) {
            (None, _) => Ok((start, start, false)),
            (Some(last), None) => Ok((start, self.number(last)?, false)),
            (Some(_), Some(_)) => Err(format!("too many hyphens: {part}").into()),
        }
    }

    fn check(&self, start: u64, end: u64, part: &str) -> Result<(), Sentence> {
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

    fn number(&self, text: &str) -> Result<u64, Sentence> {
        let lower = text.to_lowercase();
        let numbers = self.low..=self.high;
        let mut named = numbers.zip(self.names);
        match named.find(|(_, name)| **name == lower) {
            Some((number, _)) => Ok(number),
            None => integer(text),
        }
    }
}

fn integer(text: &str) -> Result<u64, Sentence> {
    let why = match text.parse::<i64>() {
        Ok(number) => {
            return u64::try_from(number)
                .map_err(|_| format!("negative number ({number}) not allowed: {text}").into());
        }
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        },
    };
    let go = format!("strconv.Atoi: parsing {text:?}: {why}");
    Err(format!("failed to parse int from {text}: {go}").into())
}
