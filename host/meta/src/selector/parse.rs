//! The parser of label selectors, with upstream's messages.

use k3s_base::error::Sentence;

use super::label::{Operator, Requirement};
use super::lexer::{Token, tokens};
use crate::field::{Path, invalid};
use crate::names;

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

struct Parser {
    items: Vec<(Token, String)>,
    position: usize,
}

/// Reads `a=b,c in (x,y),!d`.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, Sentence> {
    let mut parser = Parser {
        items: tokens(text),
        position: 0,
    };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::Identifier | Token::DoesNotExist, _) => {
                let requirement = parser
                    .requirement()
                    .map_err(|why| format!("unable to parse requirement: {why}"))?;
                requirements.push(requirement);
                match parser.next() {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => parser.expect_after_comma()?,
                    (_, found) => return Err(unexpected(&found, "',' or 'end of string'")),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, found) => {
                return Err(unexpected(&found, "!, identifier, or 'end of string'"));
            }
        }
    }
}

impl Parser {
    fn raw(&self, position: usize) -> (Token, String) {
        self.items
            .get(position)
            .cloned()
            .unwrap_or((Token::End, String::new()))
    }

    /// In the place of a value, `in` and `notin` are ordinary words.
    fn as_value((token, literal): (Token, String)) -> (Token, String) {
        (
            if matches!(token, Token::In | Token::NotIn) {
                Token::Identifier
            } else {
                token
            },
            literal,
        )
    }

    fn peek(&self) -> (Token, String) {
        Self::as_value(self.raw(self.position))
    }

    fn next(&mut self) -> (Token, String) {
        self.position += 1;
        Self::as_value(self.raw(self.position - 1))
    }

    fn next_operator(&mut self) -> (Token, String) {
        self.position += 1;
        self.raw(self.position - 1)
    }

    fn expect_after_comma(&self) -> Result<(), Sentence> {
        match self.peek() {
            (Token::Identifier | Token::DoesNotExist, _) => Ok(()),
            (_, found) => Err(unexpected(&found, "identifier after ','")),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Sentence> {
        let (key, unary) = self.key()?;
        let (operator, values) = match unary {
            Some(operator) => (operator, Vec::new()),
            None => {
                let operator = self.operator()?;
                let values = match operator {
                    Operator::In | Operator::NotIn => self.value_set()?,
                    _ => vec![self.exact_value()?],
                };
                (operator, values)
            }
        };
        Requirement::new(&Path::root(), &key, operator, values)
            .map_err(|error| error.to_string().into())
    }

    fn key(&mut self) -> Result<(String, Option<Operator>), Sentence> {
        let (mut token, mut literal) = self.next();
        let negated = token == Token::DoesNotExist;
        if negated {
            (token, literal) = self.next();
        }
        if token != Token::Identifier {
            return Err(unexpected(&literal, "identifier"));
        }
        if let Err(violations) = names::is_qualified_name(&literal) {
            let error = invalid(&Path::root(), &literal, violations.to_string());
            return Err(error.to_string().into());
        }
        let operator = match self.peek().0 {
            _ if negated => Some(Operator::DoesNotExist),
            Token::End | Token::Comma => Some(Operator::Exists),
            _ => None,
        };
        Ok((literal, operator))
    }

    fn operator(&mut self) -> Result<Operator, Sentence> {
        let (token, literal) = self.next_operator();
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            _ => return Err(unexpected(&literal, BINARY_OPERATORS)),
        })
    }

    /// `(x,y)`; an empty place between commas is the empty string.
    fn value_set(&mut self) -> Result<Vec<String>, Sentence> {
        let (token, literal) = self.next();
        if token != Token::OpenPar {
            // Upstream has no comma here.
            return Err(format!("found '{literal}' expected: '('").into());
        }
        let mut values = Vec::new();
        let mut expect_value = true;
        loop {
            let (token, literal) = self.next();
            match (token, expect_value) {
                (Token::Identifier, true) => {
                    values.push(literal);
                    expect_value = false;
                }
                (Token::Comma, true) => values.push(String::new()),
                (Token::Comma, false) => expect_value = true,
                (Token::ClosedPar, _) => {
                    if expect_value {
                        values.push(String::new());
                    }
                    values.sort_unstable();
                    values.dedup();
                    return Ok(values);
                }
                (_, true) if values.is_empty() => {
                    return Err(unexpected(&literal, "',', ')' or identifier"));
                }
                (_, true) => return Err(unexpected(&literal, "',', or identifier")),
                (_, false) => return Err(unexpected(&literal, "',' or ')'")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, Sentence> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, literal) => Ok(literal),
            (_, found) => Err(unexpected(&found, "identifier")),
        }
    }
}

fn unexpected(found: &str, expected: &str) -> Sentence {
    format!("found '{found}', expected: {expected}").into()
}

#[cfg(test)]
mod tests {
    use crate::selector::LabelSelector;
    use std::collections::BTreeMap;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn matches() {
        let table = [
            ("", "x=y", true),
            ("x=y", "x=y", true),
            ("x==y", "x=y", true),
            ("x=y,z=w", "x=y,z=w", true),
            ("x=y,z=w", "x=y", false),
            ("x!=y,z!=w", "x=z,z=a", true),
            ("x!=y", "a=b", true),
            ("x=", "x=", true),
            ("x= ,z= ", "x=,z=", true),
            ("x in (a,b)", "x=b", true),
            ("x in (a,b)", "x=c", false),
            ("x in (a,b)", "", false),
            ("x notin (a,b)", "", true),
            ("x notin (a,b)", "x=a", false),
            ("x", "x=1", true),
            ("!x", "x=1", false),
            ("!x", "y=1", true),
            ("x>1", "x=2", true),
            ("x<1", "x=2", false),
            ("x>1", "x=abc", false),
            ("in in (in,notin)", "in=notin", true),
            ("x in (,b)", "x=", true),
            ("x in ()", "x=", true),
            (" x in ( a , b ) , y ", "x=a,y=", true),
            ("app.kubernetes.io/name=a", "app.kubernetes.io/name=a", true),
        ];
        for (selector, set, want) in table {
            let parsed =
                LabelSelector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}"));
            assert_eq!(
                parsed.matches_labels(&labels(set)),
                want,
                "{selector} on {set}"
            );
        }
    }

    #[test]
    fn prints() {
        for (selector, want) in [
            ("b=1,a in (z,y)", "a in (y,z),b=1"),
            ("!x,y", "!x,y"),
            ("x notin (a)", "x notin (a)"),
            ("x!=a", "x!=a"),
            ("x>1", "x>1"),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap().to_string(), want);
        }
    }

    #[test]
    fn refuses() {
        let table = [
            (
                "x=a||y=b",
                "unable to parse requirement: values[0][x]: Invalid value: \"a||y\"",
            ),
            ("x,,y", "found ',', expected: identifier after ','"),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
            (
                "x y",
                "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                ",",
                "found ',', expected: !, identifier, or 'end of string'",
            ),
            (
                "x in a",
                "unable to parse requirement: found 'a' expected: '('",
            ),
            (
                "x>a",
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            (
                "x in (a",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
            (
                "=a",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
        ];
        for (selector, want) in table {
            let error = LabelSelector::parse(selector).unwrap_err().to_string();
            assert!(error.starts_with(want), "{selector}: {error}");
        }
        let error = LabelSelector::parse("-x=a").unwrap_err().to_string();
        assert!(
            error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist of"),
            "{error}"
        );
    }
}
