//! Kine's table in MySQL and MariaDB, and every statement that touches it (kine
//! `pkg/drivers/mysql/mysql.go`).
//!
//! The SQLite plugin's dialect documents the columns. Names are bytes, where kine has ASCII
//! text in a collation that takes upper and lower case for the same and ignores trailing blanks; kine
//! itself does not mind. Sums of signed and unsigned numbers would be decimals, hence the casts.

use k3s_datastore_kine::{Dialect, Insert, Parameters};

/// MySQL's words, as far as MariaDB understands them too.
pub static MYSQL: Dialect = Dialect {
    name: "mysql",
    // A database may hold other things than kine's table.
    objects: "SELECT 'table', table_name FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name = 'kine'
         UNION ALL SELECT DISTINCT 'index', index_name FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'kine'",
    columns: "SELECT column_name FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name = 'kine'",
    unfit: Some(
        "SELECT CONCAT('the column name of its table kine has the collation ', collation_name, ', in which different \
             keys can be equal')
         FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name = 'kine' AND column_name = 'name'
            AND collation_name IS NOT NULL AND collation_name NOT LIKE '%bin'",
    ),
    table: "CREATE TABLE IF NOT EXISTS kine (
        id BIGINT UNSIGNED AUTO_INCREMENT,
        name VARBINARY(630),
        created INTEGER,
        deleted INTEGER,
        create_revision BIGINT UNSIGNED,
        prev_revision BIGINT UNSIGNED,
        lease INTEGER,
        value MEDIUMBLOB,
        old_value MEDIUMBLOB,
        PRIMARY KEY (id)
    ) ENGINE = InnoDB",
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
         VALUES(?, 'compact_rev_key', 1, 0, 0, 0, 0, '')",
    has_marker: "SELECT COUNT(*) FROM kine WHERE name = 'compact_rev_key'",
    protobuf: "SELECT name FROM (
            (SELECT name, value FROM kine ORDER BY id LIMIT 1000)
            UNION ALL (SELECT name, value FROM kine ORDER BY id DESC LIMIT 1000)) AS ends
         WHERE SUBSTRING(value, 1, 4) = x'6b387300' LIMIT 1",
    position: "SELECT GREATEST(revision, compacted), compacted FROM (SELECT
            CAST(COALESCE((SELECT MAX(id) FROM kine), 0) AS SIGNED) AS revision,
            CAST(COALESCE((SELECT MAX(prev_revision) FROM kine WHERE name = 'compact_rev_key'), 0) AS SIGNED)
                AS compacted) AS log",
    insert: Insert::Together(Parameters::Question),
    successors: "SELECT COUNT(*) FROM kine WHERE name = ? AND prev_revision = ?",
    // AUTO_INCREMENT follows by itself.
    advance: None,
    after: "SELECT id, name, created, deleted, create_revision, prev_revision, lease, value, old_value
         FROM kine
         WHERE id > ? AND id <= ? AND name >= ? AND name < ?
            AND name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver') AND name NOT LIKE 'gap-%'
         ORDER BY id LIMIT ?",
    // The inner query goes along the index of (name, id) and ends with the page.
    range: "SELECT kv.name, CASE WHEN kv.deleted = 0 THEN kv.value END, kv.create_revision, kv.id, kv.lease,
            kv.created, kv.deleted
         FROM (SELECT MAX(id) AS id FROM kine
            WHERE name > ? AND name >= ? AND name < ? AND id <= ?
                AND name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver')
            GROUP BY name ORDER BY name LIMIT ?) AS newest
         JOIN kine AS kv ON kv.id = newest.id
         ORDER BY kv.name",
    page_rows: 500,
    compact: "DELETE kv FROM kine AS kv JOIN (
            SELECT prev_revision AS id FROM kine
            WHERE id > ? AND id <= ? AND prev_revision != 0 AND name != 'compact_rev_key'
            UNION
            SELECT id FROM kine WHERE id > ? AND id <= ? AND deleted != 0) AS gone
         ON kv.id = gone.id",
    set_compacted: "UPDATE kine SET prev_revision = ? WHERE name = 'compact_rev_key'",
    // InnoDB purges by itself.
    maintain: &[],
    size: "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_name = 'kine'",
    health: "SELECT 1 FROM kine LIMIT 1",
    names_are_bytes: true,
};
