//! A datastore that misbehaves as its configuration demands, to prove that the host survives it.
//!
//! `configure` takes a word and an optional number: `loop`, `hog`, `trap 3` (at the third call), `flood`,
//! `huge`, `refuse`, `lie`, `leak` (handles), `attach` (another database file), `leave-open` (a transaction).

use std::cell::RefCell;

use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::datastore::backend::{
    AppendRow, Change, ChangeKind, Changes, Entries, Error, Guest as Backend, Limits, Outcome,
    Position,
};
use bindings::k3s::host::log::{Level, log};
use bindings::k3s::sql::sql::{Database, Limits as SqlLimits};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/common", "../../../wit/host", "../../../wit/sql", "../../../wit/datastore"],
        world: "k3s:datastore/datastore",
        generate_all,
    });
}

struct Hostile;

bindings::export!(Hostile with_types_in bindings);

thread_local! {
    static MODE: RefCell<(String, u32)> = const { RefCell::new((String::new(), 0)) };
    static CALLS: RefCell<u32> = const { RefCell::new(0) };
}

impl Plugin for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        let text = String::from_utf8_lossy(&config).into_owned();
        let (mode, number) = text.split_once(' ').unwrap_or((text.as_str(), "0"));
        if mode == "refuse" {
            return Err(ConfigError::Invalid("on purpose".to_owned()));
        }
        MODE.set((mode.to_owned(), number.parse().unwrap_or_default()));
        Ok(())
    }
}

fn misbehave() -> Result<(), Error> {
    let (mode, number) = MODE.with_borrow(Clone::clone);
    let calls = CALLS.with_borrow_mut(|calls| {
        *calls += 1;
        *calls
    });
    match mode.as_str() {
        "loop" => loop {
            std::hint::spin_loop();
        },
        "hog" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        "trap" if calls >= number => panic!("on purpose, at call {calls}"),
        "flood" => {
            for i in 0..100_000 {
                log(Level::Debug, &format!("line {i}"));
            }
            Ok(())
        }
        "leak" => {
            let database = Database::open("datastore").map_err(|e| Error::Other(e.to_string()))?;
            for _ in 0..100_000 {
                std::mem::forget(database.prepare("SELECT 1"));
            }
            Ok(())
        }
        "attach" => attach(),
        "leave-open" => {
            let database = Database::open("datastore").map_err(|e| Error::Other(e.to_string()))?;
            let transaction = database
                .begin(true)
                .map_err(|e| Error::Other(e.to_string()))?;
            let create = database
                .prepare("CREATE TABLE left_open (x)")
                .map_err(|e| Error::Other(e.to_string()))?;
            transaction
                .run(&create, &[])
                .map_err(|e| Error::Other(e.to_string()))?;
            panic!("with a transaction open");
        }
        _ => Ok(()),
    }
}

/// Tries everything that is not granted, and reports what was not refused.
fn attach() -> Result<(), Error> {
    let other = |e: bindings::k3s::sql::sql::Error| Error::Other(e.to_string());
    if Database::open("passwords").is_ok() {
        return Err(Error::Refused("another database was opened".to_owned()));
    }
    let database = Database::open("datastore").map_err(other)?;
    for text in [
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "PRAGMA synchronous = OFF",
        "VACUUM INTO '/tmp/copy.db'",
    ] {
        let statement = database.prepare(text).map_err(other)?;
        if database
            .query(
                &statement,
                &[],
                SqlLimits {
                    rows: 1,
                    bytes: 1000,
                },
            )
            .is_ok()
        {
            return Err(Error::Refused(format!("{text} was allowed")));
        }
    }
    Ok(())
}

impl Backend for Hostile {
    fn open() -> Result<Position, Error> {
        misbehave()?;
        Ok(Position {
            revision: 1,
            compacted: 0,
        })
    }

    fn append(head: u64, rows: Vec<AppendRow>) -> Result<Vec<Outcome>, Error> {
        misbehave()?;
        let lies = MODE.with_borrow(|(mode, _)| mode == "lie");
        Ok((1..=rows.len() as u64)
            .map(|n| Outcome::Committed(if lies { 7 } else { head + n }))
            .collect())
    }

    fn after(
        _after: u64,
        _through: u64,
        _prefix: String,
        _limits: Limits,
    ) -> Result<Changes, Error> {
        misbehave()?;
        let change = |n| Change {
            revision: n,
            key: "/huge".to_owned(),
            kind: ChangeKind::Update,
            create_revision: 1,
            prev_revision: n,
            lease: 0,
            value: vec![0; 1 << 20],
            old_value: Vec::new(),
        };
        let many = if MODE.with_borrow(|(mode, _)| mode == "huge") {
            40
        } else {
            0
        };
        Ok(Changes {
            changes: (0..many).map(change).collect(),
            through: 0,
        })
    }

    fn range(
        _at: u64,
        _prefix: String,
        _start: Option<String>,
        _limits: Limits,
    ) -> Result<Entries, Error> {
        Ok(Entries {
            entries: Vec::new(),
            more: false,
        })
    }

    fn compact(to: u64) -> Result<u64, Error> {
        misbehave()?;
        Ok(to)
    }

    fn maintain() -> Result<(), Error> {
        misbehave()
    }

    fn size() -> Result<u64, Error> {
        misbehave()?;
        Ok(0)
    }

    fn health() -> Result<(), Error> {
        misbehave()
    }
}
