//! Reading quantities: sign, number and suffix, exactly.

use super::{Format, QuantityError};

/// Digits that can matter: 19 before the point, 18 of a suffix, and the nano ones; more are a refusal
/// rather than an overflow.
const MAX_DIGITS: usize = 60;

/// Sign, digits before and after the point, suffix.
pub(super) fn split(text: &str) -> Result<(bool, &str, &str, &str), QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        None => return Err(QuantityError::Format),
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        Some(_) => (false, text),
    };
    let number_end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
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
pub(super) fn read_suffix(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    const DECIMAL: [(&str, i32); 10] = [
        ("n", -9),
        ("u", -6),
        ("m", -3),
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const BINARY: [(&str, i32); 6] = [
        ("Ki", 10),
        ("Mi", 20),
        ("Gi", 30),
        ("Ti", 40),
        ("Pi", 50),
        ("Ei", 60),
    ];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Ok((10, *exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok((2, *exponent, Format::BinarySi));
    }
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .ok_or(QuantityError::Suffix)?;
    let exponent = exponent.parse::<i32>().map_err(|_| QuantityError::Suffix)?;
    Ok((10, exponent, Format::DecimalExponent))
}

/// Whether upstream takes the text for canonical and keeps it as it is, which is so for more texts than the
/// canonical ones: `01`, `5.`, `1e30` (the short way through `resource.ParseQuantity`).
pub(super) fn is_kept(text: &str) -> bool {
    const MAX_DECIMAL_DIGITS: usize = 18;
    const MIN_EXPONENT: i32 = -9;
    let Ok((_, digits, fraction, suffix)) = split(text) else {
        return false;
    };
    let Ok((base, exponent, _)) = read_suffix(suffix) else {
        return false;
    };
    let number = match digits.trim_start_matches('0') {
        "" => "0",
        number => number,
    };
    if base == 2 {
        let fits = fraction.is_empty() && fits_binary(number, exponent);
        return fits && number.parse::<i64>().is_ok_and(|value| value % 8 != 0);
    }
    let length = number.len() + fraction.len();
    let exponent =
        i32::try_from(fraction.len()).map_or(i32::MIN, |places| exponent.saturating_sub(places));
    let shifted = format!("{number}{fraction}");
    length <= MAX_DECIMAL_DIGITS
        && exponent >= MIN_EXPONENT
        && exponent % 3 == 0
        && !shifted.ends_with("000")
        && !shifted.starts_with('0')
}

/// Whether upstream reads a number of this length without big integers: it counts three digits for ten bits.
fn fits_binary(number: &str, exponent: i32) -> bool {
    const MAX_DIGITS: i32 = 14;
    let bits_as_digits = exponent * 3 / 10;
    let length = i32::try_from(number.len()).unwrap_or(i32::MAX);
    let value = number.parse::<i64>().ok();
    let product =
        value.and_then(|value| value.checked_mul(1_i64.checked_shl(exponent.unsigned_abs())?));
    length.saturating_add(bits_as_digits) <= MAX_DIGITS && product.is_some()
}

/// The number in nano units, rounded away from zero and capped at [`MAX`](super::MAX).
pub(super) fn scale(
    digits: &str,
    fraction: &str,
    base: u32,
    exponent: i32,
) -> Result<i128, QuantityError> {
    let fraction = fraction.trim_end_matches('0');
    let digits = digits.trim_start_matches('0');
    if digits.len() + fraction.len() > MAX_DIGITS {
        return Err(QuantityError::Numeric);
    }
    if digits.is_empty() && fraction.is_empty() {
        return Ok(0);
    }
    let mut all: Vec<u8> = digits
        .bytes()
        .chain(fraction.bytes())
        .map(|b| b - b'0')
        .collect();
    // number = all digits * base^exponent * 10^(nano - fraction digits)
    let point = 9 - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    if base == 2 {
        // Exact in decimal digits: a binary number would have to hold those that are cut in the end.
        (0..exponent / 10).for_each(|_| times_1024(&mut all));
        return Ok(shift(&all, point));
    }
    Ok(shift(&all, exponent.saturating_add(point)))
}

/// Multiplies a number that is given by its digits, the highest first.
fn times_1024(digits: &mut Vec<u8>) {
    let mut carry = 0_u32;
    for digit in digits.iter_mut().rev() {
        carry += u32::from(*digit) * 1024;
        *digit = (carry % 10) as u8;
        carry /= 10;
    }
    let mut above = Vec::new();
    while carry > 0 {
        above.push((carry % 10) as u8);
        carry /= 10;
    }
    digits.splice(0..0, above.into_iter().rev());
}

/// Multiplies digits by a power of ten. Decimal places below nano are cut after noting whether anything was lost;
/// anything too large is the cap.
fn shift(digits: &[u8], decimal: i32) -> i128 {
    let mut value: i128 = 0;
    let keep = if decimal >= 0 {
        digits.len()
    } else {
        digits.len().saturating_sub(decimal.unsigned_abs() as usize)
    };
    for digit in digits.iter().take(keep) {
        value = value.saturating_mul(10).saturating_add(i128::from(*digit));
    }
    let lost = digits.iter().skip(keep).any(|d| *d != 0);
    if decimal > 0 {
        value = 10_i128
            .checked_pow(decimal.unsigned_abs())
            .map_or(i128::MAX, |p| value.saturating_mul(p));
    }
    value.saturating_add(i128::from(lost))
}
