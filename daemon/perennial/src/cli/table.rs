use std::fmt;

use chrono::DateTime;

/// Text in columns.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these column heads.
    pub(super) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for (at, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What stands where there is nothing.
pub(super) const NOTHING: &str = "-";

pub(super) fn or_nothing(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

/// A time as `2026-01-31 23:59:59Z`.
pub(super) fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["ID", "STATE"]);
        table.row(["grün".to_owned(), "champion".to_owned()]);
        table.row(["a".to_owned(), or_nothing(None::<u8>)]);
        assert_eq!(table.to_string(), "ID    STATE\ngrün  champion\na     -");
    }

    #[test]
    fn times_know_leap_years_and_the_time_before_1970() {
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(-1000), "1969-12-31 23:59:59Z");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(time(1_772_323_199_999), "2026-02-28 23:59:59Z");
    }
}
