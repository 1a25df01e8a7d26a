//! Names of an expression held against what is declared, and plain types (cel-go `checker`).

use crate::functions;
use crate::issue::Issue;
use crate::syntax::{Expression, Node};
use crate::types::{Environment, Type};

/// The type of an expression, and what is wrong with it.
pub(crate) fn check(expression: &Expression, environment: &Environment) -> (Type, Vec<Issue>) {
    let mut checker = Checker {
        environment,
        bound: Vec::new(),
        issues: Vec::new(),
    };
    let found = checker.check(expression);
    (found, checker.issues)
}

struct Checker<'a> {
    environment: &'a Environment,
    /// Variables of the macros around what is checked.
    bound: Vec<String>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn report(&mut self, at: usize, message: String) {
        self.issues.push(Issue::new(at, message));
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Type {
        let message = format!("undeclared reference to '{name}' (in container '')");
        self.report(at, message);
        Type::Unknown
    }

    fn check(&mut self, expression: &Expression) -> Type {
        let at = expression.at;
        match &expression.node {
            Node::Literal(kind) => Type::Plain(kind),
            Node::Name(name) => match self.declared(name) {
                Some(kind) => kind,
                None => self.undeclared(at, name),
            },
            Node::Field { of, name } => self.field(expression, of, name),
            Node::Call {
                of,
                name,
                arguments,
            } => match of {
                Some(of) => self.method(at, of, name, arguments),
                None => self.function(at, name, arguments),
            },
            Node::Index { of, key } => {
                let of = self.check(of);
                self.check(key);
                match of {
                    Type::Dynamic => Type::Dynamic,
                    _ => Type::Unknown,
                }
            }
            Node::List(items) => {
                self.all(items);
                Type::Unknown
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    self.check(key);
                    self.check(value);
                }
                Type::Unknown
            }
            Node::Message { name, fields } => {
                self.all(fields);
                if !functions::is_message(name, self.environment.patches) {
                    self.undeclared(at, name);
                }
                Type::Unknown
            }
            Node::Operator(operator, operands) => self.operator(at, operator, operands),
        }
    }

    fn all(&mut self, expressions: &[Expression]) -> Vec<Type> {
        expressions.iter().map(|it| self.check(it)).collect()
    }

    /// The type of a name with or without dots.
    fn declared(&self, name: &str) -> Option<Type> {
        let first = name.split('.').next().unwrap_or(name);
        if self.bound.iter().any(|bound| bound == first) {
            return (first == name).then_some(Type::Unknown);
        }
        let variable = self.environment.variable(name).cloned();
        variable.or_else(|| functions::is_type(name).then_some(Type::Unknown))
    }

    fn field(&mut self, whole: &Expression, of: &Expression, name: &str) -> Type {
        let qualified = whole.qualified_name();
        if let Some(kind) = qualified.and_then(|qualified| self.declared(&qualified)) {
            return kind;
        }
        match self.check(of) {
            Type::Dynamic => Type::Dynamic,
            Type::Unknown => Type::Unknown,
            Type::Plain(kind) => {
                let message = format!("type '{kind}' does not support field selection");
                self.report(whole.at, message);
                Type::Unknown
            }
            Type::Object(_, fields) => {
                let found = fields.into_iter().find(|(known, _)| known == name);
                let Some((_, kind)) = found else {
                    self.report(whole.at, format!("undefined field '{name}'"));
                    return Type::Unknown;
                };
                kind
            }
        }
    }

    fn function(&mut self, at: usize, name: &str, arguments: &[Expression]) -> Type {
        if let ("has", [argument]) = (name, arguments) {
            if matches!(argument.node, Node::Field { .. }) {
                self.check(argument);
            } else {
                self.report(argument.at, "invalid argument to has() macro".to_owned());
            }
            return functions::result(name);
        }
        self.all(arguments);
        if !functions::is_known(name, self.environment.patches) {
            return self.undeclared(at, name);
        }
        functions::result(name)
    }

    fn method(&mut self, at: usize, of: &Expression, name: &str, arguments: &[Expression]) -> Type {
        let qualified = of
            .qualified_name()
            .map(|before| format!("{before}.{name}"))
            .filter(|name| functions::is_known(name, self.environment.patches));
        if let Some(function) = qualified {
            self.all(arguments);
            return functions::result(&function);
        }
        self.check(of);
        if let Some(count) = functions::bound(name, arguments.len()) {
            self.comprehension(arguments, count);
            return functions::result(name);
        }
        self.all(arguments);
        if !functions::is_known(name, self.environment.patches) {
            return self.undeclared(at, name);
        }
        functions::result(name)
    }

    /// The arguments of a macro, the first `count` of which name its variables.
    fn comprehension(&mut self, arguments: &[Expression], count: usize) {
        let outside = self.bound.len();
        let (names, inside) = arguments.split_at_checked(count).unwrap_or_default();
        for argument in names {
            match &argument.node {
                Node::Name(name) => self.bound.push(name.clone()),
                _ => self.report(argument.at, "argument must be a simple name".to_owned()),
            }
        }
        self.all(inside);
        self.bound.truncate(outside);
    }

    fn operator(&mut self, at: usize, operator: &str, operands: &[Expression]) -> Type {
        let kinds = self.all(operands);
        match (operator, kinds.as_slice()) {
            ("==" | "!=", [Type::Plain(left), Type::Plain(right)]) if left != right => {
                let message = format!(
                    "found no matching overload for '_{operator}_' applied to '({left}, {right})'"
                );
                self.report(at, message);
                Type::Plain("bool")
            }
            ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "&&" | "||" | "!", _) => {
                Type::Plain("bool")
            }
            ("?", [_, first, second]) if first == second => first.clone(),
            ("+", [Type::Plain("string"), Type::Plain("string")]) => Type::Plain("string"),
            ("-", [Type::Plain(kind @ ("int" | "double"))]) => Type::Plain(kind),
            (
                _,
                [
                    Type::Plain(left @ ("int" | "uint" | "double")),
                    Type::Plain(right),
                ],
            ) if left == right => Type::Plain(left),
            _ => Type::Unknown,
        }
    }
}
