//! Kine's table in PostgreSQL, and every statement that touches it (kine `pkg/drivers/pgsql/pgsql.go`).
//!
//! The SQLite plugin's dialect documents the columns. Names have collation "C": keys are
//! ordered by bytes.

use k3s_datastore_kine::{Dialect, Insert, Parameters};

/// PostgreSQL's words.
pub static POSTGRES: Dialect = Dialect {
    name: "postgres",
    // A database may hold other things than kine's table.
    objects: "SELECT 'table', tablename::text FROM pg_catalog.pg_tables
            WHERE schemaname = current_schema() AND tablename = 'kine'
         UNION ALL SELECT 'index', indexname::text FROM pg_catalog.pg_indexes
            WHERE schemaname = current_schema() AND tablename = 'kine'",
    columns: "SELECT column_name::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name = 'kine'",
    unfit: Some(
        "SELECT 'the column name of its table kine has not the collation \"C\"; kine itself changes that when it is \
             started with KINE_SCHEMA_MIGRATION=2'
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
         WHERE a.attrelid = 'kine'::regclass AND a.attname = 'name' AND c.collname NOT IN ('C', 'POSIX')
            AND NOT (c.collname = 'default' AND (SELECT datcollate FROM pg_catalog.pg_database
                WHERE datname = current_database()) IN ('C', 'POSIX'))",
    ),
    table: "CREATE TABLE IF NOT EXISTS kine (
        id BIGSERIAL PRIMARY KEY,
        name TEXT COLLATE \"C\",
        created INTEGER,
        deleted INTEGER,
        create_revision BIGINT,
        prev_revision BIGINT,
        lease INTEGER,
        value BYTEA,
        old_value BYTEA
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
        ("kine_list_query_index", "CREATE INDEX kine_list_query_index ON kine (name, id DESC, deleted)"),
    ],
    marker: "INSERT INTO kine(id, name, created, deleted, create_revision, prev_revision, lease, value)
         VALUES($1, 'compact_rev_key', 1, 0, 0, 0, 0, ''::bytea)",
    has_marker: "SELECT COUNT(*) FROM kine WHERE name = 'compact_rev_key'",
    protobuf: "SELECT name FROM (
            (SELECT name, value FROM kine ORDER BY id LIMIT 1000)
            UNION ALL (SELECT name, value FROM kine ORDER BY id DESC LIMIT 1000)) AS ends
         WHERE substring(value FROM 1 FOR 4) = '\\x6b387300'::bytea LIMIT 1",
    position: "SELECT GREATEST(revision, compacted), compacted FROM (SELECT
            COALESCE((SELECT MAX(id) FROM kine), 0)::bigint AS revision,
            COALESCE((SELECT MAX(prev_revision) FROM kine WHERE name = 'compact_rev_key'), 0)::bigint AS compacted
         ) AS log",
    insert: Insert::Together(Parameters::Numbered),
    successors: "SELECT COUNT(*) FROM kine WHERE name = $1 AND prev_revision = $2",
    // Rows are inserted with their revision, which leaves the sequence behind, and kine takes its
    // revisions from there.
    advance: Some("SELECT setval(pg_get_serial_sequence('kine', 'id'), $1)"),
    after: "SELECT id, name, created, deleted, create_revision, prev_revision, lease, value, old_value
         FROM kine
         WHERE id > $1 AND id <= $2 AND name >= $3 AND name < $4
            AND name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver') AND name NOT LIKE 'gap-%'
         ORDER BY id LIMIT $5",
    // The inner query goes along the index of (name, id) and ends with the page.
    range: "SELECT kv.name, CASE WHEN kv.deleted = 0 THEN kv.value END, kv.create_revision, kv.id, kv.lease,
            kv.created, kv.deleted
         FROM (SELECT MAX(id) AS id FROM kine
            WHERE name > $1 AND name >= $2 AND name < $3 AND id <= $4
                AND name NOT IN ('compact_rev_key', 'compact_rev_key_apiserver')
            GROUP BY name ORDER BY name LIMIT $5) AS newest
         JOIN kine AS kv ON kv.id = newest.id
         ORDER BY kv.name",
    page_rows: 500,
    compact: "DELETE FROM kine USING (
            SELECT prev_revision AS id FROM kine
            WHERE id > $1 AND id <= $2 AND prev_revision != 0 AND name != 'compact_rev_key'
            UNION
            SELECT id FROM kine WHERE id > $3 AND id <= $4 AND deleted != 0) AS gone
         WHERE kine.id = gone.id",
    set_compacted: "UPDATE kine SET prev_revision = $1 WHERE name = 'compact_rev_key'",
    // Autovacuum does it.
    maintain: &[],
    size: "SELECT pg_total_relation_size('kine')",
    health: "SELECT 1 FROM kine LIMIT 1",
    names_are_bytes: false,
};
