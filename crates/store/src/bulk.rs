//! Statements over many rows: one statement for up to [`CHUNK_ROWS`] rows, because each costs a hop between threads.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::StoreError;
use crate::db::{Conn, Dialect};
use crate::sql::{Row, Value, query_built};

/// The most rows in one statement. More gain nothing, and SQLite's planner and sqlx's binding grow slower.
const CHUNK_ROWS: usize = 128;

/// A statement whose text has `{rows}` where a list of rows belongs, as in `VALUES {rows}`.
///
/// The chunks have sizes that are powers of two, so that few distinct texts are prepared. SQLite gets `?` for the
/// values: with names such as `$700` each binding searches a list, which makes a statement quadratic.
pub(crate) struct Bulk {
    during: &'static str,
    template: &'static str,
    columns: usize,
    values: Vec<Value>,
}

impl Bulk {
    /// A statement over rows of so many columns.
    pub(crate) fn new(during: &'static str, template: &'static str, columns: usize) -> Self {
        Self {
            during,
            template,
            columns,
            values: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.columns, "a row of {}", self.template);
        self.values.extend(row);
    }

    /// Runs it over all rows and gives how many rows it changed.
    pub(crate) async fn run(self, conn: &mut Conn) -> Result<u64, StoreError> {
        let mut changed = 0;
        let (during, template, columns) = (self.during, self.template, self.columns);
        for chunk in chunks(self.values, columns) {
            let text = text_of(conn.dialect(), template, columns, chunk.len() / columns);
            changed += query_built(during, text).bind_all(chunk).run(conn).await?;
        }
        Ok(changed)
    }

    /// Runs it over all rows and gives the rows it returns.
    pub(crate) async fn rows(self, conn: &mut Conn) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let (during, template, columns) = (self.during, self.template, self.columns);
        for chunk in chunks(self.values, columns) {
            let text = text_of(conn.dialect(), template, columns, chunk.len() / columns);
            rows.extend(query_built(during, text).bind_all(chunk).rows(conn).await?);
        }
        Ok(rows)
    }
}

fn chunks(values: Vec<Value>, columns: usize) -> impl Iterator<Item = Vec<Value>> {
    let mut rows = values.len() / columns;
    let mut values = values.into_iter();
    std::iter::from_fn(move || {
        let size = (1 << rows.checked_ilog2()?).min(CHUNK_ROWS);
        rows -= size;
        Some(values.by_ref().take(size * columns).collect())
    })
}

/// The texts that were put together so far: they are few, and putting one together costs more than running it.
static TEXTS: RwLock<Vec<(Key, Arc<str>)>> = RwLock::new(Vec::new());

type Key = (Dialect, &'static str, usize);

fn text_of(dialect: Dialect, template: &'static str, columns: usize, rows: usize) -> Arc<str> {
    let key: Key = (dialect, template, rows);
    let known = |texts: &[(Key, Arc<str>)]| {
        let found = texts
            .iter()
            .find(|((d, t, r), _)| *d == key.0 && std::ptr::eq(*t, key.1) && *r == key.2);
        found.map(|(_, text)| Arc::clone(text))
    };
    if let Some(text) = known(&TEXTS.read()) {
        return text;
    }
    let text: Arc<str> = template
        .replace("{rows}", &placeholders(dialect, columns, rows))
        .into();
    TEXTS.write().push((key, Arc::clone(&text)));
    text
}

/// A list of so many rows of placeholders.
pub(crate) fn placeholders(dialect: Dialect, columns: usize, rows: usize) -> String {
    let row = |row: usize| {
        let value = |column: usize| match dialect {
            Dialect::Sqlite => "?".to_owned(),
            Dialect::Postgres => format!("${}", row * columns + column + 1),
        };
        format!(
            "({})",
            (0..columns).map(value).collect::<Vec<_>>().join(",")
        )
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_lose_nothing() {
        for rows in [0, 1, 2, 3, 127, 128, 129, 300, 1000] {
            let values: Vec<Value> = (0..rows * 3).map(|n| Value::from(i64::from(n))).collect();
            let chunks: Vec<Vec<Value>> = chunks(values.clone(), 3).collect();
            assert_eq!(chunks.concat(), values);
            assert!(
                chunks
                    .iter()
                    .all(|chunk| (chunk.len() / 3).is_power_of_two()
                        && chunk.len() <= 3 * CHUNK_ROWS)
            );
        }
    }

    #[test]
    fn each_engine_gets_its_placeholders() {
        assert_eq!(placeholders(Dialect::Sqlite, 2, 2), "(?,?),(?,?)");
        assert_eq!(placeholders(Dialect::Postgres, 2, 2), "($1,$2),($3,$4)");
    }
}
