//! Plugins: the batteries that run, one object per kind. The server writes them; clients only read.

mod columns;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
