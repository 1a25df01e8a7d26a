//! Numbers as Go's `strconv` reads them, with its errors, which answers of the API repeat.

use std::num::{IntErrorKind, ParseIntError};

use k3s_base::error::Sentence;

use crate::quote::quote;

/// A decimal number with an optional sign (`strconv.ParseInt`).
///
/// # Errors
/// `strconv.ParseInt: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_int(text: &str) -> Result<i64, Sentence> {
    text.parse()
        .map_err(|error| unreadable("ParseInt", text, &error))
}

/// A decimal number without a sign (`strconv.ParseUint`).
///
/// # Errors
/// `strconv.ParseUint: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_uint(text: &str) -> Result<u64, Sentence> {
    // Rust takes a plus sign, Go does not.
    let digits = if text.starts_with('+') { "" } else { text };
    digits
        .parse()
        .map_err(|error| unreadable("ParseUint", text, &error))
}

fn unreadable(function: &str, text: &str, error: &ParseIntError) -> Sentence {
    let why = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {}: {why}", quote(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_go() {
        let syntax = |function: &str, text: &str| {
            Sentence::from(format!(
                "strconv.{function}: parsing {text}: invalid syntax"
            ))
        };
        assert_eq!(parse_int("-5"), Ok(-5));
        assert_eq!(parse_int("+5"), Ok(5));
        assert_eq!(parse_int(""), Err(syntax("ParseInt", "\"\"")));
        assert_eq!(parse_int("a\n"), Err(syntax("ParseInt", "\"a\\n\"")));
        let range = "strconv.ParseInt: parsing \"99999999999999999999\": value out of range";
        assert_eq!(
            parse_int("99999999999999999999"),
            Err(range.to_owned().into())
        );
        assert_eq!(parse_uint("18446744073709551615"), Ok(u64::MAX));
        for text in ["+5", "-1"] {
            let quoted = format!("{text:?}");
            assert_eq!(parse_uint(text), Err(syntax("ParseUint", &quoted)));
        }
    }
}
