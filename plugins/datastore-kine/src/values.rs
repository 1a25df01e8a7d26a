//! Values of rows as Rust types. A column of another type than kine's is damage, not zero.

use crate::error::Failure;
use crate::sql::{Row, Rows, Value};

/// A row being read column by column.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub(crate) fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Result<Value, Failure> {
        self.0
            .next()
            .ok_or_else(|| Failure::Corrupt("a row has too few columns".to_owned()))
    }

    /// A number that is not negative; NULL is 0, as in rows that older kine versions wrote.
    pub(crate) fn number(&mut self) -> Result<u64, Failure> {
        match self.next()? {
            Value::Null => Ok(0),
            Value::Integer(n) => u64::try_from(n)
                .map_err(|_| Failure::Corrupt(format!("a revision or flag is negative: {n}"))),
            other => Err(wrong("a number", &other)),
        }
    }

    /// Text; some databases keep names as bytes.
    pub(crate) fn text(&mut self) -> Result<String, Failure> {
        match self.next()? {
            Value::Text(text) => Ok(text),
            Value::Blob(bytes) => String::from_utf8(bytes)
                .map_err(|_| Failure::Corrupt("a key in table kine is not UTF-8".to_owned())),
            other => Err(wrong("text", &other)),
        }
    }

    /// Bytes; NULL is empty.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        match self.next()? {
            Value::Null => Ok(Vec::new()),
            Value::Blob(bytes) => Ok(bytes),
            Value::Text(text) => Ok(text.into_bytes()),
            other => Err(wrong("bytes", &other)),
        }
    }
}

fn wrong(wanted: &str, found: &Value) -> Failure {
    let found = match found {
        Value::Null => "NULL",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "text",
        Value::Blob(_) => "a blob",
    };
    Failure::Corrupt(format!(
        "a column of table kine holds {found} instead of {wanted}"
    ))
}

/// The columns of the only row.
pub(crate) fn one(rows: Rows) -> Result<Columns, Failure> {
    rows.rows
        .into_iter()
        .next()
        .map(Columns::of)
        .ok_or_else(|| Failure::Corrupt("a query gave no row".to_owned()))
}

/// A revision as databases keep it.
pub(crate) fn integer(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}
