//! What is wrong with malformed JSON, in the words of Go's `encoding/json`, which answers of the API repeat.
//!
//! The scan says only that; trees are made by `serde_json`, which has bounds of its own.

use crate::quote::quote;
use serde_json::Value;

/// The JSON type of a value as Go's decoder names it: `cannot unmarshal array into ...`.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The mistake in a text that is no JSON; `None` where Go's scanner finds none.
pub fn mistake(text: &[u8]) -> Option<String> {
    let mut scan = Scan { text, at: 0 };
    scan.document().err().map(|mistake| mistake.to_string())
}

#[derive(Debug, thiserror::Error)]
enum Mistake {
    #[error("unexpected end of JSON input")]
    End,
    #[error("invalid character {shown} {context}")]
    Character { shown: String, context: String },
}

/// A byte as Go shows it: as the code point of its value.
fn character(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        byte => {
            let quoted = quote(&char::from(byte).to_string());
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

/// Where the scan stands in a list or a map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    List,
    Map,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), Mistake> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            if !self.opens(&mut open)? {
                self.scalar()?;
            }
            // What was opened empty is closed, and so may be what is around it.
            while let Some(inner) = open.last().copied() {
                if self.goes_on(inner)? {
                    break;
                }
                open.pop();
            }
            if open.is_empty() {
                return self.end();
            }
        }
    }

    /// Opens lists and maps up to the first value in them; false where a scalar begins.
    fn opens(&mut self, open: &mut Vec<Open>) -> Result<bool, Mistake> {
        loop {
            match self.peek()? {
                b'[' => {
                    self.at += 1;
                    open.push(Open::List);
                    if self.peek()? == b']' {
                        self.at += 1;
                        open.pop();
                        return Ok(true);
                    }
                }
                b'{' => {
                    self.at += 1;
                    open.push(Open::Map);
                    if self.peek()? == b'}' {
                        self.at += 1;
                        open.pop();
                        return Ok(true);
                    }
                    self.key()?;
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether another value follows in the list or map, whose end is read otherwise.
    fn goes_on(&mut self, inner: Open) -> Result<bool, Mistake> {
        let (end, context) = match inner {
            Open::List => (b']', "after array element"),
            Open::Map => (b'}', "after object key:value pair"),
        };
        let byte = self.next_token()?;
        if byte == end {
            return Ok(false);
        }
        if byte != b',' {
            return Err(wrong(byte, context));
        }
        if inner == Open::Map {
            self.key()?;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Mistake> {
        match self.next_token()? {
            b'"' => self.string()?,
            byte => return Err(wrong(byte, "looking for beginning of object key string")),
        }
        match self.next_token()? {
            b':' => Ok(()),
            byte => Err(wrong(byte, "after object key")),
        }
    }

    fn scalar(&mut self) -> Result<(), Mistake> {
        match self.next_token()? {
            b'"' => self.string(),
            b'-' => match self.next()? {
                byte if byte.is_ascii_digit() => self.number(byte),
                byte => Err(wrong(byte, "in numeric literal")),
            },
            byte if byte.is_ascii_digit() => self.number(byte),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            byte => Err(wrong(byte, "looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Mistake> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let expected = char::from(expected);
                let context = format!("in literal {word} (expecting '{expected}')");
                return Err(wrong(byte, context));
            }
        }
        Ok(())
    }

    /// The rest of a number after its first digit.
    fn number(&mut self, first: u8) -> Result<(), Mistake> {
        if first != b'0' {
            self.skip_digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), Mistake> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(wrong(byte, context));
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// The rest of a string after its first quote.
    fn string(&mut self) -> Result<(), Mistake> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                byte if byte < b' ' => return Err(wrong(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Mistake> {
        match self.next()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let byte = self.next()?;
                    if !byte.is_ascii_hexdigit() {
                        return Err(wrong(byte, r"in \u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            byte => Err(wrong(byte, "in string escape code")),
        }
    }

    fn end(&mut self) -> Result<(), Mistake> {
        self.skip_spaces();
        match self.text.get(self.at) {
            None => Ok(()),
            Some(byte) => Err(wrong(*byte, "after top-level value")),
        }
    }

    fn next(&mut self) -> Result<u8, Mistake> {
        let byte = self.text.get(self.at).copied().ok_or(Mistake::End)?;
        self.at += 1;
        Ok(byte)
    }

    fn next_token(&mut self) -> Result<u8, Mistake> {
        self.skip_spaces();
        self.next()
    }

    fn peek(&mut self) -> Result<u8, Mistake> {
        self.skip_spaces();
        self.text.get(self.at).copied().ok_or(Mistake::End)
    }

    fn skip_spaces(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

fn wrong(byte: u8, context: impl Into<String>) -> Mistake {
    Mistake::Character {
        shown: character(byte),
        context: context.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_worded_as_in_go() {
        for (text, want) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("[1,", "unexpected end of JSON input"),
            ("\"a", "unexpected end of JSON input"),
            (
                "a: b",
                "invalid character 'a' looking for beginning of value",
            ),
            (
                "\u{feff}{}",
                "invalid character 'ï' looking for beginning of value",
            ),
            ("{} trailing", "invalid character 't' after top-level value"),
            (
                "{a: 1}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 \"b\":2}",
                "invalid character '\"' after object key:value pair",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            (
                "[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            (
                "\"\\u12g4\"",
                "invalid character 'g' in \\u hexadecimal character escape",
            ),
            ("-a", "invalid character 'a' in numeric literal"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            (
                "1e+x",
                "invalid character 'x' in exponent of numeric literal",
            ),
            ("01", "invalid character '1' after top-level value"),
            (
                "trye",
                "invalid character 'y' in literal true (expecting 'u')",
            ),
            (
                "'a'",
                "invalid character '\\'' looking for beginning of value",
            ),
        ] {
            assert_eq!(mistake(text.as_bytes()).as_deref(), Some(want), "{text:?}");
        }
    }

    #[test]
    fn json_has_no_mistake() {
        for text in [
            "null",
            " {} ",
            "[]",
            "[[], {\"a\": []}, {\"b\": {\"c\": [1, -0.5e-3, true, false, null]}}, \"\\u00e9\\n\"]",
            "{\"a\": {\"b\": {}}, \"c\": [[1], [2]]}",
        ] {
            assert_eq!(mistake(text.as_bytes()), None, "{text}");
            serde_json::from_str::<Value>(text).unwrap();
        }
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = "[".repeat(1_000_000);
        let text = mistake(deep.as_bytes());
        assert_eq!(text.as_deref(), Some("unexpected end of JSON input"));
    }
}
