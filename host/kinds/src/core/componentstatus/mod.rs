//! Health of components; read only and deprecated.

mod columns;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
