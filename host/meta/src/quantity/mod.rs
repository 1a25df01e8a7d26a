//! Quantities of resources (`500m`, `1.5Gi`, `1e3`): exact parsing, arithmetic and the canonical form
//! that upstream's `api/resource` writes back on every decode.
//!
//! A value is an integer of nano units, which is upstream's smallest scale.

mod arithmetic;
mod display;
mod parse;
#[cfg(test)]
mod tests;

const NANO: i128 = 1_000_000_000;
/// Upstream caps larger numbers with a binary suffix here instead of refusing them.
const MAX_BINARY: i128 = i64::MAX as i128 * NANO;
/// Other numbers upstream takes as they are. Here is room for 29 digits, and for sums.
const MAX: i128 = i128::MAX / 2;
/// Why a text is not a quantity. Worded as upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Empty, or not of the form at all.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The number part is malformed.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// How a quantity was written, which decides how it is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `1e3`
    DecimalExponent,
    /// `1Ki`
    BinarySi,
    /// `1k`
    DecimalSi,
}

/// A number with the form it was written in. Comparison ignores the form.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self {
        nano: 0,
        format: Format::DecimalSi,
    };

    /// Whole units.
    pub fn from_value(value: i64, format: Format) -> Self {
        Self {
            nano: i128::from(value) * NANO,
            format,
        }
    }

    /// Thousandths, the unit of CPU.
    pub fn from_milli(milli: i64) -> Self {
        Self {
            nano: i128::from(milli) * (NANO / 1000),
            format: Format::DecimalSi,
        }
    }

    /// Reads a quantity exactly; digits below nano round away from zero, as upstream rounds.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, digits, fraction, suffix) = parse::split(text)?;
        let (base, exponent, format) = parse::read_suffix(suffix)?;
        let max = if base == 2 { MAX_BINARY } else { MAX };
        let magnitude = parse::scale(digits, fraction, base, exponent)?.min(max);
        Ok(Self {
            nano: if negative { -magnitude } else { magnitude },
            format,
        })
    }

    /// The text as upstream writes it after it has read it: in canonical form, unless it takes it for that.
    ///
    /// # Errors
    /// When the text is no quantity.
    pub fn written(text: &str) -> Result<String, QuantityError> {
        let quantity = Self::parse(text)?;
        Ok(if text == "0" || parse::is_kept(text) {
            text.to_owned()
        } else {
            quantity.to_string()
        })
    }

    /// Rounded away from zero to thousandths, and whether that changed it.
    pub fn rounded_to_milli(self) -> (Self, bool) {
        let nano = self.milli() * (NANO / 1000);
        let rounded = Self { nano, ..self };
        (rounded, nano != self.nano)
    }

    /// Reads a JSON string or number.
    pub fn from_json(v: &serde_json::Value) -> Result<Self, QuantityError> {
        match v {
            serde_json::Value::String(s) => Self::parse(s),
            serde_json::Value::Number(n) => Self::parse(&n.to_string()),
            _ => Err(QuantityError::Format),
        }
    }

    /// Nano units.
    pub fn nano(self) -> i128 {
        self.nano
    }

    /// Thousandths, rounded up (away from zero).
    pub fn milli(self) -> i128 {
        divide_away(self.nano, NANO / 1000)
    }

    /// Whole units, rounded up (away from zero).
    pub fn value(self) -> i64 {
        i64::try_from(divide_away(self.nano, NANO)).unwrap_or(if self.nano < 0 {
            i64::MIN
        } else {
            i64::MAX
        })
    }

    /// The nearest floating-point number of whole units.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> f64 {
        self.nano as f64 / NANO as f64
    }

    /// How it was written.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether the number is zero.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether the number is below zero.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether the number has no fraction.
    pub fn is_integer(self) -> bool {
        self.nano % NANO == 0
    }
}

fn divide_away(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    if value % by == 0 {
        quotient
    } else {
        quotient + value.signum()
    }
}
