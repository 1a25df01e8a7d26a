//! Forgetting history, and giving the space back.

use crate::error::Failure;
use crate::open::position;
use crate::schema;
use crate::sql::{Connection, FEW};
use crate::values::integer;

pub(crate) fn compact(db: &dyn Connection, to: u64) -> Result<u64, Failure> {
    let tx = db.begin(true)?;
    let now = position(&*tx)?;
    let to = to.min(now.revision);
    if to <= now.compacted {
        return Ok(now.compacted);
    }
    tx.run(schema::COMPACT, &[integer(now.compacted), integer(to)])?;
    tx.run(schema::SET_COMPACTED, &[integer(to)])?;
    tx.commit()?;
    Ok(to)
}

pub(crate) fn maintain(db: &dyn Connection) -> Result<(), Failure> {
    db.query(schema::VACUUM, &[], FEW)?;
    db.query(schema::CHECKPOINT, &[], FEW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::append;
    use crate::bindings::exports::k3s::datastore::backend::ChangeKind::{Create, Delete, Update};
    use crate::open::open;
    use crate::testdb::{TestDb, row};

    #[test]
    fn what_lives_stays_and_revisions_never_go_back() {
        let db = TestDb::new();
        open(&db).unwrap();
        append(&db, 1, vec![row("/a", Create, 0, 0), row("/b", Create, 0, 0)]).unwrap();
        append(&db, 3, vec![row("/a", Update, 2, 2), row("/b", Delete, 3, 3)]).unwrap();
        assert_eq!(compact(&db, 4), Ok(4));
        assert_eq!(db.rows("SELECT id FROM kine ORDER BY id"), ["1", "3", "4", "5"]);
        assert_eq!(compact(&db, 99), Ok(5), "not beyond the newest");
        assert_eq!(db.rows("SELECT id FROM kine ORDER BY id"), ["1", "4"]);
        assert_eq!(compact(&db, 2), Ok(5));
        let position = open(&db).unwrap();
        assert_eq!((position.revision, position.compacted), (5, 5), "though the newest row is gone");
        assert!(append(&db, 5, vec![row("/b", Create, 0, 0)]).is_ok());
        maintain(&db).unwrap();
    }
}
