//! What is wrong with an expression, and where, as cel-go prints it (`common/error.go`).

/// Longest line that is shown, in characters.
const MAX_SHOWN: usize = 16_384;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Characters before it; `None` where it has no place.
    at: Option<usize>,
    message: String,
}

impl Issue {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at: Some(at),
            message: message.into(),
        }
    }

    pub(crate) fn nowhere(message: String) -> Self {
        Self { at: None, message }
    }

    fn display(&self, source: &[char]) -> String {
        let Some(at) = self.at.filter(|_| !source.is_empty()) else {
            let line = if self.at.is_some() { 1 } else { -1 };
            return format!("ERROR: <input>:{line}:0: {}", self.message);
        };
        let before = source.get(..at).unwrap_or(source);
        let line = before.iter().filter(|it| **it == '\n').count();
        let start = before
            .iter()
            .rposition(|it| *it == '\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let column = before.len().saturating_sub(start);
        let text: Vec<char> = source
            .iter()
            .skip(start)
            .take_while(|it| **it != '\n')
            .map(|it| if *it == '\t' { ' ' } else { *it })
            .collect();
        let head = format!(
            "ERROR: <input>:{}:{}: {}",
            line.saturating_add(1),
            column.saturating_add(1),
            self.message
        );
        if text.len() > MAX_SHOWN {
            return head;
        }
        // Characters of more than one byte are taken for wide ones.
        let mark = |at: usize, narrow: char, wide: char| match text.get(at) {
            Some(it) if it.len_utf8() > 1 => wide,
            _ => narrow,
        };
        let dots = text.len().min(column);
        let pointer: String = (0..dots)
            .map(|at| mark(at, '.', '\u{ff0e}'))
            .chain([mark(column, '^', '\u{ff3e}')])
            .collect();
        let text: String = text.into_iter().collect();
        format!("{head}\n | {text}\n | {pointer}")
    }
}

/// All mistakes in the order of their places.
pub(crate) fn display(issues: &[Issue], source: &[char]) -> String {
    let mut sorted: Vec<&Issue> = issues.iter().collect();
    sorted.sort_by_key(|issue| issue.at);
    let texts: Vec<String> = sorted.iter().map(|issue| issue.display(source)).collect();
    texts.join("\n")
}
