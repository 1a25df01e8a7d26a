//! From characters to tokens.

use crate::issue::Issue;
use crate::token::{FIXED, Kind, Token, WORDS};

/// The tokens of `source`, the last of which is the end, and what is none.
pub(crate) fn tokens(source: &[char]) -> (Vec<Token>, Vec<Issue>) {
    let (mut tokens, mut issues) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = blank(rest);
        if blank > 0 {
            at = at.saturating_add(blank);
            continue;
        }
        let end = match token(rest) {
            Ok((kind, length)) => {
                let end = at.saturating_add(length);
                tokens.push(Token { kind, at, end });
                end
            }
            Err(length) => {
                let text = escaped(rest.get(..length).unwrap_or(rest));
                let message = format!("Syntax error: token recognition error at: '{text}'");
                issues.push(Issue::new(at, message));
                at.saturating_add(length.max(1))
            }
        };
        at = end;
    }
    let (at, end) = (source.len(), source.len());
    let kind = Kind::End;
    tokens.push(Token { kind, at, end });
    (tokens, issues)
}

/// Text as messages show it: line breaks and tabs are written as escapes.
pub(crate) fn escaped(text: &[char]) -> String {
    let text: String = text.iter().collect();
    text.replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t")
}

/// The length of white space or of a comment at the start.
fn blank(rest: &[char]) -> usize {
    if rest.starts_with(&['/', '/']) {
        return leading(rest, |it| it != '\n');
    }
    leading(rest, |it| matches!(it, '\t' | ' ' | '\r' | '\n' | '\u{c}'))
}

/// How many characters at the start pass `test`.
fn leading(rest: &[char], test: impl Fn(char) -> bool) -> usize {
    rest.iter().take_while(|it| test(**it)).count()
}

/// The kind and length of the token at the start, or the length of what is none.
fn token(rest: &[char]) -> Result<(Kind, usize), usize> {
    let first = rest.first().copied().unwrap_or_default();
    let second = rest.get(1).copied().unwrap_or_default();
    if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
        return Ok(number(rest));
    }
    if let Some(found) = quoted(rest) {
        return found;
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = leading(rest, |it| it.is_ascii_alphanumeric() || it == '_');
        let word: String = rest.iter().take(length).collect();
        let known = WORDS.iter().find(|(text, _)| *text == word);
        return Ok((known.map_or(Kind::Identifier, |(_, kind)| *kind), length));
    }
    if first == '`' {
        return escaped_identifier(rest);
    }
    for (text, kind) in FIXED {
        if text.chars().eq(rest.iter().copied().take(text.len())) {
            return Ok((kind, text.len()));
        }
    }
    // The character after the beginning of a longer operator is part of the mistake.
    let begun = matches!(first, '=' | '&' | '|');
    Err(if begun { rest.len().min(2) } else { 1 })
}

fn escaped_identifier(rest: &[char]) -> Result<(Kind, usize), usize> {
    let inner = rest.get(1..).unwrap_or_default();
    let length = leading(inner, |it| {
        it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-' | '/' | ' ')
    });
    let end = length.saturating_add(2);
    match inner.get(length) {
        Some('`') if length > 0 => Ok((Kind::Escaped, end)),
        _ => Err(rest.len().min(end)),
    }
}

fn number(rest: &[char]) -> (Kind, usize) {
    let digits = |at: usize| leading(rest.get(at..).unwrap_or_default(), |it| it.is_ascii_digit());
    let is_unsigned = |at: usize| matches!(rest.get(at), Some('u' | 'U'));
    if rest.starts_with(&['0', 'x']) {
        let hex = leading(rest.get(2..).unwrap_or_default(), |it| {
            it.is_ascii_hexdigit()
        });
        let end = hex.saturating_add(2);
        match (hex, is_unsigned(end)) {
            (0, _) => return (Kind::Int, 1),
            (_, true) => return (Kind::Uint, end.saturating_add(1)),
            (_, false) => return (Kind::Int, end),
        }
    }
    let whole = digits(0);
    let (mut kind, mut end) = (Kind::Int, whole);
    let fraction = digits(whole.saturating_add(1));
    if rest.get(whole) == Some(&'.') && fraction > 0 {
        kind = Kind::Float;
        end = whole.saturating_add(1).saturating_add(fraction);
    }
    if matches!(rest.get(end), Some('e' | 'E')) {
        let sign = end.saturating_add(1);
        let signed = usize::from(matches!(rest.get(sign), Some('+' | '-')));
        let start = sign.saturating_add(signed);
        if digits(start) > 0 {
            return (Kind::Float, start.saturating_add(digits(start)));
        }
    }
    match kind {
        Kind::Int if is_unsigned(end) => (Kind::Uint, end.saturating_add(1)),
        kind => (kind, end),
    }
}

/// A text or bytes at the start; `None` where no quote follows.
fn quoted(rest: &[char]) -> Option<Result<(Kind, usize), usize>> {
    let bytes = matches!(rest.first(), Some('b' | 'B'));
    let mut prefix = usize::from(bytes);
    let raw = matches!(rest.get(prefix), Some('r' | 'R'));
    prefix = prefix.saturating_add(usize::from(raw));
    let inner = rest.get(prefix..)?;
    let quote = *inner.first().filter(|it| matches!(it, '"' | '\''))?;
    let kind = if bytes { Kind::Bytes } else { Kind::Text };
    let long = [quote; 3];
    let length = if inner.starts_with(&long) {
        closed(inner, &long, raw).or_else(|_| closed(inner, &[quote], raw))
    } else {
        closed(inner, &[quote], raw)
    };
    Some(match length {
        Ok(length) => Ok((kind, prefix.saturating_add(length))),
        // Without its text a prefix is an identifier.
        Err(_) if prefix > 0 => Ok((Kind::Identifier, prefix)),
        Err(length) => Err(length),
    })
}

/// The length of a text with its quotes, or up to the character that cannot stand in it.
fn closed(inner: &[char], quote: &[char], raw: bool) -> Result<usize, usize> {
    let mut at = quote.len();
    loop {
        let rest = inner.get(at..).unwrap_or_default();
        if rest.starts_with(quote) {
            return Ok(at.saturating_add(quote.len()));
        }
        let length = match rest.first() {
            None => return Err(inner.len()),
            Some('\n' | '\r') if quote.len() == 1 => return Err(at.saturating_add(1)),
            Some('\\') if !raw => escape(rest).ok_or(inner.len().min(at.saturating_add(2)))?,
            Some(_) => 1,
        };
        at = at.saturating_add(length);
    }
}

/// The length of an escape sequence.
fn escape(rest: &[char]) -> Option<usize> {
    match rest.get(1)? {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => Some(2),
        '0'..='3' => digits(rest, 2, 8),
        'x' | 'X' => digits(rest, 2, 16),
        'u' => digits(rest, 4, 16),
        'U' => digits(rest, 8, 16),
        _ => None,
    }
}

/// The length of an escape sequence of `count` digits.
fn digits(rest: &[char], count: usize, radix: u32) -> Option<usize> {
    let end = count.saturating_add(2);
    let found = rest.get(2..end)?;
    found.iter().all(|it| it.is_digit(radix)).then_some(end)
}
