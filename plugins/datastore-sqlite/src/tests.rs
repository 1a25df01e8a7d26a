//! The shared logic on SQLite itself.

use k3s_datastore_kine::append::append;
use k3s_datastore_kine::compact::{compact, maintain};
use k3s_datastore_kine::open::open;
use k3s_datastore_kine::read::{after, range};
use k3s_plugin_sdk::datastore::ChangeKind::{Create, Delete, Update};
use k3s_plugin_sdk::datastore::{Error, Limits, Outcome};

use crate::dialect::SQLITE;
use crate::testdb::{TestDb, row};

const ALL: Limits = Limits {
    rows: 1000,
    bytes: 1 << 20,
};

fn opened() -> TestDb {
    let db = TestDb::new();
    open(&db, &SQLITE).unwrap();
    db
}

#[test]
fn a_batch_commits_as_kine_rows() {
    let db = opened();
    append(
        &db,
        &SQLITE,
        1,
        vec![row("/a", Create, 0, 0), row("/b", Create, 0, 0)],
    )
    .unwrap();
    append(&db, &SQLITE, 3, vec![row("/a", Delete, 2, 2)]).unwrap();
    append(&db, &SQLITE, 4, vec![row("/a", Create, 0, 0)]).unwrap();
    assert_eq!(
        db.rows("SELECT id, name, created, deleted, create_revision, prev_revision FROM kine WHERE id > 1"),
        ["2 /a 1 0 0 0", "3 /b 1 0 0 0", "4 /a 0 1 2 2", "5 /a 1 0 0 4"],
        "a creation follows its tombstone"
    );
}

#[test]
fn a_wrong_head_writes_nothing() {
    let db = opened();
    let before = db.dump();
    let create = || vec![row("/a", Create, 0, 0)];
    assert_eq!(
        append(&db, &SQLITE, 2, create()).unwrap_err(),
        Error::Stale(1)
    );
    assert_eq!(db.dump(), before);
    assert!(append(&db, &SQLITE, 1, create()).is_ok());
}

#[test]
fn a_batch_follows_what_others_wrote() {
    let db = opened();
    append(
        &db,
        &SQLITE,
        1,
        vec![row("/a", Create, 0, 0), row("/b", Create, 0, 0)],
    )
    .unwrap();
    append(
        &db,
        &SQLITE,
        3,
        vec![row("/a", Update, 2, 2), row("/new", Create, 0, 0)],
    )
    .unwrap();
    let batch = || {
        vec![
            row("/new", Create, 0, 0),
            row("/b", Update, 3, 3),
            row("/a", Update, 2, 2),
            row("/c", Create, 0, 0),
        ]
    };
    let outcomes = append(&db, &SQLITE, 3, batch()).unwrap();
    assert!(
        matches!(
            outcomes[..],
            [
                Outcome::Conflict,
                Outcome::Committed(6),
                Outcome::Conflict,
                Outcome::Committed(7)
            ]
        ),
        "{outcomes:?}"
    );
    let again = append(&db, &SQLITE, 3, batch()).unwrap();
    assert!(
        again
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Conflict)),
        "{again:?}"
    );
    assert_eq!(
        db.rows("SELECT id, name FROM kine WHERE id > 3"),
        ["4 /a", "5 /new", "6 /b", "7 /c"]
    );
}

#[test]
fn a_row_whose_predecessor_was_replaced_is_left_out() {
    let db = opened();
    append(
        &db,
        &SQLITE,
        1,
        vec![row("/a", Create, 0, 0), row("/b", Create, 0, 0)],
    )
    .unwrap();
    append(&db, &SQLITE, 3, vec![row("/a", Update, 2, 2)]).unwrap();
    let batch = vec![
        row("/c", Create, 0, 0),
        row("/a", Update, 2, 2),
        row("/b", Update, 3, 3),
    ];
    let outcomes = append(&db, &SQLITE, 4, batch).unwrap();
    assert!(
        matches!(
            outcomes[..],
            [
                Outcome::Committed(5),
                Outcome::Conflict,
                Outcome::Committed(6)
            ]
        ),
        "the others follow each other without a hole: {outcomes:?}"
    );
    assert_eq!(
        db.rows("SELECT id, name FROM kine WHERE id > 4"),
        ["5 /c", "6 /b"]
    );
}

#[test]
fn what_lives_stays_and_revisions_never_go_back() {
    let db = opened();
    append(
        &db,
        &SQLITE,
        1,
        vec![row("/a", Create, 0, 0), row("/b", Create, 0, 0)],
    )
    .unwrap();
    append(
        &db,
        &SQLITE,
        3,
        vec![row("/a", Update, 2, 2), row("/b", Delete, 3, 3)],
    )
    .unwrap();
    assert_eq!(compact(&db, &SQLITE, 4), Ok(4));
    assert_eq!(
        db.rows("SELECT id FROM kine ORDER BY id"),
        ["1", "3", "4", "5"]
    );
    assert_eq!(compact(&db, &SQLITE, 99), Ok(5), "not beyond the newest");
    assert_eq!(db.rows("SELECT id FROM kine ORDER BY id"), ["1", "4"]);
    assert_eq!(compact(&db, &SQLITE, 2), Ok(5));
    let position = open(&db, &SQLITE).unwrap();
    assert_eq!(
        (position.revision, position.compacted),
        (5, 5),
        "though the newest row is gone"
    );
    assert!(append(&db, &SQLITE, 5, vec![row("/b", Create, 0, 0)]).is_ok());
    maintain(&db, &SQLITE).unwrap();
}

#[test]
fn a_new_database_gets_kines_schema_and_revision_one() {
    let db = TestDb::new();
    let position = open(&db, &SQLITE).unwrap();
    assert_eq!((position.revision, position.compacted), (1, 0));
    let before = db.dump();
    assert_eq!(open(&db, &SQLITE).unwrap().revision, 1);
    assert_eq!(db.dump(), before, "opening again writes nothing");
}

#[test]
fn an_older_kine_database_is_completed() {
    let db = TestDb::new();
    db.execute(SQLITE.table);
    db.execute("CREATE INDEX kine_name_index ON kine (name)");
    db.execute("INSERT INTO kine VALUES(7, '/registry/a', 1, 0, 0, 0, 0, '{}', NULL)");
    assert_eq!(
        open(&db, &SQLITE).unwrap().revision,
        8,
        "the marker takes a revision, as in kine"
    );
    assert!(db.dump().contains("kine_name_prev_revision_uindex"));
}

#[test]
fn foreign_and_stock_databases_are_refused_unchanged() {
    let stock = format!(
        "{}; INSERT INTO kine VALUES(1, 'compact_rev_key', 1, 0, 0, 0, 0, '', NULL); \
         INSERT INTO kine VALUES(2, '/registry/pods/a', 1, 0, 0, 0, 0, x'6b3873000a', NULL)",
        SQLITE.table
    );
    for (setup, said) in [
        (
            "CREATE TABLE people (name TEXT)",
            "no table kine (it has people)",
        ),
        (
            "CREATE TABLE kine (id INTEGER, name TEXT)",
            "no column created",
        ),
        (stock.as_str(), "/registry/pods/a"),
    ] {
        let db = TestDb::new();
        db.execute(setup);
        let before = db.dump();
        let Err(Error::Refused(message)) = open(&db, &SQLITE) else {
            panic!("{setup} must be refused")
        };
        assert!(message.contains(said), "{message}");
        assert_eq!(db.dump(), before);
    }
}

fn filled() -> TestDb {
    let db = opened();
    append(
        &db,
        &SQLITE,
        1,
        ["/a/1", "/a/2", "/a0", "/b"]
            .map(|k| row(k, Create, 0, 0))
            .into(),
    )
    .unwrap();
    append(
        &db,
        &SQLITE,
        5,
        vec![row("/a/2", Update, 3, 3), row("/b", Delete, 5, 5)],
    )
    .unwrap();
    db
}

#[test]
fn history_leaves_out_what_is_no_key() {
    let db = filled();
    db.execute("INSERT INTO kine VALUES(8, 'gap-8', 0, 1, 0, 0, 0, NULL, NULL)");
    let all = after(&db, &SQLITE, 0, 8, "", ALL).unwrap();
    assert_eq!(
        all.changes.iter().map(|c| c.revision).collect::<Vec<_>>(),
        [2, 3, 4, 5, 6, 7]
    );
    assert_eq!(all.through, 8);
    let some = after(
        &db,
        &SQLITE,
        0,
        8,
        "/a/",
        Limits {
            rows: 2,
            bytes: 1 << 20,
        },
    )
    .unwrap();
    assert_eq!((some.changes.len(), some.through), (2, 3));
}

#[test]
fn ranges_are_in_order_and_bounded() {
    let db = filled();
    let keys = |at, prefix, start_after, rows| {
        let entries = range(
            &db,
            &SQLITE,
            at,
            prefix,
            start_after,
            Limits {
                rows,
                bytes: 1 << 20,
            },
        )
        .unwrap();
        (
            entries
                .entries
                .iter()
                .map(|e| e.key.clone())
                .collect::<Vec<_>>()
                .join(" "),
            entries.more,
        )
    };
    assert_eq!(keys(7, "", None, 100), ("/a/1 /a/2 /a0".to_owned(), false));
    assert_eq!(keys(6, "", Some("/a/2"), 100), ("/a0 /b".to_owned(), false));
    assert_eq!(keys(7, "/a/", None, 1), ("/a/1".to_owned(), true));
    assert_eq!(keys(7, "/c", None, 1), (String::new(), false));
}

#[test]
fn a_protobuf_value_is_refused_wherever_it_is_met() {
    let db = filled();
    db.execute("UPDATE kine SET value = x'6b38730001' WHERE id = 4");
    assert!(
        matches!(range(&db, &SQLITE, 7, "", None, ALL), Err(Error::Refused(m)) if m.contains("/a0"))
    );
    assert!(matches!(
        after(&db, &SQLITE, 3, 7, "", ALL),
        Err(Error::Refused(_))
    ));
}
