//! Texts and numbers.

use k3s_meta::field::{self, BadValue, ErrorType, Path};
use serde_json::Number;

use super::Walk;
use crate::custom::schema::Checks;

impl Walk {
    pub(super) fn text(&mut self, checks: &Checks, text: &str) {
        let length = if checks.max_length.is_some() || checks.min_length.is_some() {
            text.chars().count() as u64
        } else {
            0
        };
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            self.errors
                .push(field::too_long(&Path::new(&self.path), max));
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            self.invalid(text.into(), &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = checks
            .pattern
            .as_ref()
            .filter(|pattern| !pattern.is_match(text))
        {
            self.invalid(text.into(), &format!("should match '{}'", pattern.text()));
        }
        if let Some((name, Some(format))) = &checks.format
            && !format.holds(text)
        {
            let message = format!(
                "{} in body must be of type {name}: {}",
                self.path,
                k3s_meta::quote::quote(text)
            );
            self.fail(ErrorType::TypeInvalid, text.into(), message);
        }
    }

    pub(super) fn number(&mut self, checks: &Checks, number: &Number) {
        let Some(value) = number.as_f64() else { return };
        let shown = || BadValue::Raw(number.to_string());
        if let Some(factor) = checks.multiple_of.filter(|factor| *factor > 0.0) {
            let ratio = value / factor;
            if (ratio - ratio.round()).abs() > f64::EPSILON {
                self.invalid(
                    shown(),
                    &format!("should be a multiple of {}", plain(factor)),
                );
            }
        }
        if let Some(max) = checks.maximum {
            let at = plain(max.at);
            if max.exclusive && value >= max.at {
                self.invalid(shown(), &format!("should be less than {at}"));
            } else if value > max.at {
                self.invalid(shown(), &format!("should be less than or equal to {at}"));
            }
        }
        if let Some(min) = checks.minimum {
            let at = plain(min.at);
            if min.exclusive && value <= min.at {
                self.invalid(shown(), &format!("should be greater than {at}"));
            } else if value < min.at {
                self.invalid(shown(), &format!("should be greater than or equal to {at}"));
            }
        }
    }
}

/// A number as Go's `%v` prints it: exponents from 21 digits on.
fn plain(number: f64) -> String {
    if number != 0.0 && (number.abs() >= 1e21 || number.abs() < 1e-4) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let value: i32 = exponent.parse().unwrap_or(0);
        let sign = if value < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", value.abs());
    }
    number.to_string()
}
