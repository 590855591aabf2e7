//! Rows from one engine to the other: the tables and columns are read from the SQLite side, which has the same schema.

use crate::StoreError;
use crate::bulk::placeholders;
use crate::db::Conn;
use crate::sql::{Columns, Row, Value, query, query_built};

/// A statement writes at most so many rows …
const CHUNK_ROWS: usize = 64;
/// … and begins no other row above so many bytes of values.
const CHUNK_BYTES: usize = 1024 * 1024;
/// The one table that has rows in a new database.
const SEEDED: &str = "counters";

/// A table with its columns.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    columns: Vec<(String, Kind)>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Int,
    Text,
    Bytes,
}

/// Which side failed.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(StoreError),
    Write(StoreError),
}

impl CopyError {
    pub(super) fn into_inner(self) -> StoreError {
        match self {
            Self::Read(error) | Self::Write(error) => error,
        }
    }
}

/// Every table of a SQLite database, but the one of its migrations.
pub(super) async fn tables(sqlite: &mut Conn) -> Result<Vec<Table>, StoreError> {
    let text = "SELECT t.name, c.name, c.type FROM sqlite_master t, pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND t.name <> 'schema_migrations'
        ORDER BY t.name, c.cid";
    let columns = query("reading the schema", text)
        .read(sqlite, |row| {
            let (table, column) = (row.text()?.to_owned(), row.text()?.to_owned());
            let kind = match row.text()? {
                "INTEGER" => Kind::Int,
                "TEXT" => Kind::Text,
                "BLOB" => Kind::Bytes,
                _ => return Err(StoreError::Corrupt { what: "schema" }),
            };
            Ok((table, column, kind))
        })
        .await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, column, kind) in columns {
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push((column, kind)),
            None => tables.push(Table {
                name: table,
                columns: vec![(column, kind)],
            }),
        }
    }
    Ok(tables)
}

/// The first table with rows that no new database has.
pub(super) async fn first_filled(
    conn: &mut Conn,
    tables: &[Table],
) -> Result<Option<String>, StoreError> {
    for table in tables.iter().filter(|table| table.name != SEEDED) {
        let text = format!("SELECT 1 FROM \"{}\" LIMIT 1", table.name);
        if query_built("looking for rows", text)
            .row(conn)
            .await?
            .is_some()
        {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}

/// Removes the rows that a new database has.
pub(super) async fn clear(conn: &mut Conn, tables: &[Table]) -> Result<(), StoreError> {
    for table in tables.iter().filter(|table| table.name == SEEDED) {
        let text = format!("DELETE FROM \"{}\"", table.name);
        query_built("emptying a table", text).run(conn).await?;
    }
    Ok(())
}

/// Copies all rows of all tables.
pub(super) async fn copy(
    from: &mut Conn,
    to: &mut Conn,
    tables: &[Table],
) -> Result<(), CopyError> {
    for table in tables {
        let mut writer = Writer {
            to: &mut *to,
            table,
            values: Vec::new(),
            bytes: 0,
        };
        let text = format!("SELECT {} FROM \"{}\"", table.column_list(), table.name);
        let mut failed = None;
        let read = query_built("reading rows", text)
            .each(from, async |row| {
                let pushed = writer.push(&row).await;
                let going_on = pushed.is_ok();
                failed = pushed.err();
                going_on
            })
            .await;
        if let Some(error) = failed {
            return Err(error);
        }
        read.map_err(CopyError::Read)?;
        writer.flush().await?;
    }
    Ok(())
}

/// Lets PostgreSQL's own counters go on after the rows that came with a number.
pub(super) async fn count_on(postgres: &mut Conn) -> Result<(), StoreError> {
    let text = "SELECT table_name::text, column_name::text FROM information_schema.columns
        WHERE table_schema = current_schema() AND is_identity = 'YES'";
    let counted = query("looking for counters", text)
        .read(postgres, |row| {
            Ok((row.text()?.to_owned(), row.text()?.to_owned()))
        })
        .await?;
    for (table, column) in counted {
        let text = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), COALESCE(MAX(\"{column}\"), 0) + 1, false) FROM \"{table}\""
        );
        query_built("setting a counter", text)
            .rows(postgres)
            .await?;
    }
    Ok(())
}

impl Table {
    fn column_list(&self) -> String {
        let quoted: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        quoted.join(", ")
    }
}

struct Writer<'a> {
    to: &'a mut Conn,
    table: &'a Table,
    values: Vec<Value>,
    bytes: usize,
}

impl Writer<'_> {
    async fn push(&mut self, row: &Row) -> Result<(), CopyError> {
        let mut columns = row.columns();
        for (_, kind) in &self.table.columns {
            let (value, bytes) = read(&mut columns, *kind).map_err(CopyError::Read)?;
            self.values.push(value);
            self.bytes += bytes;
        }
        if CHUNK_ROWS * self.table.columns.len() <= self.values.len() || CHUNK_BYTES <= self.bytes {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), CopyError> {
        let columns = self.table.columns.len();
        let rows = self.values.len() / columns;
        if rows == 0 {
            return Ok(());
        }
        let text = format!(
            "INSERT INTO \"{}\" ({}) VALUES {}",
            self.table.name,
            self.table.column_list(),
            placeholders(self.to.dialect(), columns, rows)
        );
        self.bytes = 0;
        query_built("copying rows", text)
            .bind_all(std::mem::take(&mut self.values))
            .run(self.to)
            .await
            .map(drop)
            .map_err(CopyError::Write)
    }
}

/// A value and its size in bytes.
fn read(columns: &mut Columns<'_>, kind: Kind) -> Result<(Value, usize), StoreError> {
    Ok(match kind {
        Kind::Int => (Value::Int(columns.opt_int()?), 8),
        Kind::Text => {
            let text = columns.opt_text()?;
            (
                Value::Text(text.map(ToOwned::to_owned)),
                text.map_or(0, str::len),
            )
        }
        Kind::Bytes => {
            let bytes = columns.opt_bytes()?;
            (
                Value::Bytes(bytes.map(<[u8]>::to_vec)),
                bytes.map_or(0, <[u8]>::len),
            )
        }
    })
}
