//! What is wrong with an expression, and where, as cel-go prints it (`common/error.go`).

/// Longest line that is shown, in characters.
const MAX_SHOWN: usize = 16_384;
/// Characters of all lines that are shown: each mistake repeats its line, and a refusal must be no multiple of what it
/// refuses.
const MAX_SHOWN_TOGETHER: usize = 65_536;
/// Most mistakes that are shown (`maxErrorsToReport`).
const MAX_ISSUES: usize = 100;

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

    /// `room` is what is left of [`MAX_SHOWN_TOGETHER`].
    fn display(&self, source: &[char], room: &mut usize) -> String {
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
        let left = room.checked_sub(text.len());
        let Some(left) = left.filter(|_| text.len() <= MAX_SHOWN) else {
            return head;
        };
        *room = left;
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

/// The first mistakes in the order of their places.
pub(crate) fn display(issues: &[Issue], source: &[char]) -> String {
    let mut sorted: Vec<&Issue> = issues.iter().take(MAX_ISSUES).collect();
    sorted.sort_by_key(|issue| issue.at);
    let mut room = MAX_SHOWN_TOGETHER;
    let mut texts: Vec<String> = Vec::with_capacity(sorted.len());
    for issue in sorted {
        texts.push(issue.display(source, &mut room));
    }
    let more = issues.len().saturating_sub(MAX_ISSUES);
    if more > 0 {
        texts.push(format!("{more} more errors were truncated"));
    }
    texts.join("\n")
}
