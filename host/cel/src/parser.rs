//! From tokens to a tree.
//!
//! Mistakes are worded and repaired as the parser of cel-go does, which ANTLR generated: one token too many is
//! left out, one bracket too few is added, and the parser goes on; anything else ends it.

use crate::issue::Issue;
use crate::lexer::escaped;
use crate::syntax::{Expression, Node};
use crate::token::{FIXED, Kind, Token, WORDS};

/// Longest chain of operators or fields, and what the levels of nested expressions add up to.
const MAX_DEPTH: usize = 250;
/// Levels that one expression in another counts for: it takes a dozen calls, and a thread's stack is small.
const NESTED: usize = 3;

/// Kinds that an operand begins with.
const OPERAND: [Kind; 15] = [
    Kind::LeftBracket,
    Kind::LeftBrace,
    Kind::LeftParen,
    Kind::Dot,
    Kind::Minus,
    Kind::Exclamation,
    Kind::True,
    Kind::False,
    Kind::Null,
    Kind::Float,
    Kind::Int,
    Kind::Uint,
    Kind::Text,
    Kind::Bytes,
    Kind::Identifier,
];

/// Identifiers that no variable and no function may have.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// The operators between two operands from the weakest to the strongest.
const BINARY: [&[Kind]; 3] = [
    &[
        Kind::Equals,
        Kind::NotEquals,
        Kind::In,
        Kind::Less,
        Kind::LessEquals,
        Kind::GreaterEquals,
        Kind::Greater,
    ],
    &[Kind::Plus, Kind::Minus],
    &[Kind::Star, Kind::Slash, Kind::Percent],
];

/// The tree of the tokens; `None` where there is none, with the reason in `issues`.
pub(crate) fn parse(
    source: &[char],
    tokens: &[Token],
    issues: &mut Vec<Issue>,
) -> Option<Expression> {
    let mut parser = Parser {
        source,
        tokens,
        issues,
        next: 0,
        depth: 0,
    };
    let parsed = parser.expression().and_then(|expression| {
        parser.expect(Kind::End)?;
        Ok(expression)
    });
    parsed.ok()
}

/// The parser cannot go on; the reason is among the issues.
struct Stopped;

type Parsed<T> = Result<T, Stopped>;

struct Parser<'a> {
    source: &'a [char],
    tokens: &'a [Token],
    issues: &'a mut Vec<Issue>,
    next: usize,
    /// Levels of what is being read.
    depth: usize,
}

impl Parser<'_> {
    fn ahead(&self, count: usize) -> Token {
        let at = self.next.saturating_add(count);
        let end = Token {
            kind: Kind::End,
            at: self.source.len(),
            end: self.source.len(),
        };
        self.tokens.get(at).copied().unwrap_or(end)
    }

    fn peek(&self) -> Kind {
        self.ahead(0).kind
    }

    fn take(&mut self) -> Token {
        let token = self.ahead(0);
        self.next = self.next.saturating_add(1);
        token
    }

    fn accept(&mut self, kind: Kind) -> Option<Token> {
        (self.peek() == kind).then(|| self.take())
    }

    fn report(&mut self, at: usize, message: String) {
        self.issues.push(Issue::new(at, message));
    }

    fn syntax(&mut self, at: usize, message: &str) {
        self.report(at, format!("Syntax error: {message}"));
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.source
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .collect()
    }

    /// A token in quotes, as messages show it.
    fn shown(&self, token: Token) -> String {
        if token.kind == Kind::End {
            return "'<EOF>'".to_owned();
        }
        let text = self.source.get(token.at..token.end).unwrap_or_default();
        format!("'{}'", escaped(text))
    }

    /// No rule begins with the tokens from `start` to the one `count` ahead.
    fn no_alternative(&mut self, start: usize, count: usize) -> Stopped {
        let wrong = self.ahead(count);
        let text = escaped(self.source.get(start..wrong.end).unwrap_or_default());
        self.syntax(
            wrong.at,
            &format!("no viable alternative at input '{text}'"),
        );
        Stopped
    }

    fn mismatched(&mut self, expected: &[Kind]) -> Stopped {
        let token = self.ahead(0);
        let shown = self.shown(token);
        let message = format!("mismatched input {shown} expecting {}", set(expected));
        self.syntax(token.at, &message);
        Stopped
    }

    fn leave_out(&mut self, expected: &[Kind]) {
        let token = self.take();
        let shown = self.shown(token);
        let message = format!("extraneous input {shown} expecting {}", set(expected));
        self.syntax(token.at, &message);
    }

    /// Makes sure that one of `expected` follows; a single token before it is left out.
    fn sync(&mut self, expected: &[Kind]) -> Parsed<()> {
        if expected.contains(&self.peek()) {
            return Ok(());
        }
        if self.peek() != Kind::End && expected.contains(&self.ahead(1).kind) {
            self.leave_out(expected);
            return Ok(());
        }
        Err(self.mismatched(expected))
    }

    /// A token of one kind.
    fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        if let Some(token) = self.accept(kind) {
            return Ok(token);
        }
        let closes = matches!(
            kind,
            Kind::RightParen | Kind::RightBracket | Kind::RightBrace
        );
        let here = self.ahead(0);
        if here.kind != Kind::End && self.ahead(1).kind == kind {
            self.leave_out(&[kind]);
            return Ok(self.take());
        }
        let goes_on = here.kind == Kind::End
            || matches!(
                here.kind,
                Kind::Dot | Kind::LeftBracket | Kind::And | Kind::Or | Kind::Question
            )
            || BINARY.iter().any(|kinds| kinds.contains(&here.kind));
        if closes && goes_on {
            let message = format!("missing {} at {}", kind.name(), self.shown(here));
            self.syntax(here.at, &message);
            return Ok(here);
        }
        Err(self.mismatched(&[kind]))
    }

    /// Counts one level more.
    fn deeper(&mut self, levels: &mut usize) -> Parsed<()> {
        *levels = levels.saturating_add(1);
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            let message = format!("expression recursion limit exceeded: {MAX_DEPTH}");
            self.issues.push(Issue::nowhere(message));
            return Err(Stopped);
        }
        Ok(())
    }

    /// `or ? or : expression`
    fn expression(&mut self) -> Parsed<Expression> {
        let mut levels = 0;
        for _ in 0..NESTED {
            self.deeper(&mut levels)?;
        }
        let condition = self.any()?;
        let whole = match self.accept(Kind::Question) {
            None => condition,
            Some(token) => {
                let first = self.any()?;
                self.expect(Kind::Colon)?;
                let second = self.expression()?;
                let operands = vec![condition, first, second];
                Expression::new(token.at, Node::Operator("?", operands))
            }
        };
        self.depth = self.depth.saturating_sub(levels);
        Ok(whole)
    }

    fn any(&mut self) -> Parsed<Expression> {
        self.joined(Kind::Or, "||", |parser| {
            parser.joined(Kind::And, "&&", |parser| parser.binary(0))
        })
    }

    /// Operands with the same operator between them.
    fn joined(
        &mut self,
        kind: Kind,
        operator: &'static str,
        operand: impl Fn(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let first = operand(self)?;
        let at = self.ahead(0).at;
        let mut operands = vec![first];
        while self.accept(kind).is_some() {
            operands.push(operand(self)?);
        }
        if operands.len() > 1 {
            return Ok(Expression::new(at, Node::Operator(operator, operands)));
        }
        operands.pop().ok_or(Stopped)
    }

    /// Operands with operators of the strength `level` and above.
    fn binary(&mut self, level: usize) -> Parsed<Expression> {
        let Some(kinds) = BINARY.get(level) else {
            return self.unary();
        };
        let above = level.saturating_add(1);
        let mut left = self.binary(above)?;
        let mut levels = 0;
        while kinds.contains(&self.peek()) {
            self.deeper(&mut levels)?;
            let token = self.take();
            let right = self.binary(above)?;
            let node = Node::Operator(operator(token.kind), vec![left, right]);
            left = Expression::new(token.at, node);
        }
        self.depth = self.depth.saturating_sub(levels);
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expression> {
        self.sync(&OPERAND)?;
        let sign = self.ahead(0);
        if !matches!(sign.kind, Kind::Exclamation | Kind::Minus) {
            return self.member();
        }
        while self.peek() == sign.kind {
            self.take();
        }
        let expected: Vec<Kind> = OPERAND
            .into_iter()
            .filter(|kind| *kind != Kind::Exclamation)
            .collect();
        self.sync(&expected)?;
        let operand = self.member()?;
        let is_number = matches!(operand.node, Node::Literal("int" | "double"));
        if sign.kind == Kind::Minus && is_number {
            return Ok(operand);
        }
        let node = Node::Operator(operator(sign.kind), vec![operand]);
        Ok(Expression::new(sign.at, node))
    }

    fn member(&mut self) -> Parsed<Expression> {
        let mut whole = self.primary()?;
        let mut levels = 0;
        loop {
            let token = self.ahead(0);
            whole = match token.kind {
                Kind::Dot => self.field(whole)?,
                Kind::LeftBracket => {
                    self.take();
                    self.accept(Kind::Question);
                    let key = Box::new(self.expression()?);
                    self.expect(Kind::RightBracket)?;
                    let of = Box::new(whole);
                    Expression::new(token.at, Node::Index { of, key })
                }
                _ => break,
            };
            self.deeper(&mut levels)?;
        }
        self.depth = self.depth.saturating_sub(levels);
        Ok(whole)
    }

    /// `.name`, `.?name` or `.name(arguments)` behind an expression.
    fn field(&mut self, of: Expression) -> Parsed<Expression> {
        let dot = self.take();
        let optional = self.accept(Kind::Question).is_some();
        let name = self.ahead(0);
        let (from, to) = match name.kind {
            Kind::Identifier => (name.at, name.end),
            Kind::Escaped => (name.at.saturating_add(1), name.end.saturating_sub(1)),
            _ if optional => {
                return Err(self.mismatched(&[Kind::Identifier, Kind::Escaped]));
            }
            _ => return Err(self.no_alternative(dot.at, 0)),
        };
        self.take();
        let (of, text) = (Box::new(of), self.text(from, to));
        if name.kind == Kind::Identifier && !optional && self.peek() == Kind::LeftParen {
            return self.call(Some(of), text);
        }
        Ok(Expression::new(dot.at, Node::Field { of, name: text }))
    }

    fn call(&mut self, of: Option<Box<Expression>>, name: String) -> Parsed<Expression> {
        let open = self.take();
        self.sync(&with(&[Kind::RightParen]))?;
        let mut arguments = Vec::new();
        if self.peek() != Kind::RightParen {
            arguments.push(self.expression()?);
            while self.accept(Kind::Comma).is_some() {
                arguments.push(self.expression()?);
            }
        }
        self.expect(Kind::RightParen)?;
        let node = Node::Call {
            of,
            name,
            arguments,
        };
        Ok(Expression::new(open.at, node))
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let token = self.ahead(0);
        match token.kind {
            Kind::Dot | Kind::Identifier => self.name(),
            Kind::LeftParen => {
                self.take();
                let inner = self.expression()?;
                self.expect(Kind::RightParen)?;
                Ok(inner)
            }
            Kind::LeftBracket => self.list(),
            Kind::LeftBrace => self.map(),
            Kind::Minus => {
                let is_number = matches!(self.ahead(1).kind, Kind::Int | Kind::Float);
                if !is_number {
                    return Err(self.no_alternative(token.at, 1));
                }
                self.take();
                self.literal()
            }
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Parsed<Expression> {
        // The largest of int is one less than the smallest, whose sign stands before it.
        const INT_LIMIT: u64 = 1 << 63;
        let token = self.take();
        let text = self.text(token.at, token.end);
        let digits = text.trim_end_matches(['u', 'U']);
        let number = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let fits = match token.kind {
            Kind::Int => number.is_ok_and(|it| it <= INT_LIMIT),
            Kind::Uint => number.is_ok(),
            _ => true,
        };
        let kind = match token.kind {
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Float => "double",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
            Kind::True | Kind::False => "bool",
            _ => "null_type",
        };
        if !fits {
            self.report(token.at, format!("invalid {kind} literal"));
        }
        Ok(Expression::new(token.at, Node::Literal(kind)))
    }

    /// A name, the call of a function, or a message.
    fn name(&mut self) -> Parsed<Expression> {
        let start = self.ahead(0);
        if self.accept(Kind::Dot).is_some() && self.peek() != Kind::Identifier {
            return Err(self.no_alternative(start.at, 0));
        }
        if let Some(length) = self.message_name() {
            return self.message(length);
        }
        let token = self.take();
        let text = self.text(token.at, token.end);
        if RESERVED.contains(&text.as_str()) {
            self.report(start.at, format!("reserved identifier: {text}"));
        }
        if self.peek() == Kind::LeftParen {
            return self.call(None, text);
        }
        Ok(Expression::new(start.at, Node::Name(text)))
    }

    /// The number of tokens before a brace, where nothing but names and dots stands there.
    fn message_name(&self) -> Option<usize> {
        let mut count = 1;
        while self.ahead(count).kind == Kind::Dot
            && self.ahead(count.saturating_add(1)).kind == Kind::Identifier
        {
            count = count.saturating_add(2);
        }
        (self.ahead(count).kind == Kind::LeftBrace).then_some(count)
    }

    fn message(&mut self, length: usize) -> Parsed<Expression> {
        let parts: Vec<Token> = (0..length).map(|_| self.take()).collect();
        let name = parts
            .iter()
            .map(|part| self.text(part.at, part.end))
            .collect();
        let brace = self.take();
        let mut fields = Vec::new();
        while matches!(
            self.peek(),
            Kind::Question | Kind::Identifier | Kind::Escaped
        ) {
            self.accept(Kind::Question);
            self.take();
            self.expect(Kind::Colon)?;
            fields.push(self.expression()?);
            if self.accept(Kind::Comma).is_none() {
                break;
            }
        }
        self.expect(Kind::RightBrace)?;
        Ok(Expression::new(brace.at, Node::Message { name, fields }))
    }

    fn list(&mut self) -> Parsed<Expression> {
        let bracket = self.take();
        self.sync(&with(&[Kind::RightBracket, Kind::Comma, Kind::Question]))?;
        let mut items = Vec::new();
        while !matches!(self.peek(), Kind::RightBracket | Kind::Comma) {
            self.accept(Kind::Question);
            items.push(self.expression()?);
            let more = self.ahead(1).kind != Kind::RightBracket;
            if self.peek() != Kind::Comma || !more {
                break;
            }
            self.take();
        }
        self.accept(Kind::Comma);
        self.expect(Kind::RightBracket)?;
        Ok(Expression::new(bracket.at, Node::List(items)))
    }

    fn map(&mut self) -> Parsed<Expression> {
        let brace = self.take();
        self.sync(&with(&[Kind::RightBrace, Kind::Comma, Kind::Question]))?;
        let mut entries = Vec::new();
        while !matches!(self.peek(), Kind::RightBrace | Kind::Comma) {
            self.accept(Kind::Question);
            let key = self.expression()?;
            self.expect(Kind::Colon)?;
            entries.push((key, self.expression()?));
            let more = self.ahead(1).kind != Kind::RightBrace;
            if self.peek() != Kind::Comma || !more {
                break;
            }
            self.take();
        }
        self.accept(Kind::Comma);
        self.expect(Kind::RightBrace)?;
        Ok(Expression::new(brace.at, Node::Map(entries)))
    }
}

/// What an operand begins with, and `more`.
fn with(more: &[Kind]) -> Vec<Kind> {
    OPERAND.iter().chain(more).copied().collect()
}

/// The text of an operator.
fn operator(kind: Kind) -> &'static str {
    let all = FIXED.iter().chain(&WORDS);
    let mut found = all.filter(|(_, it)| *it == kind);
    found.next().map_or("", |(text, _)| text)
}

/// Kinds as messages list them.
fn set(kinds: &[Kind]) -> String {
    let mut sorted = kinds.to_vec();
    sorted.sort_unstable();
    let names: Vec<String> = sorted.into_iter().map(Kind::name).collect();
    match names.as_slice() {
        [one] => one.clone(),
        several => format!("{{{}}}", several.join(", ")),
    }
}
