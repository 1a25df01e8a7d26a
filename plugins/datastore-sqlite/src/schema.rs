//! Kine's table, and every statement that touches it (kine `pkg/drivers/sqlite/sqlite.go`).
//!
//! `id` is the revision. `created` and `deleted` are flags; `create_revision` is 0 in the creating
//! row; `prev_revision` is the row that this one replaces, also a tombstone; `lease` is seconds;
//! `old_value` is the value before. The row named `compact_rev_key` holds the compacted revision in
//! its `prev_revision`; rows named `gap-N` fill holes that kine left. Neither is a key.

/// What a new database gets, in order. The first statement decides that pages are given back.
pub(crate) const CREATE: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS kine (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name INTEGER,
        created INTEGER,
        deleted INTEGER,
        create_revision INTEGER,
        prev_revision INTEGER,
        lease INTEGER,
        value BLOB,
        old_value BLOB
    )",
    "CREATE INDEX IF NOT EXISTS kine_name_index ON kine (name)",
    "CREATE INDEX IF NOT EXISTS kine_name_id_index ON kine (name,id)",
    "CREATE INDEX IF NOT EXISTS kine_id_deleted_index ON kine (id,deleted)",
    "CREATE INDEX IF NOT EXISTS kine_prev_revision_index ON kine (prev_revision)",
    "CREATE UNIQUE INDEX IF NOT EXISTS kine_name_prev_revision_uindex ON kine (name, prev_revision)",
];

/// Index names of [`CREATE`]; a database of an older kine may lack some.
pub(crate) const INDEXES: &[&str] = &[
    "kine_name_index",
    "kine_name_id_index",
    "kine_id_deleted_index",
    "kine_prev_revision_index",
    "kine_name_prev_revision_uindex",
];

/// Columns of the table.
pub(crate) const COLUMNS: &[&str] =
    &["id", "name", "created", "deleted", "create_revision", "prev_revision", "lease", "value", "old_value"];

pub(crate) const MASTER: &str = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index')";

pub(crate) const TABLE_INFO: &str = "SELECT name FROM pragma_table_info('kine')";

/// The first row, as kine makes it at its first start.
pub(crate) const MARKER: &str = "INSERT INTO kine(name, created, deleted, create_revision, prev_revision, lease, value)
     VALUES('compact_rev_key', 1, 0, 0, 0, 0, x'')";

pub(crate) const HAS_MARKER: &str = "SELECT COUNT(*) FROM kine WHERE name = 'compact_rev_key'";

/// A protobuf value among the oldest and the newest rows: enough to know a stock database at once;
/// reading the keys checks each value again.
pub(crate) const PROTOBUF: &str = "SELECT name FROM (
        SELECT * FROM (SELECT name, value FROM kine ORDER BY id LIMIT 1000)
        UNION ALL SELECT * FROM (SELECT name, value FROM kine ORDER BY id DESC LIMIT 1000))
     WHERE substr(value, 1, 4) = x'6b387300' LIMIT 1";

/// Newest and compacted revision. The newest rows may be tombstones that compaction removed, so the
/// compacted revision counts too.
pub(crate) const POSITION: &str = "SELECT MAX(revision, compacted), compacted FROM (SELECT
        COALESCE((SELECT MAX(id) FROM kine), 0) AS revision,
        COALESCE((SELECT MAX(prev_revision) FROM kine WHERE name = 'compact_rev_key'), 0) AS compacted)";

/// A creation hands in NULL for `prev_revision` and follows the key's tombstone, if there is one.
pub(crate) const INSERT: &str = "INSERT INTO kine(
        id, name, created, deleted, create_revision, prev_revision, lease, value, old_value)
     VALUES(?1, ?2, ?3, ?4, ?5, COALESCE(?6, (SELECT MAX(id) FROM kine WHERE name = ?2), 0), ?7, ?8, ?9)";

/// Rows in revision order; the `+` keeps SQLite from sorting what it found by name.
pub(crate) const AFTER: &str =
    "SELECT id, name, created, deleted, create_revision, prev_revision, lease, value, old_value
     FROM kine
     WHERE id > ?1 AND id <= ?2 AND +name >= ?3 AND +name < ?4
        AND +name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver') AND +name NOT GLOB 'gap-[0-9]*'
     ORDER BY id";

/// The newest row of each key as of a revision: with one MAX, SQLite takes the other columns from
/// that row (<https://sqlite.org/lang_select.html#bareagg>). Goes along the index of (name, id).
pub(crate) const RANGE: &str = "SELECT name, value, create_revision, MAX(id), lease, created, deleted
     FROM kine
     WHERE name > ?1 AND name >= ?2 AND name < ?3 AND id <= ?4
        AND +name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver')
     GROUP BY name HAVING deleted = 0 ORDER BY name";

/// What rows of (compacted, to] replaced, and tombstones among them. Earlier rows were dealt with by
/// earlier compactions.
pub(crate) const COMPACT: &str = "DELETE FROM kine WHERE id IN (
        SELECT prev_revision FROM kine
        WHERE id > ?1 AND id <= ?2 AND prev_revision != 0 AND +name != 'compact_rev_key'
        UNION
        SELECT id FROM kine WHERE id > ?1 AND id <= ?2 AND deleted != 0)";

pub(crate) const SET_COMPACTED: &str = "UPDATE kine SET prev_revision = ?1 WHERE name = 'compact_rev_key'";

/// Moves what can be moved into the database file without waiting for readers.
pub(crate) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Gives a bounded number of free pages back (4 MiB at SQLite's page size).
pub(crate) const VACUUM: &str = "PRAGMA incremental_vacuum(1024)";

pub(crate) const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";

pub(crate) const HEALTH: &str = "SELECT 1 FROM kine LIMIT 1";
