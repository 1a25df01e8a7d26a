//! Traefik's rule language (v3) into the contract's postfix form:
//! `Host(`a`) && (PathPrefix(`/x`) || !Method(`GET`))`.

use k3s_plugin_sdk::Sentence;

use crate::wit::Matcher;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Http,
    Tcp,
}

/// Parentheses and negations deeper than this are refused.
const MAX_DEPTH: usize = 50;

/// Reads a rule. The error is for its author.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Vec<Matcher>, Sentence> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        dialect,
        out: Vec::new(),
    };
    parser.any(0)?;
    match parser.peek() {
        None => Ok(parser.out),
        Some(token) => Err(format!("unexpected {token:?}").into()),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    Word(String),
    Text(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Sentence> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '!' => (Token::Not, 1),
            '&' if rest.starts_with("&&") => (Token::And, 2),
            '|' if rest.starts_with("||") => (Token::Or, 2),
            '`' | '"' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = inner
                    .find(first)
                    .ok_or_else(|| format!("{rest} has no closing {first}"))?;
                (
                    Token::Text(inner.get(..end).unwrap_or_default().to_owned()),
                    end + 2,
                )
            }
            letter if letter.is_ascii_alphabetic() => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric())
                    .unwrap_or(rest.len());
                (
                    Token::Word(rest.get(..end).unwrap_or_default().to_owned()),
                    end,
                )
            }
            other => return Err(format!("unexpected character {other:?}").into()),
        };
        out.push(token);
        rest = rest.get(used..).unwrap_or_default().trim_start();
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    dialect: Dialect,
    out: Vec<Matcher>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<(), Sentence> {
        self.all(depth)?;
        let mut count = 1;
        while self.take(&Token::Or) {
            self.all(depth)?;
            count += 1;
        }
        if count > 1 {
            self.out.push(Matcher::Any(count));
        }
        Ok(())
    }

    fn all(&mut self, depth: usize) -> Result<(), Sentence> {
        self.one(depth)?;
        let mut count = 1;
        while self.take(&Token::And) {
            self.one(depth)?;
            count += 1;
        }
        if count > 1 {
            self.out.push(Matcher::All(count));
        }
        Ok(())
    }

    fn one(&mut self, depth: usize) -> Result<(), Sentence> {
        if depth > MAX_DEPTH {
            return Err("the rule is nested too deeply".into());
        }
        if self.take(&Token::Not) {
            self.one(depth + 1)?;
            self.out.push(Matcher::Not);
            return Ok(());
        }
        if self.take(&Token::Open) {
            self.any(depth + 1)?;
            return if self.take(&Token::Close) {
                Ok(())
            } else {
                Err("a parenthesis is not closed".into())
            };
        }
        match self.peek().cloned() {
            Some(Token::Word(name)) => {
                self.at += 1;
                let arguments = self.arguments(&name)?;
                self.condition(&name, arguments)
            }
            Some(token) => Err(format!("expected a matcher, found {token:?}").into()),
            None => Err("the rule ends where a matcher is expected".into()),
        }
    }

    fn arguments(&mut self, name: &str) -> Result<Vec<String>, Sentence> {
        let mut arguments = Vec::new();
        if !self.take(&Token::Open) {
            return Err(format!("{name} needs its arguments in parentheses").into());
        }
        loop {
            match self.peek().cloned() {
                Some(Token::Text(text)) => arguments.push(text),
                other => {
                    return Err(
                        format!("{name}: expected a text in backticks, found {other:?}").into(),
                    );
                }
            }
            self.at += 1;
            if self.take(&Token::Close) {
                return Ok(arguments);
            }
            if !self.take(&Token::Comma) {
                return Err(format!("{name}: expected a comma or a closing parenthesis").into());
            }
        }
    }

    fn condition(&mut self, name: &str, arguments: Vec<String>) -> Result<(), Sentence> {
        match single_value(self.dialect, name) {
            Some(make) => {
                let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
                self.out.extend(arguments.into_iter().map(make));
                if count > 1 {
                    self.out.push(Matcher::Any(count));
                }
            }
            None => self
                .out
                .push(name_and_value(self.dialect, name, arguments)?),
        }
        Ok(())
    }
}

/// The matcher of one value; several values are alternatives.
fn single_value(dialect: Dialect, name: &str) -> Option<fn(String) -> Matcher> {
    match (dialect, name) {
        (Dialect::Http, "Host") => Some(|host| Matcher::Host(host.to_ascii_lowercase())),
        (Dialect::Http, "HostRegexp") => Some(Matcher::HostRegexp),
        (Dialect::Http, "Path") => Some(Matcher::Path),
        (Dialect::Http, "PathPrefix") => Some(Matcher::PathPrefix),
        (Dialect::Http, "PathRegexp") => Some(Matcher::PathRegexp),
        (Dialect::Http, "Method") => Some(|method| Matcher::Method(method.to_ascii_uppercase())),
        (_, "ClientIP") => Some(Matcher::ClientIp),
        (Dialect::Tcp, "HostSNI") => Some(|host| Matcher::Sni(host.to_ascii_lowercase())),
        (Dialect::Tcp, "HostSNIRegexp") => Some(Matcher::SniRegexp),
        _ => None,
    }
}

/// The matcher of a name and a value, such as a header.
fn name_and_value(
    dialect: Dialect,
    name: &str,
    arguments: Vec<String>,
) -> Result<Matcher, Sentence> {
    let pair: fn((String, String)) -> Matcher = match (dialect, name) {
        (Dialect::Http, "Header") => Matcher::Header,
        (Dialect::Http, "HeaderRegexp") => Matcher::HeaderRegexp,
        (Dialect::Http, "Query") => Matcher::Query,
        (Dialect::Http, "QueryRegexp") => Matcher::QueryRegexp,
        _ => return Err(format!("matcher {name} is not supported").into()),
    };
    let mut arguments = arguments.into_iter();
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(key), Some(value), None) => Ok(pair((key, value))),
        // The parameter exists, with any value.
        (Some(key), None, None) if name.starts_with("Query") => {
            Ok(Matcher::QueryRegexp((key, String::new())))
        }
        _ => Err(format!("{name} has another number of arguments").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_postfix() {
        let own = |text: &str| text.to_owned();
        for (rule, expected) in [
            ("Host(`A.b`)", vec![Matcher::Host(own("a.b"))]),
            (
                "Host(`a`) && (PathPrefix(`/x`) || !Method(\"get\"))",
                vec![
                    Matcher::Host(own("a")),
                    Matcher::PathPrefix(own("/x")),
                    Matcher::Method(own("GET")),
                    Matcher::Not,
                    Matcher::Any(2),
                    Matcher::All(2),
                ],
            ),
            (
                "Host(`a`, `b`)",
                vec![
                    Matcher::Host(own("a")),
                    Matcher::Host(own("b")),
                    Matcher::Any(2),
                ],
            ),
            (
                "Header(`X`,`1`)",
                vec![Matcher::Header((own("X"), own("1")))],
            ),
            (
                "Query(`q`)",
                vec![Matcher::QueryRegexp((own("q"), own("")))],
            ),
            (
                "ClientIP(`10.0.0.0/8`)",
                vec![Matcher::ClientIp(own("10.0.0.0/8"))],
            ),
        ] {
            assert_eq!(parse(rule, Dialect::Http), Ok(expected), "{rule}");
        }
        assert_eq!(
            parse("HostSNI(`*`)", Dialect::Tcp),
            Ok(vec![Matcher::Sni(own("*"))])
        );
    }

    #[test]
    fn broken_rules_say_where() {
        for (rule, part) in [
            ("", "ends where"),
            ("Host(`a", "no closing"),
            ("Host(`a`) &&", "ends where"),
            ("Host(`a`) Path(`/`)", "unexpected"),
            ("(Host(`a`)", "not closed"),
            ("Hosst(`a`)", "Hosst is not supported"),
            ("Header(`a`)", "number of arguments"),
            ("HostSNI(`*`)", "not supported"),
            ("Host()", "expected a text"),
            ("Host(`a`) $ Path(`/`)", "unexpected character"),
        ] {
            let error = parse(rule, Dialect::Http).unwrap_err().to_string();
            assert!(error.contains(part), "{rule}: {error}");
        }
        let deep = format!("{}Host(`a`){}", "(".repeat(100), ")".repeat(100));
        assert!(
            parse(&deep, Dialect::Http)
                .unwrap_err()
                .to_string()
                .contains("too deeply")
        );
    }
}
