//! Times as Go's `time.Parse` reads them in the two layouts of the API, with its errors.

use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;

/// The form of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// RFC 3339; a fraction of a second may stand in it.
    Seconds,
    /// RFC 3339 with exactly six digits of a fraction.
    Micro,
}

impl Layout {
    /// Go's notation.
    fn text(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micro => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Why a text is no time: upstream's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {text}{why}", text = quote(.text))]
pub(super) struct TimeError {
    text: String,
    why: String,
}

/// Reads a time.
pub(super) fn parse(text: &str, layout: Layout) -> Result<Timestamp, TimeError> {
    let mut reader = Reader { rest: text };
    reader.read(layout).map_err(|why| TimeError {
        text: text.to_owned(),
        why: match why {
            Mistake::Element { rest, element } => format!(
                " as {}: cannot parse {} as {}",
                quote(layout.text()),
                quote(rest),
                quote(element)
            ),
            Mistake::Range(what) => format!(": {what} out of range"),
            Mistake::Extra(rest) => format!(": extra text: {}", quote(rest)),
        },
    })
}

/// Quotes as Go's package `time` does: every byte that is not printable ASCII is escaped.
fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\u{7f}' => out.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
        }
    }
    out.push('"');
    out
}

enum Mistake<'t> {
    /// What should be this element of the layout is `rest`.
    Element {
        rest: &'t str,
        element: &'static str,
    },
    Range(&'static str),
    Extra(&'t str),
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn read(&mut self, layout: Layout) -> Result<Timestamp, Mistake<'t>> {
        let year = self.year()?;
        self.literal("-")?;
        let month = self.number("01", true)?;
        within(month, 1..=12, "month")?;
        self.literal("-")?;
        let day = self.number("02", true)?;
        self.literal("T")?;
        let hour = self.number("15", false)?;
        within(hour, 0..=23, "hour")?;
        self.literal(":")?;
        let minute = self.number("04", true)?;
        within(minute, 0..=59, "minute")?;
        self.literal(":")?;
        let second = self.number("05", true)?;
        within(second, 0..=59, "second")?;
        let nanoseconds = match layout {
            Layout::Seconds => self.fraction(),
            Layout::Micro => self.micro()?,
        };
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(Mistake::Extra(self.rest));
        }
        let utc =
            format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds}Z");
        let utc: Result<Timestamp, _> = utc.parse();
        let time = utc.and_then(|time| time.checked_sub(offset));
        time.map_err(|_| Mistake::Range("day"))
    }

    fn wrong(&self, element: &'static str) -> Mistake<'t> {
        Mistake::Element {
            rest: self.rest,
            element,
        }
    }

    /// Takes that many bytes, if all are digits.
    fn digits(&mut self, count: usize) -> Option<&'t str> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| {
            self.rest = rest;
            digits
        })
    }

    fn year(&mut self) -> Result<&'t str, Mistake<'t>> {
        self.digits(4).ok_or_else(|| self.wrong("2006"))
    }

    fn literal(&mut self, text: &'static str) -> Result<(), Mistake<'t>> {
        self.rest = self
            .rest
            .strip_prefix(text)
            .ok_or_else(|| self.wrong(text))?;
        Ok(())
    }

    /// One or two digits, or just two.
    fn number(&mut self, element: &'static str, two: bool) -> Result<u8, Mistake<'t>> {
        let digits = self.digits(2);
        let digits = digits.or_else(|| if two { None } else { self.digits(1) });
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| self.wrong(element))
    }

    /// A fraction of any length, cut to nanoseconds; nine digits.
    fn fraction(&mut self) -> String {
        let mut digits = String::new();
        if let Some(after) = self.rest.strip_prefix(['.', ',']) {
            let end = after.find(|c: char| !c.is_ascii_digit());
            let (all, rest) = after.split_at(end.unwrap_or(after.len()));
            if !all.is_empty() {
                digits.extend(all.chars().take(9));
                self.rest = rest;
            }
        }
        format!("{digits:0<9}")
    }

    fn micro(&mut self) -> Result<String, Mistake<'t>> {
        let wrong = self.wrong(".000000");
        let Some(after) = self.rest.strip_prefix(['.', ',']) else {
            return Err(wrong);
        };
        let before = std::mem::replace(&mut self.rest, after);
        match self.digits(6) {
            Some(digits) => Ok(format!("{digits}000")),
            None => {
                self.rest = before;
                Err(wrong)
            }
        }
    }

    fn offset(&mut self) -> Result<SignedDuration, Mistake<'t>> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(SignedDuration::ZERO);
        }
        let wrong = self.wrong("Z07:00");
        let Some((zone, rest)) = self.rest.split_at_checked(6) else {
            return Err(wrong);
        };
        let parts = zone.split_at_checked(1).and_then(|(sign, clock)| {
            let (hours, minutes) = clock.split_once(':')?;
            let number = |text: &str| -> Option<i64> {
                let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| text.parse().ok()).flatten()
            };
            Some((sign, number(hours)?, number(minutes)?))
        });
        let Some((sign, hours, minutes)) = parts else {
            return Err(wrong);
        };
        if hours > 24 {
            return Err(Mistake::Range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(Mistake::Range("time zone offset minute"));
        }
        let seconds = (hours * 60 + minutes) * 60;
        self.rest = rest;
        match sign {
            "+" => Ok(SignedDuration::from_secs(seconds)),
            "-" => Ok(SignedDuration::from_secs(-seconds)),
            _ => Err(wrong),
        }
    }
}

fn within(
    number: u8,
    range: std::ops::RangeInclusive<u8>,
    what: &'static str,
) -> Result<(), Mistake<'static>> {
    if range.contains(&number) {
        Ok(())
    } else {
        Err(Mistake::Range(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_in_go() {
        for (text, layout, want) in [
            (
                "2020-02-29T03:04:05Z",
                Layout::Seconds,
                "2020-02-29T03:04:05Z",
            ),
            (
                "2020-01-02T3:04:05Z",
                Layout::Seconds,
                "2020-01-02T03:04:05Z",
            ),
            (
                "2020-01-02T03:04:05.1234567891Z",
                Layout::Seconds,
                "2020-01-02T03:04:05.123456789Z",
            ),
            (
                "2020-01-02T03:04:05+02:30",
                Layout::Seconds,
                "2020-01-02T00:34:05Z",
            ),
            (
                "2020-01-02T03:04:05.000001-01:00",
                Layout::Micro,
                "2020-01-02T04:04:05.000001Z",
            ),
        ] {
            assert_eq!(parse(text, layout), Ok(want.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named_as_in_go() {
        let seconds = "as \"2006-01-02T15:04:05Z07:00\": cannot parse";
        let micro = "as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse";
        for (text, layout, want) in [
            (
                "yesterday",
                Layout::Seconds,
                format!("\"yesterday\" {seconds} \"yesterday\" as \"2006\""),
            ),
            (
                "",
                Layout::Seconds,
                format!("\"\" {seconds} \"\" as \"2006\""),
            ),
            (
                "2020-01-01",
                Layout::Seconds,
                format!("\"2020-01-01\" {seconds} \"\" as \"T\""),
            ),
            (
                "2020-1-01T00:00:00Z",
                Layout::Seconds,
                format!("\"2020-1-01T00:00:00Z\" {seconds} \"1-01T00:00:00Z\" as \"01\""),
            ),
            (
                "2020-01-01 00:00:00Z",
                Layout::Seconds,
                format!("\"2020-01-01 00:00:00Z\" {seconds} \" 00:00:00Z\" as \"T\""),
            ),
            (
                "2020-01-01T00:00:00",
                Layout::Seconds,
                format!("\"2020-01-01T00:00:00\" {seconds} \"\" as \"Z07:00\""),
            ),
            (
                "2020-13-01T00:00:00Z",
                Layout::Seconds,
                "\"2020-13-01T00:00:00Z\": month out of range".to_owned(),
            ),
            (
                "2020-02-30T00:00:00Z",
                Layout::Seconds,
                "\"2020-02-30T00:00:00Z\": day out of range".to_owned(),
            ),
            (
                "2020-01-01T24:00:00Z",
                Layout::Seconds,
                "\"2020-01-01T24:00:00Z\": hour out of range".to_owned(),
            ),
            (
                "2020-01-01T00:00:00Zx",
                Layout::Seconds,
                "\"2020-01-01T00:00:00Zx\": extra text: \"x\"".to_owned(),
            ),
            (
                "é",
                Layout::Seconds,
                format!("\"\\xc3\\xa9\" {seconds} \"\\xc3\\xa9\" as \"2006\""),
            ),
            (
                "2020-01-01T00:00:00Z",
                Layout::Micro,
                format!("\"2020-01-01T00:00:00Z\" {micro} \"Z\" as \".000000\""),
            ),
        ] {
            let error = parse(text, layout).unwrap_err().to_string();
            assert_eq!(error, format!("parsing time {want}"));
        }
    }
}
