//! The smallest parts of an expression.

/// Kinds in the order in which messages list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    End,
    Equals,
    NotEquals,
    In,
    Less,
    LessEquals,
    GreaterEquals,
    Greater,
    And,
    Or,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParen,
    RightParen,
    Dot,
    Comma,
    Minus,
    Exclamation,
    Question,
    Colon,
    Plus,
    Star,
    Slash,
    Percent,
    True,
    False,
    Null,
    Float,
    Int,
    Uint,
    Text,
    Bytes,
    Identifier,
    Escaped,
}

/// Kinds that are always the same text; a longer one stands before its beginning.
pub(crate) const FIXED: [(&str, Kind); 24] = [
    ("==", Kind::Equals),
    ("!=", Kind::NotEquals),
    ("<=", Kind::LessEquals),
    (">=", Kind::GreaterEquals),
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("<", Kind::Less),
    (">", Kind::Greater),
    ("[", Kind::LeftBracket),
    ("]", Kind::RightBracket),
    ("{", Kind::LeftBrace),
    ("}", Kind::RightBrace),
    ("(", Kind::LeftParen),
    (")", Kind::RightParen),
    (".", Kind::Dot),
    (",", Kind::Comma),
    ("-", Kind::Minus),
    ("!", Kind::Exclamation),
    ("?", Kind::Question),
    (":", Kind::Colon),
    ("+", Kind::Plus),
    ("*", Kind::Star),
    ("/", Kind::Slash),
    ("%", Kind::Percent),
];

/// Words that are no identifiers.
pub(crate) const WORDS: [(&str, Kind); 4] = [
    ("in", Kind::In),
    ("true", Kind::True),
    ("false", Kind::False),
    ("null", Kind::Null),
];

impl Kind {
    /// The name in messages.
    pub(crate) fn name(self) -> String {
        let fixed = FIXED.iter().chain(&WORDS).find(|(_, kind)| *kind == self);
        match (fixed, self) {
            (Some((text, _)), _) => format!("'{text}'"),
            (None, Self::End) => "<EOF>".to_owned(),
            (None, Self::Float) => "NUM_FLOAT".to_owned(),
            (None, Self::Int) => "NUM_INT".to_owned(),
            (None, Self::Uint) => "NUM_UINT".to_owned(),
            (None, Self::Text) => "STRING".to_owned(),
            (None, Self::Bytes) => "BYTES".to_owned(),
            (None, Self::Escaped) => "ESC_IDENTIFIER".to_owned(),
            (None, _) => "IDENTIFIER".to_owned(),
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Characters before it.
    pub(crate) at: usize,
    /// Characters before what follows it.
    pub(crate) end: usize,
}
