//! Kine's table in SQLite, and every statement that touches it (kine `pkg/drivers/sqlite/sqlite.go`).
//!
//! `id` is the revision. `created` and `deleted` are flags; `create_revision` is 0 in the creating
//! row; `prev_revision` is the row that this one replaces, also a tombstone; `lease` is seconds;
//! `old_value` is the value before. The row named `compact_rev_key` holds the compacted revision in
//! its `prev_revision`; rows named `gap-N` fill holes that kine left. Neither is a key.

use k3s_datastore_kine::{Dialect, Insert};

/// SQLite's words.
pub static SQLITE: Dialect = Dialect {
    name: "sqlite",
    objects: "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite\\_%' \
         ESCAPE '\\'",
    columns: "SELECT name FROM pragma_table_info('kine')",
    unfit: None,
    table: "CREATE TABLE IF NOT EXISTS kine (
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
    indexes: &[
        ("kine_name_index", "CREATE INDEX kine_name_index ON kine (name)"),
        ("kine_name_id_index", "CREATE INDEX kine_name_id_index ON kine (name,id)"),
        ("kine_id_deleted_index", "CREATE INDEX kine_id_deleted_index ON kine (id,deleted)"),
        ("kine_prev_revision_index", "CREATE INDEX kine_prev_revision_index ON kine (prev_revision)"),
        (
            "kine_name_prev_revision_uindex",
            "CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision)",
        ),
    ],
    marker: "INSERT INTO kine(id, name, created, deleted, create_revision, prev_revision, lease, value)
         VALUES(?1, 'compact_rev_key', 1, 0, 0, 0, 0, x'')",
    has_marker: "SELECT COUNT(*) FROM kine WHERE name = 'compact_rev_key'",
    protobuf: "SELECT name FROM (
            SELECT * FROM (SELECT name, value FROM kine ORDER BY id LIMIT 1000)
            UNION ALL SELECT * FROM (SELECT name, value FROM kine ORDER BY id DESC LIMIT 1000))
         WHERE substr(value, 1, 4) = x'6b387300' LIMIT 1",
    position: "SELECT MAX(revision, compacted), compacted FROM (SELECT
            COALESCE((SELECT MAX(id) FROM kine), 0) AS revision,
            COALESCE((SELECT MAX(prev_revision) FROM kine WHERE name = 'compact_rev_key'), 0) AS compacted)",
    insert: Insert::Each {
        row: "INSERT INTO kine(id, name, created, deleted, create_revision, prev_revision, lease, value, old_value)
         VALUES(?1, ?2, ?3, ?4, ?5, COALESCE(?6, (SELECT MAX(id) FROM kine WHERE name = ?2), 0), ?7, ?8, ?9)",
        newest: "SELECT name, MAX(id) FROM kine WHERE name = ?1 GROUP BY name",
    },
    successors: "SELECT COUNT(*) FROM kine WHERE name = ?1 AND prev_revision = ?2",
    advance: None,
    // The `+` keeps SQLite from sorting what it found by name.
    after: "SELECT id, name, created, deleted, create_revision, prev_revision, lease, value, old_value
         FROM kine
         WHERE id > ?1 AND id <= ?2 AND +name >= ?3 AND +name < ?4
            AND +name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver') AND +name NOT GLOB 'gap-[0-9]*'
         ORDER BY id LIMIT ?5",
    // With one MAX, SQLite takes the other columns from that row
    // (<https://sqlite.org/lang_select.html#bareagg>). Goes along the index of (name, id).
    range: "SELECT name, value, create_revision, MAX(id), lease, created, deleted
         FROM kine
         WHERE name > ?1 AND name >= ?2 AND name < ?3 AND id <= ?4
            AND +name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver')
         GROUP BY name HAVING deleted = 0 ORDER BY name LIMIT ?5",
    // Rows are made as they are read.
    page_rows: u32::MAX,
    compact: "DELETE FROM kine WHERE id IN (
            SELECT prev_revision FROM kine
            WHERE id > ?1 AND id <= ?2 AND prev_revision != 0 AND +name != 'compact_rev_key'
            UNION
            SELECT id FROM kine WHERE id > ?3 AND id <= ?4 AND deleted != 0)",
    set_compacted: "UPDATE kine SET prev_revision = ?1 WHERE name = 'compact_rev_key'",
    maintain: &[
        // A bounded number of free pages (4 MiB at SQLite's page size).
        "PRAGMA incremental_vacuum(1024)",
        // What can be moved into the database file without waiting for readers.
        "PRAGMA wal_checkpoint(PASSIVE)",
    ],
    size: "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    health: "SELECT 1 FROM kine LIMIT 1",
    names_are_bytes: false,
};
