//! Quantities of resources (`500m`, `1.5Gi`, `1e3`): exact parsing, arithmetic and the canonical form
//! that upstream's `api/resource` writes back on every decode.
//!
//! A value is an integer of nano units, which is upstream's smallest scale; 2^63-1 units, its largest
//! value, fit with room for sums.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

const NANO: i128 = 1_000_000_000;
/// Upstream caps larger numbers here instead of refusing them.
const MAX: i128 = i64::MAX as i128 * NANO;
/// Digits that can matter: 19 before the point, 18 of a suffix, and the nano ones; more are a refusal
/// rather than an overflow.
const MAX_DIGITS: usize = 60;

/// Why a text is not a quantity. Worded as upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Empty, or not of the form at all.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
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

/// A number with the form it was written in. Comparison looks at the number only.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self { nano: 0, format: Format::DecimalSi };

    /// Whole units.
    pub fn from_value(value: i64, format: Format) -> Self {
        Self { nano: i128::from(value) * NANO, format }
    }

    /// Thousandths, the unit of CPU.
    pub fn from_milli(milli: i64) -> Self {
        Self { nano: i128::from(milli) * (NANO / 1000), format: Format::DecimalSi }
    }

    /// Reads a quantity exactly; digits below nano round away from zero, as upstream rounds.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, digits, fraction, suffix) = split(text)?;
        let (base, exponent, format) = read_suffix(suffix)?;
        let magnitude = scale(digits, fraction, base, exponent)?.min(MAX);
        Ok(Self { nano: if negative { -magnitude } else { magnitude }, format })
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
        i64::try_from(divide_away(self.nano, NANO)).unwrap_or(if self.nano < 0 { i64::MIN } else { i64::MAX })
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
    if value % by == 0 { quotient } else { quotient + value.signum() }
}

/// Sign, digits before and after the point, suffix.
fn split(text: &str) -> Result<(bool, &str, &str, &str), QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        None => return Err(QuantityError::Format),
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        Some(_) => (false, text),
    };
    let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(number_end);
    if number.is_empty() || !suffix_shape(suffix) {
        return Err(QuantityError::Format);
    }
    let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (digits.is_empty() && fraction.is_empty()) {
        return Err(QuantityError::Numeric);
    }
    Ok((negative, digits, fraction, suffix))
}

/// `[eEinumkKMGTP]*[-+]?[0-9]*`
fn suffix_shape(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    rest.bytes().all(|b| b.is_ascii_digit())
}

/// Base, exponent and form of a suffix.
fn read_suffix(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    const DECIMAL: [(&str, i32); 10] =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Ok((10, *exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok((2, *exponent, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent = exponent.parse::<i32>().map_err(|_| QuantityError::Suffix)?;
    Ok((10, exponent, Format::DecimalExponent))
}

/// The number in nano units, rounded away from zero and capped at [`MAX`].
fn scale(digits: &str, fraction: &str, base: u32, exponent: i32) -> Result<i128, QuantityError> {
    let fraction = fraction.trim_end_matches('0');
    let digits = digits.trim_start_matches('0');
    if digits.len() + fraction.len() > MAX_DIGITS {
        return Err(QuantityError::Numeric);
    }
    if digits.is_empty() && fraction.is_empty() {
        return Ok(0);
    }
    // number = all digits * base^exponent * 10^(nano - fraction digits)
    let point = 9 - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let (binary, decimal) = if base == 2 { (exponent, point) } else { (0, exponent.saturating_add(point)) };
    let all: Vec<u8> = digits.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    Ok(shift(&all, decimal, binary))
}

/// Multiplies digits by powers of ten and two. Decimal places below nano are cut after noting whether
/// anything was lost; anything too large is the cap.
fn shift(digits: &[u8], decimal: i32, binary: i32) -> i128 {
    let mut value: i128 = 0;
    // With a binary suffix the point still has to move after the multiplication, so the cut digits count.
    let keep = if decimal >= 0 || binary > 0 {
        digits.len()
    } else {
        digits.len().saturating_sub(decimal.unsigned_abs() as usize)
    };
    for digit in digits.iter().take(keep) {
        value = value.saturating_mul(10).saturating_add(i128::from(*digit));
    }
    let mut lost = digits.iter().skip(keep).any(|d| *d != 0);
    if decimal > 0 {
        value = 10_i128.checked_pow(decimal.unsigned_abs()).map_or(i128::MAX, |p| value.saturating_mul(p));
    }
    if binary > 0 {
        value = value.saturating_mul(1_i128 << binary.min(100));
        if decimal < 0 {
            let divisor = 10_i128.checked_pow(decimal.unsigned_abs()).unwrap_or(i128::MAX);
            lost = value % divisor != 0;
            value /= divisor;
        }
    }
    value.saturating_add(i128::from(lost))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        match self.format {
            Format::BinarySi if self.nano.abs() >= 1024 * NANO && self.is_integer() => self.write_binary(f),
            Format::DecimalExponent => self.write_decimal(f, true),
            _ => self.write_decimal(f, false),
        }
    }
}

impl Quantity {
    fn write_binary(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.nano / NANO;
        let mut suffix = "";
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
            if value % 1024 != 0 {
                break;
            }
            value /= 1024;
            suffix = next;
        }
        write!(f, "{value}{suffix}")
    }

    fn write_decimal(self, f: &mut fmt::Formatter<'_>, exponent_form: bool) -> fmt::Result {
        let mut value = self.nano;
        let mut exponent = -9;
        while value % 1000 == 0 && (exponent < 18 || exponent_form) {
            value /= 1000;
            exponent += 3;
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        match (exponent_form, exponent) {
            (_, 0) => write!(f, "{value}"),
            (true, _) => write!(f, "{value}e{exponent}"),
            (false, _) => write!(f, "{value}{suffix}"),
        }
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

/// As upstream: a sum with zero on the left takes the right side's format.
impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano.saturating_sub(other.nano), format }
    }
}

impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nano: -self.nano, format: self.format }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let table = [
            ("0", "0"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("1", "1"),
            ("1000", "1k"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("0.5", "500m"),
            ("0.1", "100m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1.5", "1500m"),
            ("1024Ki", "1Mi"),
            ("1Mi", "1Mi"),
            ("1536Mi", "1536Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1023Ki", "1023Ki"),
            ("1025", "1025"),
            ("100Mi", "100Mi"),
            ("128M", "128M"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1000e-3", "1"),
            ("1.1e3", "1100"),
            ("12e6", "12e6"),
            ("1e-3", "1e-3"),
            ("0.1Ki", "102400m"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1.00001n", "2n"),
            ("1u", "1u"),
            ("3E", "3E"),
            ("1Ei", "1Ei"),
            ("10Ei", "9223372036854775807"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775807"),
            ("-100m", "-100m"),
            ("-1024Ki", "-1Mi"),
            ("+5", "5"),
            ("1E", "1E"),
            ("1000000k", "1G"),
            ("1.000", "1"),
            ("0001", "1"),
            ("1.25Ki", "1280"),
            ("1000Ki", "1000Ki"),
        ];
        for (text, want) in table {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn refuses() {
        use QuantityError::{Format, Numeric, Suffix};
        let table = [
            ("", Format),
            ("-", Format),
            ("a", Format),
            ("1.1.M", Numeric),
            ("1x", Format),
            ("1 Gi", Format),
            ("1iM", Suffix),
            ("1kk", Suffix),
            ("1e", Suffix),
            ("1e3e4", Format),
            (".", Numeric),
            ("10GB", Format),
            ("1mi", Suffix),
            ("1K", Suffix),
        ];
        for (text, want) in table {
            assert_eq!(Quantity::parse(text).unwrap_err(), want, "{text}");
        }
    }

    #[test]
    fn numbers() {
        let q = |t| Quantity::parse(t).unwrap();
        assert_eq!(q("1500m").milli(), 1500);
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("-1500m").value(), -2);
        assert_eq!(q("1Gi").value(), 1 << 30);
        assert_eq!(q("1u").milli(), 1);
        assert!(q("1Gi") > q("1G"));
        assert_eq!(q("1"), q("1000m"));
        assert_eq!((q("1Gi") + q("512Mi")).to_string(), "1536Mi");
        assert_eq!((q("1") - q("250m")).to_string(), "750m");
        assert_eq!((Quantity::ZERO + q("1Gi")).to_string(), "1Gi");
        assert_eq!([q("1Gi"), q("1Gi")].into_iter().sum::<Quantity>().to_string(), "2Gi");
        assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::from_json(&serde_json::json!(2)).unwrap().to_string(), "2");
    }
}
