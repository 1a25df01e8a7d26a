//! Forgetting history, and giving the space back.

use crate::dialect::Dialect;
use crate::error::Failure;
use crate::open::position;
use crate::sql::{Connection, FEW};
use crate::values::integer;

/// Forgets what was overwritten or deleted up to `to`; returns the compacted revision.
///
/// # Errors
/// What the database says.
pub fn compact(db: &dyn Connection, dialect: &Dialect, to: u64) -> Result<u64, Failure> {
    let tx = db.begin(true)?;
    let now = position(&*tx, dialect)?;
    let to = to.min(now.revision);
    if to <= now.compacted {
        return Ok(now.compacted);
    }
    let (from, through) = (integer(now.compacted), integer(to));
    tx.run(
        dialect.compact,
        &[from.clone(), through.clone(), from, through],
    )?;
    tx.run(dialect.set_compacted, &[integer(to)])?;
    tx.commit()?;
    Ok(to)
}

/// Gives space back.
///
/// # Errors
/// What the database says.
pub fn maintain(db: &dyn Connection, dialect: &Dialect) -> Result<(), Failure> {
    for text in dialect.maintain {
        db.query(text, &[], FEW)?;
    }
    Ok(())
}
