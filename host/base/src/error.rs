//! How an error and its causes become one line. Each error's `Display` describes its own level only, so
//! the code that logs or reports it prints the chain.

use std::error::Error;

/// The error and its causes, outermost first, separated by `: `. A cause that the text of the level above
/// ends with is not repeated, since libraries outside this workspace print their causes.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let level = error.to_string();
        if !text.ends_with(&level) {
            text.push_str(": ");
            text.push_str(&level);
        }
        cause = error.source();
    }
    text
}

/// One sentence for the author of a text that a parser refuses: the error of parsers whose callers
/// can only show it. Errors that a caller may want to distinguish have an enum instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Sentence(String);

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Sentence> for String {
    fn from(sentence: Sentence) -> Self {
        sentence.0
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        #[source]
        source: Option<Box<Level>>,
    }

    fn level(text: &'static str, source: Option<Level>) -> Level {
        Level {
            text,
            source: source.map(Box::new),
        }
    }

    #[test]
    fn prints_every_level_once() {
        let error = level(
            "cannot pull nginx",
            Some(level(
                "cannot reach the registry",
                Some(level("timed out", None)),
            )),
        );
        assert_eq!(
            chain(&error),
            "cannot pull nginx: cannot reach the registry: timed out"
        );
    }

    #[test]
    fn leaves_out_a_cause_that_the_level_above_has_printed() {
        let error = level(
            "cannot read it: no such file",
            Some(level("no such file", None)),
        );
        assert_eq!(chain(&error), "cannot read it: no such file");
    }
}
