//! The JSONPath of printer columns and subresource paths: the part of kubectl's dialect that they may
//! use (`k8s.io/client-go/util/jsonpath` without templates).

use k3s_base::error::Sentence;
use k3s_meta::tree;
use serde_json::Value;

/// A parsed path: `.spec.versions[?(@.served==true)].name`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// All fields or items.
    All,
    /// Everything below, at any depth.
    Descend,
    Index(i64),
    /// From, to (exclusive), step.
    Slice(Option<i64>, Option<i64>, i64),
    Filter(Vec<Step>, Compare),
}

#[derive(Clone, Debug, PartialEq)]
enum Compare {
    Exists,
    Is(Operator, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longest first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Steps of a path, those inside of filters included: no object is deeper.
const MAX_STEPS: usize = tree::MAX_DEPTH;
/// Values a path may lead to; a wildcard under a wildcard multiplies.
const MAX_FOUND: usize = 10_000;
/// Values that one search may look at; filters inside of filters multiply.
const MAX_VISITED: usize = 100_000;

impl JsonPath {
    /// Reads a path. A leading `$` or `.` may be left out.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn parse(text: &str) -> Result<Self, Sentence> {
        steps(text, &mut Budget(MAX_STEPS)).map(Self)
    }

    /// The values that the path leads to.
    pub(crate) fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        follow(&self.0, value, &mut Budget(MAX_VISITED))
    }

    /// The names, where the path is one of plain fields.
    pub(crate) fn fields(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|step| {
                if let Step::Field(name) = step {
                    Some(name.as_str())
                } else {
                    None
                }
            })
            .collect()
    }
}

/// What is left of a bound.
struct Budget(usize);

impl Budget {
    /// Takes from it; false once it is used up.
    fn take(&mut self, count: usize) -> bool {
        let left = self.0.checked_sub(count);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

fn steps(text: &str, budget: &mut Budget) -> Result<Vec<Step>, Sentence> {
    let mut steps = Vec::new();
    let mut rest = text.trim().trim_start_matches('$');
    let whole = |rest: &str| format!("cannot read {rest:?} in path {text:?}");
    while !rest.is_empty() {
        if !budget.take(1) {
            return Err(format!("a path has at most {MAX_STEPS} steps").into());
        }
        rest = if let Some(inside) = rest.strip_prefix('[') {
            let end = bracket_end(inside)
                .ok_or_else(|| format!("unterminated array in path {text:?}"))?;
            let (inner, behind) = inside.split_at(end);
            steps.push(bracket(inner, budget).ok_or_else(|| whole(inner))?);
            behind.get(1..).unwrap_or_default()
        } else if let Some(behind) = rest.strip_prefix("..") {
            steps.push(Step::Descend);
            behind
        } else {
            let behind = rest.strip_prefix('.').unwrap_or(rest);
            let (name, behind) = field(behind);
            match name.as_str() {
                // `.[0]` is `[0]`.
                "" if behind.starts_with('[') => {}
                "" => return Err(whole(rest).into()),
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
            behind
        };
    }
    Ok(steps)
}

fn follow<'v>(steps: &[Step], value: &'v Value, budget: &mut Budget) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            advance(step, value, &mut next, budget);
            next.truncate(MAX_FOUND);
        }
        found = next;
    }
    found
}

fn advance<'v>(step: &Step, value: &'v Value, out: &mut Vec<&'v Value>, budget: &mut Budget) {
    if !budget.take(1) {
        return;
    }
    let before = out.len();
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    match step {
        Step::Field(name) => out.extend(value.get(name)),
        Step::All => match value {
            Value::Object(map) => out.extend(map.values()),
            _ => out.extend(list),
        },
        Step::Descend => descend(value, out),
        Step::Index(index) => {
            let at = position(*index, list.len());
            out.extend(at.and_then(|at| list.get(at)));
        }
        Step::Slice(from, to, step) => {
            let step = usize::try_from(*step).unwrap_or(1).max(1);
            out.extend(slice(list, *from, *to).iter().step_by(step));
        }
        Step::Filter(steps, compare) => {
            let holds = |item: &&Value| {
                let found = follow(steps, item, budget);
                found.iter().any(|found| compare.holds(found))
            };
            out.extend(list.iter().filter(holds));
        }
    }
    budget.take(out.len() - before);
}

/// The items from one position to before another; negative positions count from the end.
fn slice(list: &[Value], from: Option<i64>, to: Option<i64>) -> &[Value] {
    let length = list.len() as i64;
    let clamp = |at: i64| {
        if at < 0 {
            (length + at).max(0)
        } else {
            at.min(length)
        }
    };
    let from = usize::try_from(clamp(from.unwrap_or(0)));
    let to = usize::try_from(clamp(to.unwrap_or(length)));
    let range = from.ok().zip(to.ok()).filter(|(from, to)| from < to);
    range
        .and_then(|(from, to)| list.get(from..to))
        .unwrap_or_default()
}

fn descend<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    if out.len() >= MAX_FOUND {
        return;
    }
    out.push(value);
    match value {
        Value::Object(map) => map.values().for_each(|value| descend(value, out)),
        Value::Array(list) => list.iter().for_each(|value| descend(value, out)),
        _ => {}
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    let at = if index < 0 {
        length as i64 + index
    } else {
        index
    };
    usize::try_from(at).ok()
}

impl Compare {
    fn holds(&self, value: &Value) -> bool {
        use std::cmp::Ordering;
        let Self::Is(operator, wanted) = self else {
            return true;
        };
        let order = match (value, wanted) {
            (Value::String(have), Value::String(want)) => Some(have.cmp(want)),
            (Value::Bool(have), Value::Bool(want)) => Some(have.cmp(want)),
            (have, want) => have
                .as_f64()
                .zip(want.as_f64())
                .and_then(|(have, want)| have.partial_cmp(&want)),
        };
        match (operator, order) {
            (Operator::NotEqual, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Operator::Equal, Some(order)) => order == Ordering::Equal,
            (Operator::Less, Some(order)) => order == Ordering::Less,
            (Operator::LessOrEqual, Some(order)) => order != Ordering::Greater,
            (Operator::Greater, Some(order)) => order == Ordering::Greater,
            (Operator::GreaterOrEqual, Some(order)) => order != Ordering::Less,
        }
    }
}

/// A name up to the next dot or bracket; a backslash takes the next character as it is.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket closes, past quotes and inner brackets.
fn bracket_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inner: &str, budget: &mut Budget) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(name) = quoted(inner) {
        return Some(Step::Field(name));
    }
    if let Some(filter) = inner
        .strip_prefix("?(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return self::filter(filter, budget);
    }
    let number = |text: &str| {
        if text.is_empty() {
            Some(None)
        } else {
            text.trim().parse::<i64>().ok().map(Some)
        }
    };
    match inner.split(':').collect::<Vec<_>>().as_slice() {
        [index] => index.parse().ok().map(Step::Index),
        [from, to] => Some(Step::Slice(number(from)?, number(to)?, 1)),
        [from, to, step] => Some(Step::Slice(
            number(from)?,
            number(to)?,
            number(step)?.unwrap_or(1),
        )),
        _ => None,
    }
}

fn quoted(text: &str) -> Option<String> {
    let inner = ['\'', '"']
        .into_iter()
        .find_map(|q| text.strip_prefix(q)?.strip_suffix(q))?;
    Some(inner.replace("\\'", "'"))
}

fn filter(text: &str, budget: &mut Budget) -> Option<Step> {
    let text = text.trim().strip_prefix('@')?;
    let found = OPERATORS
        .iter()
        .filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)));
    // Of operators at the same place the table's first is the longest.
    let Some((at, sign, operator)) = found.min_by_key(|(at, ..)| *at) else {
        return Some(Step::Filter(steps(text, budget).ok()?, Compare::Exists));
    };
    let path = steps(text.get(..at)?.trim(), budget).ok()?;
    let literal = text.get(at + sign.len()..)?.trim();
    let value = match quoted(literal) {
        Some(text) => Value::String(text),
        None => serde_json::from_str(literal).ok()?,
    };
    Some(Step::Filter(path, Compare::Is(operator, value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_where_kubectls_do() {
        let object = json!({
            "spec": {"a.b": 1, "list": [{"type": "Ready", "status": "True", "n": 2}, {"type": "Other", "n": 5}]},
            "metadata": {"annotations": {"example.com/x": "y"}},
        });
        let table = [
            (".spec.list[0].type", json!(["Ready"])),
            ("$.spec.list[-1].type", json!(["Other"])),
            (".spec.list[*].type", json!(["Ready", "Other"])),
            (".spec.list[0:1].n", json!([2])),
            (".spec['a.b']", json!([1])),
            (".spec.a\\.b", json!([1])),
            (".metadata.annotations.example\\.com/x", json!(["y"])),
            (".spec.list[?(@.type==\"Ready\")].status", json!(["True"])),
            (".spec.list[?(@.type=='Ready')].status", json!(["True"])),
            (".spec.list[?(@.n>2)].type", json!(["Other"])),
            (".spec.list[?(@.n<=2)].type", json!(["Ready"])),
            (".spec.list[?(@.status)].type", json!(["Ready"])),
            ("..type", json!(["Ready", "Other"])),
            (".nothing.at.all", json!([])),
        ];
        for (path, want) in table {
            let found = JsonPath::parse(path).unwrap();
            assert_eq!(
                found.find(&object).into_iter().cloned().collect::<Value>(),
                want,
                "{path}"
            );
        }
        for bad in [".a[", ".a[x]", ".a[?(b)]", ".."] {
            assert!(bad == ".." || JsonPath::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            JsonPath::parse(".spec.replicas").unwrap().fields().unwrap(),
            ["spec", "replicas"]
        );
        assert_eq!(JsonPath::parse(".spec[0]").unwrap().fields(), None);
    }

    #[test]
    fn no_path_is_deeper_than_an_object() {
        let many = ".a".repeat(MAX_STEPS + 1);
        assert!(JsonPath::parse(&many).is_err());
        assert!(JsonPath::parse(&many[2..]).is_ok());
        for levels in [MAX_STEPS, 20_000] {
            let nested = format!("{}.a{}", "[?(@".repeat(levels), ")]".repeat(levels));
            assert!(JsonPath::parse(&nested).is_err(), "{levels}");
        }
    }

    #[test]
    fn filters_inside_of_filters_do_not_multiply() {
        let list = vec![json!({"l": vec![json!({"l": vec![json!({}); 30]}); 30]}); 30];
        let mut path = String::from(".nothing");
        for _ in 0..10 {
            path = format!("..[?(@{path})]");
        }
        let found = JsonPath::parse(&path).unwrap();
        assert!(found.find(&json!({"l": list})).is_empty());
    }
}
