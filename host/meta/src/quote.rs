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
    } else if is_printable(c) {
        out.push(c);
    } else {
        // Writing to a String cannot fail.
        let _ = match c as u32 {
            code @ ..0x80 => write!(out, "\\x{code:02x}"),
            code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
            code => write!(out, "\\U{code:08x}"),
        };
    }
}

/// Whether Go prints the character as it is (`unicode.IsPrint`): no control or format character, no space but the
/// common one, nothing for private use.
pub fn is_printable(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}');
    let is_private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format || is_private)
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
            ("\u{feff}a\u{a0}", "\"\\ufeffa\\u00a0\""),
            ("\u{100000}", "\"\\U00100000\""),
        ] {
            assert_eq!(quote(text), want);
        }
    }
}
