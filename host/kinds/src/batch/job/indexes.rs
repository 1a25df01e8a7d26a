//! Lists of indexes such as `0-2,5` (`validateIndexesFormat`, `validateFailedIndexesNotOverlapCompleted`).

use std::cmp::max;

/// What is wrong with a list of indexes, in upstream's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IndexesError {
    #[error(
        "the fragment {0:?} violates the requirement that an index interval can have at most two parts separated by '-'"
    )]
    Parts(String),
    #[error("cannot convert string to integer for index: {0:?}")]
    Number(String),
    #[error("too large index: {0:?}")]
    TooLarge(String),
    #[error("non-increasing order, previous: {0}, current: {1}")]
    Order(i64, i64),
}

/// The number of indexes in a list, all of which are below `completions`.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, IndexesError> {
    let mut total = 0_i64;
    let mut last = None;
    for part in intervals(text) {
        let (from, to) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(IndexesError::Order(last, from));
        }
        total = total.saturating_add(to.saturating_sub(from).saturating_add(1));
        last = Some(to);
    }
    Ok(total)
}

/// The first index that both ordered lists have. Intervals that are malformed are passed over: the form is checked
/// elsewhere.
pub(super) fn overlap(left: &str, right: &str, completions: i64) -> Option<i64> {
    let read = |text| {
        let intervals = intervals(text).filter_map(move |part| interval(part, completions).ok());
        intervals.peekable()
    };
    let (mut left, mut right) = (read(left), read(right));
    while let (Some((left_from, left_to)), Some((right_from, right_to))) =
        (left.peek().copied(), right.peek().copied())
    {
        if left_from <= right_to && right_from <= left_to {
            return Some(max(left_from, right_from));
        }
        if left_from <= right_from {
            left.next();
        } else {
            right.next();
        }
    }
    None
}

fn intervals(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(move |_| !text.is_empty())
}

fn interval(part: &str, completions: i64) -> Result<(i64, i64), IndexesError> {
    let number = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(IndexesError::Number(text.to_owned())),
        Ok(index) if index >= completions => Err(IndexesError::TooLarge(text.to_owned())),
        Ok(index) => Ok(index),
    };
    let ends: Vec<&str> = part.split('-').collect();
    match ends.as_slice() {
        [only] => {
            let only = number(only)?;
            Ok((only, only))
        }
        [from, to] => match (number(from)?, number(to)?) {
            (from, to) if from >= to => Err(IndexesError::Order(from, to)),
            ends => Ok(ends),
        },
        _ => Err(IndexesError::Parts(part.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_share_an_index_are_found() {
        for (left, right, shared) in [
            ("", "1", None),
            ("0-2,5", "3-4,6", None),
            ("0-2,5", "3-5", Some(5)),
            ("1-6", "2,4", Some(2)),
            ("x,4", "4", Some(4)),
        ] {
            assert_eq!(overlap(left, right, 10), shared, "{left} {right}");
        }
    }

    #[test]
    fn indexes_are_counted() {
        assert_eq!(count("", 3), Ok(0));
        assert_eq!(count("0-1,3", 5), Ok(3));
        assert_eq!(count("1-2-3", 5), Err(IndexesError::Parts("1-2-3".into())));
    }
}
