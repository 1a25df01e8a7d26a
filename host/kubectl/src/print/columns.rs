//! Aligned columns, three blanks apart, as kubectl's tab writer sets them.

/// The least width of a column, gap included.
const LEAST: usize = 6;
const GAP: usize = 3;

/// Column widths that only grow, so that later rows of a watch stay aligned.
#[derive(Debug)]
pub(crate) struct Columns {
    widths: Vec<usize>,
    gap: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self::with_gap(GAP)
    }
}

impl Columns {
    /// Columns that are `gap` blanks apart.
    pub(crate) fn with_gap(gap: usize) -> Self {
        Self {
            widths: Vec::new(),
            gap,
        }
    }

    /// The rows as text, one line each.
    pub(crate) fn layout(&mut self, rows: &[Vec<String>]) -> String {
        for row in rows {
            self.widths.resize(self.widths.len().max(row.len()), LEAST);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count() + self.gap);
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
            line.push_str(cell);
            if at + 1 < row.len() {
                line.extend(std::iter::repeat_n(
                    ' ',
                    width.saturating_sub(cell.chars().count()),
                ));
            }
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_the_last_is_not_padded() {
        let rows = [["NAME", "AGE"], ["a-long-name", "5s"]].map(|r| r.map(str::to_owned).to_vec());
        assert_eq!(
            Columns::default().layout(&rows),
            "NAME          AGE\na-long-name   5s\n"
        );
    }
}
