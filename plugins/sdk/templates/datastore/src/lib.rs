//! A datastore to start from: every write is a row of one table in SQLite. The table is kine's, column by
//! column, so that K3s itself could go on with the file.
//!
//! The server keeps the cluster in memory and asks a datastore for four things: to write rows (`append`),
//! to read what happened since a revision (`after`) or what existed at one (`range`), and to remove old
//! rows (`compact`). The host owns the connection, the flush to disk and the timeouts
//! (`k3s/wit/sql/sql.wit`); the plugin owns tables and queries.

use k3s_plugin_sdk::datastore::{
    AppendRow, Change, ChangeKind, Changes, Columns, Database, Datastore, Entries, Entry, Error,
    FEW, Flavour, Limits, Outcome, Position, Row, Transaction, Value, integer, prefix_end, sql,
};
use k3s_plugin_sdk::{NoSettings, Sentence, export_datastore, info};

/// `id` is the revision. A row that creates a key has `created` 1 and `create_revision` 0; `prev_revision`
/// is the row that this one replaces, also a tombstone. (That `name` is an INTEGER is kine's slip; SQLite
/// keeps text in it all the same.)
const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER, created INTEGER,
        deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)",
    "CREATE INDEX IF NOT EXISTS kine_name_index ON kine (name)",
    "CREATE INDEX IF NOT EXISTS kine_name_id_index ON kine (name, id)",
    "CREATE INDEX IF NOT EXISTS kine_id_deleted_index ON kine (id, deleted)",
    "CREATE INDEX IF NOT EXISTS kine_prev_revision_index ON kine (prev_revision)",
    "CREATE UNIQUE INDEX IF NOT EXISTS kine_name_prev_revision_uindex ON kine (name, prev_revision)",
    // Not a key: its prev_revision is the compacted revision. It makes the first revision 1.
    "INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value)
        SELECT 1 + COALESCE((SELECT MAX(id) FROM kine), 0), 'compact_rev_key', 1, 0, 0, 0, 0, x''
        WHERE NOT EXISTS (SELECT 1 FROM kine WHERE name = 'compact_rev_key')",
];
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
/// Values that kube-apiserver wrote in its binary form begin like this.
const PROTOBUF: &str = "SELECT COUNT(*) FROM kine WHERE substr(value, 1, 4) = x'6b387300'";
/// The newest rows may be tombstones that compaction removed, so the compacted revision counts too.
const POSITION: &str = "SELECT MAX(revision, compacted), compacted FROM (SELECT
    COALESCE((SELECT MAX(id) FROM kine), 0) AS revision,
    COALESCE((SELECT MAX(prev_revision) FROM kine WHERE name = 'compact_rev_key'), 0) AS compacted)";
/// A key's newest row and whether it is a tombstone: with one MAX, SQLite takes the other column from that row.
const NEWEST: &str = "SELECT COALESCE(MAX(id), 0), COALESCE(deleted, 1) FROM kine WHERE name = ?1";
const INSERT: &str =
    "INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value,
    old_value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
/// The `+` keeps SQLite from going along the index of names: the rows are wanted by revision.
const AFTER: &str = "SELECT id, name, created, deleted, create_revision, prev_revision, lease, value, old_value
    FROM kine WHERE id > ?1 AND id <= ?2 AND +name >= ?3 AND +name < ?4 AND +name != 'compact_rev_key' ORDER BY id";
const RANGE: &str = "SELECT name, value, create_revision, MAX(id), lease, created FROM kine
    WHERE name > ?1 AND name >= ?2 AND name < ?3 AND id <= ?4 AND +name != 'compact_rev_key'
    GROUP BY name HAVING deleted = 0 ORDER BY name";
/// What rows of (compacted, to] replaced, and tombstones among them.
const COMPACT: &str = "DELETE FROM kine WHERE id IN (
    SELECT prev_revision FROM kine WHERE id > ?1 AND id <= ?2 AND prev_revision != 0 AND +name != 'compact_rev_key'
    UNION SELECT id FROM kine WHERE id > ?1 AND id <= ?2 AND deleted != 0)";
const SET_COMPACTED: &str = "UPDATE kine SET prev_revision = ?1 WHERE name = 'compact_rev_key'";

struct MyDatastore;

/// Starts a transaction in which `revision` can be read: nothing compacts while it is open.
fn begin_readable(db: &dyn Database, revision: u64) -> Result<Box<dyn Transaction + '_>, Error> {
    let tx = db.begin(false)?;
    let compacted = position(&*tx)?.compacted;
    if revision < compacted {
        Err(Error::Compacted(compacted))
    } else {
        Ok(tx)
    }
}

fn position(tx: &dyn Transaction) -> Result<Position, Error> {
    let mut row = Columns::only(tx.query(POSITION, &[], FEW)?)?;
    Ok(Position {
        revision: row.number()?,
        compacted: row.number()?,
    })
}

impl Datastore for MyDatastore {
    /// The database is the operator's `--datastore-endpoint`.
    type Config = NoSettings;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(NoSettings: NoSettings) -> Result<Self, Sentence> {
        Ok(Self)
    }

    /// Refuses what cannot be served before anything is written: dropping a transaction rolls it back.
    fn open(&mut self, db: &dyn Database) -> Result<Position, Error> {
        if db.flavour()? != Flavour::Sqlite {
            return Err(Error::Refused(
                "this plugin supports SQLite only".to_owned(),
            ));
        }
        let tables = db
            .query(TABLES, &[], FEW)?
            .rows
            .into_iter()
            .map(|row| Columns::of(row).text());
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        if !tables.is_empty() && !tables.iter().any(|table| table == "kine") {
            return Err(Error::Refused(format!(
                "this is not a K3s database: it has {}",
                tables.join(", ")
            )));
        }
        // Waits for an append in progress on another server, so that the position is final.
        let tx = db.begin(true)?;
        for statement in SCHEMA {
            tx.run(statement, &[])?;
        }
        if Columns::only(tx.query(PROTOBUF, &[], FEW)?)?.number()? > 0 {
            return Err(Error::Refused(
                "this database has values in protobuf, which cannot be served".to_owned(),
            ));
        }
        let position = position(&*tx)?;
        tx.commit()?;
        info!("the log stands at revision {}", position.revision);
        Ok(position)
    }

    /// Assigns revisions under the write lock, so their order is the order of commits. The rows were
    /// decided when the log ended at `head`: if a key changed since, its row is a conflict.
    fn append(
        &mut self,
        db: &dyn Database,
        head: u64,
        rows: Vec<AppendRow>,
    ) -> Result<Vec<Outcome>, Error> {
        let tx = db.begin(true)?;
        let Position {
            mut revision,
            compacted,
        } = position(&*tx)?;
        // The keys of rows that were compacted since are unknown.
        if revision < head || compacted > head {
            return Err(Error::Stale(revision));
        }
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            let mut newest =
                Columns::only(tx.query(NEWEST, &[Value::Text(row.key.clone())], FEW)?)?;
            let (newest, is_gone) = (newest.number()?, newest.number()? != 0);
            let fits = if row.kind == ChangeKind::Create {
                is_gone
            } else {
                newest == row.prev_revision
            };
            if newest > head || !fits {
                outcomes.push(Outcome::Conflict);
                continue;
            }
            revision += 1;
            tx.run(INSERT, &columns(row, revision, newest))?;
            outcomes.push(Outcome::Committed(revision));
        }
        tx.commit().map_err(Error::of_commit)?;
        Ok(outcomes)
    }

    fn after(
        &mut self,
        db: &dyn Database,
        after: u64,
        through: u64,
        prefix: &str,
        limits: Limits,
    ) -> Result<Changes, Error> {
        let tx = begin_readable(db, after)?;
        let args = [
            integer(after),
            integer(through),
            Value::Text(prefix.to_owned()),
            Value::Text(prefix_end(prefix)),
        ];
        let rows = tx.query(AFTER, &args, bounds(limits))?;
        let changes = rows
            .rows
            .into_iter()
            .map(change)
            .collect::<Result<Vec<_>, _>>()?;
        let last = changes.last().map_or(after, |change| change.revision);
        Ok(Changes {
            changes,
            through: if rows.complete { through } else { last },
        })
    }

    fn range(
        &mut self,
        db: &dyn Database,
        at: u64,
        prefix: &str,
        start_after: Option<&str>,
        limits: Limits,
    ) -> Result<Entries, Error> {
        let tx = begin_readable(db, at)?;
        let text = |text: &str| Value::Text(text.to_owned());
        let args = [
            text(start_after.unwrap_or_default()),
            text(prefix),
            text(&prefix_end(prefix)),
            integer(at),
        ];
        let rows = tx.query(RANGE, &args, bounds(limits))?;
        let entries = rows
            .rows
            .into_iter()
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Entries {
            entries,
            more: !rows.complete,
        })
    }

    fn compact(&mut self, db: &dyn Database, to: u64) -> Result<u64, Error> {
        let tx = db.begin(true)?;
        let now = position(&*tx)?;
        let to = to.min(now.revision);
        if to <= now.compacted {
            return Ok(now.compacted);
        }
        tx.run(COMPACT, &[integer(now.compacted), integer(to)])?;
        tx.run(SET_COMPACTED, &[integer(to)])?;
        tx.commit()?;
        Ok(to)
    }

    fn maintain(&mut self, db: &dyn Database) -> Result<(), Error> {
        db.query("PRAGMA incremental_vacuum(1024)", &[], FEW)?;
        Ok(())
    }

    fn size(&mut self, db: &dyn Database) -> Result<u64, Error> {
        const SIZE: &str =
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        Columns::only(db.query(SIZE, &[], FEW)?)?.number()
    }

    fn health(&mut self, db: &dyn Database) -> Result<(), Error> {
        db.query("SELECT 1 FROM kine LIMIT 1", &[], FEW)?;
        Ok(())
    }
}

/// The host's limits apply to one answer; it asks again from where that ended.
fn bounds(limits: Limits) -> sql::Limits {
    sql::Limits {
        rows: limits.rows.max(1),
        bytes: limits.bytes,
    }
}

/// A row of the table. A creation follows the key's tombstone, if there is one.
fn columns(row: AppendRow, revision: u64, newest: u64) -> Vec<Value> {
    let flag = |set: bool| Value::Integer(i64::from(set));
    let created = row.kind == ChangeKind::Create;
    vec![
        integer(revision),
        Value::Text(row.key),
        flag(created),
        flag(row.kind == ChangeKind::Delete),
        integer(row.create_revision),
        integer(newest),
        Value::Integer(i64::from(row.lease)),
        Value::Blob(row.value),
        if created {
            Value::Null
        } else {
            Value::Blob(row.old_value)
        },
    ]
}

fn change(row: Row) -> Result<Change, Error> {
    let mut row = Columns::of(row);
    let (revision, key) = (row.number()?, row.text()?);
    let (created, deleted) = (row.number()? != 0, row.number()? != 0);
    let (create_revision, prev_revision, lease) = (row.number()?, row.number()?, row.number()?);
    let kind = match (created, deleted) {
        (_, true) => ChangeKind::Delete,
        (true, false) => ChangeKind::Create,
        (false, false) => ChangeKind::Update,
    };
    let fresh = kind == ChangeKind::Create;
    Ok(Change {
        revision,
        key,
        kind,
        create_revision: if fresh { revision } else { create_revision },
        prev_revision: if fresh { 0 } else { prev_revision },
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
        value: row.bytes()?,
        old_value: row.bytes()?,
    })
}

fn entry(row: Row) -> Result<Entry, Error> {
    let mut row = Columns::of(row);
    let (key, value) = (row.text()?, row.bytes()?);
    let (create_revision, mod_revision, lease) = (row.number()?, row.number()?, row.number()?);
    let created = row.number()? != 0;
    Ok(Entry {
        key,
        value,
        create_revision: if created {
            mod_revision
        } else {
            create_revision
        },
        mod_revision,
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
    })
}

export_datastore!(MyDatastore);
