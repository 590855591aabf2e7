//! Statements and rows: one text with `$1` parameters for both engines, values of four types.

use std::sync::Arc;
use std::time::Duration;

use domain::{AgentId, ContentHash, Namespace};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

use crate::db::{Conn, Raw};
use crate::{StoreError, failpoint};

/// A value of a column. Nulls keep their type, which PostgreSQL asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    /// A text that many rows share, such as their namespace.
    Shared(Arc<str>),
    Bytes(Option<Vec<u8>>),
}

/// A statement, its values, and words for what it does.
#[derive(Debug)]
pub(crate) struct Query {
    during: &'static str,
    text: SqlStr,
    values: Vec<Value>,
}

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Reads the columns of a row from left to right.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

/// A statement of a fixed text.
pub(crate) fn query(during: &'static str, text: &'static str) -> Query {
    Query {
        during,
        text: text.into_sql_str(),
        values: Vec::new(),
    }
}

/// A statement whose text was put together from fixed pieces; what callers hand in travels as values.
pub(crate) fn query_built(during: &'static str, text: impl Into<Arc<str>>) -> Query {
    Query {
        during,
        text: AssertSqlSafe(text.into()).into_sql_str(),
        values: Vec::new(),
    }
}

impl Value {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Int(None) | Self::Text(None) | Self::Bytes(None))
    }
}

impl Query {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) fn bind_all(mut self, values: Vec<Value>) -> Self {
        self.values.extend(values);
        self
    }

    fn pass_failpoint(&self, conn: &Conn) {
        if conn.is_durable() {
            failpoint::pass(self.during);
        }
    }

    /// Runs it and gives the number of rows it changed.
    pub(crate) async fn run(self, conn: &mut Conn) -> Result<u64, StoreError> {
        let during = self.during;
        let failed = |error| StoreError::of(during, error);
        self.pass_failpoint(conn);
        match conn.raw() {
            Raw::Sqlite(conn) => {
                let arguments = sqlite_arguments(self.values).map_err(failed)?;
                sqlx::query_with(self.text, arguments)
                    .execute(conn)
                    .await
                    .map(|done| done.rows_affected())
            }
            Raw::Postgres(conn) => {
                let arguments = postgres_arguments(self.values).map_err(failed)?;
                answered(sqlx::query_with(self.text, arguments).execute(conn))
                    .await
                    .map(|done| done.rows_affected())
            }
        }
        .map_err(failed)
    }

    /// Runs it and gives all rows.
    pub(crate) async fn rows(self, conn: &mut Conn) -> Result<Vec<Row>, StoreError> {
        let during = self.during;
        let failed = |error| StoreError::of(during, error);
        self.pass_failpoint(conn);
        match conn.raw() {
            Raw::Sqlite(conn) => {
                let arguments = sqlite_arguments(self.values).map_err(failed)?;
                let rows = sqlx::query_with(self.text, arguments).fetch_all(conn).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Raw::Postgres(conn) => {
                let arguments = postgres_arguments(self.values).map_err(failed)?;
                let rows = sqlx::query_with(self.text, arguments).fetch_all(conn);
                answered(rows)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        }
        .map_err(failed)
    }

    /// Runs it and hands over row after row, without gathering them, for as long as they are taken.
    pub(crate) async fn each(
        self,
        conn: &mut Conn,
        mut take: impl AsyncFnMut(Row) -> bool,
    ) -> Result<(), StoreError> {
        let during = self.during;
        let failed = |error| StoreError::of(during, error);
        match conn.raw() {
            Raw::Sqlite(conn) => {
                let arguments = sqlite_arguments(self.values).map_err(failed)?;
                let mut rows = sqlx::query_with(self.text, arguments).fetch(conn);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    if !take(Row::Sqlite(row)).await {
                        break;
                    }
                }
            }
            Raw::Postgres(conn) => {
                let arguments = postgres_arguments(self.values).map_err(failed)?;
                let mut rows = sqlx::query_with(self.text, arguments).fetch(conn);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    if !take(Row::Postgres(row)).await {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs it and gives the first row, if there is one.
    pub(crate) async fn row(self, conn: &mut Conn) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(conn).await?.into_iter().next())
    }

    /// Runs it and reads every row.
    pub(crate) async fn read<T>(
        self,
        conn: &mut Conn,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.rows(conn)
            .await?
            .iter()
            .map(|row| read(&mut row.columns()))
            .collect()
    }

    /// Runs it and reads the first row, if there is one.
    pub(crate) async fn read_one<T>(
        self,
        conn: &mut Conn,
        read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.row(conn)
            .await?
            .map(|row| read(&mut row.columns()))
            .transpose()
    }
}

/// How long PostgreSQL may take to answer. One that stands still refuses nothing and closes nothing: without an end to the
/// wait, whoever asks would wait as long, and each with a connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What PostgreSQL answers, if it does in time. A connection reads past what it missed before it is used again.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
    answer.unwrap_or_else(|_| Err(late()))
}

fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Shared(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Shared(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl Row {
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns { row: self, next: 0 }
    }
}

macro_rules! take_column {
    ($columns:ident, $type:ty) => {{
        let index = $columns.next;
        $columns.next += 1;
        match $columns.row {
            Row::Sqlite(row) => row.try_get::<Option<$type>, _>(index),
            Row::Postgres(row) => row.try_get::<Option<$type>, _>(index),
        }
        .map_err(|source| StoreError::Statement {
            during: "reading a column",
            source,
        })
    }};
}

impl<'r> Columns<'r> {
    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, StoreError> {
        take_column!(self, i64)
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<&'r str>, StoreError> {
        take_column!(self, &str)
    }

    pub(crate) fn opt_bytes(&mut self) -> Result<Option<&'r [u8]>, StoreError> {
        take_column!(self, &[u8])
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        self.opt_int()?
            .ok_or(StoreError::Corrupt { what: "integer" })
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, StoreError> {
        self.opt_text()?.ok_or(StoreError::Corrupt { what: "text" })
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], StoreError> {
        self.opt_bytes()?
            .ok_or(StoreError::Corrupt { what: "bytes" })
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.int()? != 0)
    }

    pub(crate) fn opt_flag(&mut self) -> Result<Option<bool>, StoreError> {
        Ok(self.opt_int()?.map(|flag| flag != 0))
    }

    pub(crate) fn count(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.int()?).map_err(|_| StoreError::Corrupt { what: "count" })
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.opt_time()?.ok_or(StoreError::Corrupt { what: "time" })
    }

    pub(crate) fn opt_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let time = self.opt_int()?.map(Timestamp::from_microsecond).transpose();
        time.map_err(|_| StoreError::Corrupt { what: "time" })
    }

    pub(crate) fn agent(&mut self) -> Result<AgentId, StoreError> {
        AgentId::from_slice(self.bytes()?).ok_or(StoreError::Corrupt { what: "agent id" })
    }

    pub(crate) fn namespace(&mut self) -> Result<Namespace, StoreError> {
        self.parsed("namespace")
    }

    pub(crate) fn hash(&mut self) -> Result<ContentHash, StoreError> {
        ContentHash::from_slice(self.bytes()?).ok_or(StoreError::Corrupt { what: "hash" })
    }

    pub(crate) fn opt_hash(&mut self) -> Result<Option<ContentHash>, StoreError> {
        let Some(bytes) = self.opt_bytes()? else {
            return Ok(None);
        };
        ContentHash::from_slice(bytes)
            .ok_or(StoreError::Corrupt { what: "hash" })
            .map(Some)
    }

    /// A column whose text is that of a type of our own.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &mut self,
        what: &'static str,
    ) -> Result<T, StoreError> {
        self.text()?
            .parse()
            .map_err(|_| StoreError::Corrupt { what })
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<u64> for Value {
    /// Counts and numbers that grow by one never leave the range of a signed integer.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<bool>> for Value {
    fn from(value: Option<bool>) -> Self {
        Self::Int(value.map(Into::into))
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_microsecond()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::as_microsecond))
    }
}

/// PostgreSQL refuses NUL in text, and peers may well send it: it is stored as U+FFFD.
fn without_nul(text: String) -> String {
    if text.as_bytes().contains(&0) {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(without_nul(value)))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(without_nul))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        value.map(ToOwned::to_owned).into()
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<&[u8]>> for Value {
    fn from(value: Option<&[u8]>) -> Self {
        Self::Bytes(value.map(<[u8]>::to_vec))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

impl From<&Namespace> for Value {
    fn from(value: &Namespace) -> Self {
        // A checked name holds no NUL.
        Self::Shared(value.to_shared())
    }
}

impl From<AgentId> for Value {
    fn from(value: AgentId) -> Self {
        value.as_bytes().as_slice().into()
    }
}

impl From<&ContentHash> for Value {
    fn from(value: &ContentHash) -> Self {
        value.as_bytes().as_slice().into()
    }
}

impl From<Option<&ContentHash>> for Value {
    fn from(value: Option<&ContentHash>) -> Self {
        value.map(|hash| hash.as_bytes().as_slice()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_never_reaches_a_text_column() {
        assert_eq!(Value::from("a\0b"), Value::Text(Some("a\u{FFFD}b".into())));
    }
}
