//! The differences between databases: the text of each statement, and how rows are inserted and paged.
//!
//! A statement takes its arguments in the order given here, each once, so that databases without numbered
//! parameters are supported too.

use std::fmt::Write as _;

use k3s_plugin_sdk::datastore::Value;

/// Columns of the table, in the order in which rows are inserted.
pub const COLUMNS: &[&str] = &[
    "id",
    "name",
    "created",
    "deleted",
    "create_revision",
    "prev_revision",
    "lease",
    "value",
    "old_value",
];

/// Rows per statement where they are inserted together, largest first. Few sizes, so that there are
/// few statements to prepare; 256 rows have 2304 parameters, and databases take 65535.
pub const TOGETHER: &[usize] = &[256, 64, 16, 4, 1];

/// The statements of one database.
#[derive(Debug)]
pub struct Dialect {
    /// The plugin's name.
    pub name: &'static str,
    /// Rows of `table` or `index` and a name.
    pub objects: &'static str,
    /// Rows of the names of the table's columns.
    pub columns: &'static str,
    /// Rows with a reason why the table cannot be served; none when it can.
    pub unfit: Option<&'static str>,
    /// Creates the table if it is not there.
    pub table: &'static str,
    /// Name of an index and what creates it.
    pub indexes: &'static [(&'static str, &'static str)],
    /// Inserts the first row, as kine makes it at its first start. Argument: its revision.
    pub marker: &'static str,
    /// How many such rows there are.
    pub has_marker: &'static str,
    /// Rows of keys with a protobuf value among the oldest and the newest rows: enough to know a
    /// stock database at once; reading the keys checks each value again.
    pub protobuf: &'static str,
    /// Newest and compacted revision. The newest rows may be tombstones that compaction removed, so
    /// the compacted revision counts too.
    pub position: &'static str,
    /// Inserting.
    pub insert: Insert,
    /// How many rows have this name and `prev_revision`.
    pub successors: &'static str,
    /// Moves the generator that kine takes its revisions from. Argument: the newest revision.
    pub advance: Option<&'static str>,
    /// Rows in revision order, without those that are not keys. Arguments: after, through, first name,
    /// name behind the last, rows at most.
    pub after: &'static str,
    /// The newest row of each name as of a revision, in name order: name, value, `create_revision`,
    /// id, lease, created, deleted. Arguments: name before the first, first name, name behind the
    /// last, revision, rows at most. Deleted ones may be among them.
    pub range: &'static str,
    /// Rows that one query asks for at most. Where rows are sent before they are asked for, this
    /// bounds what is sent in vain.
    pub page_rows: u32,
    /// Deletes what rows of (compacted, to] replaced, and tombstones among them. Earlier rows were
    /// dealt with by earlier compactions. Arguments: compacted, to, compacted, to.
    pub compact: &'static str,
    /// Arguments: the compacted revision.
    pub set_compacted: &'static str,
    /// Queries that give space back.
    pub maintain: &'static [&'static str],
    /// Bytes in use.
    pub size: &'static str,
    /// Reads something trivial.
    pub health: &'static str,
    /// Names are bytes here, not text.
    pub names_are_bytes: bool,
}

/// How rows are inserted.
#[derive(Debug)]
pub enum Insert {
    /// With one statement per row: the database is in this process.
    Each {
        /// Inserts a row. NULL for `prev_revision` follows the key's tombstone, if there is one.
        row: &'static str,
        /// A row of a name and its newest revision, if it has one. Argument: the name.
        newest: &'static str,
    },
    /// Many rows per statement: each statement is a round trip.
    Together(Parameters),
}

/// How parameters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// `$1`, `$2`.
    Numbered,
    /// `?`.
    Question,
}

impl Dialect {
    /// A name as the table has it.
    pub(crate) fn text(&self, text: &str) -> Value {
        if self.names_are_bytes {
            Value::Blob(text.as_bytes().to_vec())
        } else {
            Value::Text(text.to_owned())
        }
    }
}

impl Parameters {
    /// Inserts `rows` rows.
    #[must_use]
    pub fn insert(self, rows: usize) -> String {
        let mut text = format!("INSERT INTO kine({}) VALUES", COLUMNS.join(", "));
        for row in 0..rows {
            text += if row == 0 { " (" } else { ", (" };
            self.list(&mut text, row * COLUMNS.len(), COLUMNS.len());
            text.push(')');
        }
        text
    }

    /// The newest row of each of `names` names.
    #[must_use]
    pub fn newest(self, names: usize) -> String {
        let mut text = "SELECT name, MAX(id) FROM kine WHERE name IN (".to_owned();
        self.list(&mut text, 0, names);
        text + ") GROUP BY name"
    }

    fn list(self, text: &mut String, before: usize, count: usize) {
        for n in before + 1..=before + count {
            if n > before + 1 {
                text.push_str(", ");
            }
            match self {
                Self::Numbered => drop(write!(text, "${n}")),
                Self::Question => text.push('?'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_through() {
        let insert = Parameters::Numbered.insert(2);
        assert!(
            insert.ends_with(
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9), ($10, $11, $12, $13, $14, $15, $16, $17, $18)"
            )
        );
        assert_eq!(
            Parameters::Question.newest(2),
            "SELECT name, MAX(id) FROM kine WHERE name IN (?, ?) GROUP BY name"
        );
    }
}
