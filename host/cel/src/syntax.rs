//! The tree of an expression.

/// An expression, and the character that messages about it point at: its operator, its bracket, or its start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) at: usize,
    pub(crate) node: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A literal, by the name of its type.
    Literal(&'static str),
    Name(String),
    Field {
        of: Box<Expression>,
        name: String,
    },
    Call {
        /// What stands before the dot.
        of: Option<Box<Expression>>,
        name: String,
        arguments: Vec<Expression>,
    },
    Index {
        of: Box<Expression>,
        key: Box<Expression>,
    },
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    Message {
        name: String,
        fields: Vec<Expression>,
    },
    /// An operator with its operands, by its text; `?` for the choice of two.
    Operator(&'static str, Vec<Expression>),
}

impl Expression {
    pub(crate) fn new(at: usize, node: Node) -> Self {
        Self { at, node }
    }

    /// `a.b.c` where it is nothing but names and dots.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.node {
            Node::Name(name) => Some(name.clone()),
            Node::Field { of, name } => Some(format!("{}.{name}", of.qualified_name()?)),
            _ => None,
        }
    }
}
