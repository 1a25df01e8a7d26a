//! Removes old history and returns its space.

use k3s_plugin_sdk::datastore::{Database, Error, FEW, integer};

use crate::dialect::Dialect;
use crate::open::position;

/// Removes what was overwritten or deleted up to `to`; returns the compacted revision.
///
/// # Errors
/// What the database reports.
pub fn compact(db: &dyn Database, dialect: &Dialect, to: u64) -> Result<u64, Error> {
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

/// Returns free space to the file system.
///
/// # Errors
/// What the database reports.
pub fn maintain(db: &dyn Database, dialect: &Dialect) -> Result<(), Error> {
    for text in dialect.maintain {
        db.query(text, &[], FEW)?;
    }
    Ok(())
}
