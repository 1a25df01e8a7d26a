//! What an expression may name, and the types that are known of it.

/// The type of an expression, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Not known here, though upstream may know it.
    Unknown,
    /// Decided when the expression is evaluated.
    Dynamic,
    /// A type without fields, by its name in messages.
    Plain(&'static str),
    /// An object with no fields but these, by its name in messages.
    Object(&'static str, Vec<(String, Type)>),
}

impl Type {
    /// The name in messages; `None` where the type is not known.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Unknown => None,
            Self::Dynamic => Some("dyn"),
            Self::Plain(name) | Self::Object(name, _) => Some(*name),
        }
    }
}

/// The variables of an expression.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Names, some with dots, and their types.
    pub variables: Vec<(String, Type)>,
    /// Whether the messages and functions of patches are known (`Object{}`, `JSONPatch{}`).
    pub patches: bool,
}

impl Environment {
    /// The type of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&Type> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, kind)| kind)
    }
}
