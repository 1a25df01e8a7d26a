//! Tokens of the label selector grammar.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Error,
    End,
    ClosedPar,
    Comma,
    DoesNotExist,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenPar,
}

fn keyword(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::ClosedPar,
        "," => Token::Comma,
        "!" => Token::DoesNotExist,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::GreaterThan,
        "in" => Token::In,
        "<" => Token::LessThan,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::OpenPar,
        _ => return None,
    })
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Splits the text into tokens with their literals; the last is always `End`.
pub(super) fn tokens(text: &str) -> Vec<(Token, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(first) = rest.chars().next() else {
            break;
        };
        let (token, literal, used) = if is_symbol(first) {
            symbol(rest)
        } else {
            word(rest)
        };
        out.push((token, literal));
        rest = rest.get(used..).unwrap_or("");
    }
    out.push((Token::End, String::new()));
    out
}

fn word(rest: &str) -> (Token, String, usize) {
    let end = rest
        .find(|c| is_symbol(c) || is_space(c))
        .unwrap_or(rest.len());
    let text = rest.get(..end).unwrap_or("");
    (
        keyword(text).unwrap_or(Token::Identifier),
        text.to_owned(),
        end,
    )
}

/// The longest operator at the start: `!=` rather than `!`.
fn symbol(rest: &str) -> (Token, String, usize) {
    for len in [2, 1] {
        if let Some((text, token)) = rest
            .get(..len)
            .and_then(|text| Some((text, keyword(text)?)))
            && text.chars().all(is_symbol)
        {
            return (token, text.to_owned(), len);
        }
    }
    let end = rest.find(|c| !is_symbol(c)).unwrap_or(rest.len());
    (
        Token::Error,
        format!(
            "error expected: keyword found '{}'",
            rest.get(..end).unwrap_or("")
        ),
        end,
    )
}
