//! Quoting of strings as Go's `%q` prints them, since most Kubernetes messages quote names that way.

use std::fmt::Write;

/// Quotes as Go's `strconv.Quote`: printable text stays, the rest is escaped.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let named = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ => "",
    };
    if !named.is_empty() {
        out.push_str(named);
    } else if !c.is_control() {
        out.push(c);
    } else {
        // Writing to a String cannot fail.
        let _ = if (c as u32) < 0x80 {
            write!(out, "\\x{:02x}", c as u32)
        } else {
            write!(out, "\\u{:04x}", c as u32)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn escapes_as_go() {
        for (text, want) in [
            ("a", "\"a\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("\n\u{1}", "\"\\n\\x01\""),
            ("é", "\"é\""),
            ("\u{85}", "\"\\u0085\""),
        ] {
            assert_eq!(quote(text), want);
        }
    }
}
