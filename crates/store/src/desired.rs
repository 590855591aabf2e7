//! Materialized desired state: one row per distinct inputs, never per agent.

use domain::model::ConfigMap;
use domain::{ConfigName, ContentHash, Namespace, RevisionNumber, SecretName};
use jiff::Timestamp;

use crate::contents::{self, ContentKind};
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx, codec};

/// The kind of desired state that is an agent's remote config.
pub const CONFIG: &str = "config";

/// What agents with certain inputs should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredContent {
    /// Its namespace.
    pub namespace: Namespace,
    /// The kind of offer it is for ([`CONFIG`]).
    pub kind: String,
    /// What distinguishes its inputs from others.
    pub inputs_key: Vec<u8>,
    /// The released revisions it comes from, in the order in which they merge.
    pub layers: Vec<LayerRecord>,
    /// The hash agents know it by.
    pub hash: ContentHash,
    /// The content, with references in place of secrets.
    pub files: ConfigMap,
    /// The secrets whose values are put in when it is offered, and their versions.
    pub secrets: Vec<(SecretName, u32)>,
    /// What a build must have to run it: kinds and types of components, `receiver/otlp exporter/debug`.
    pub needs: String,
    /// When it was made, or last wanted again.
    pub created_at: Timestamp,
}

/// A revision that a desired content was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRecord {
    /// Its config.
    pub config: ConfigName,
    /// Its number.
    pub revision: RevisionNumber,
    /// The values that its template was given, JSON; nothing: its body is no template.
    pub values: Option<String>,
}

const COLUMNS: &str =
    "namespace, kind, inputs_key, layers, hash, content_hash, secrets, needs, created_at";

/// Stores a desired content; for inputs that are there already, what stands is kept and is as young as a new one, so
/// that it is not swept before an agent refers to it.
///
/// # Errors
/// [`StoreError`].
pub async fn put(tx: &mut Tx, content: &DesiredContent) -> Result<(), StoreError> {
    let (ns, at) = (&content.namespace, content.created_at);
    let files = codec::encode_files(&content.files);
    let stored = contents::put(tx, ns, ContentKind::Desired, &files, at).await?;
    query(
        "storing a desired content",
        "INSERT INTO desired_contents (namespace, kind, inputs_key, layers, hash, content_hash, secrets, needs,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (namespace, kind, inputs_key) DO UPDATE SET created_at = excluded.created_at",
    )
    .bind(ns)
    .bind(content.kind.as_str())
    .bind(content.inputs_key.as_slice())
    .bind(codec::encode_layers(&content.layers)?)
    .bind(&content.hash)
    .bind(&stored)
    .bind(codec::encode_secrets(&content.secrets))
    .bind(content.needs.as_str())
    .bind(at)
    .run(tx)
    .await
    .map(drop)
}

/// The desired content of certain inputs.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    kind: &str,
    inputs_key: &[u8],
) -> Result<Option<DesiredContent>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM desired_contents WHERE namespace = $1 AND kind = $2 AND inputs_key = $3"
    );
    let found = query_built("reading a desired content", text)
        .bind(ns)
        .bind(kind)
        .bind(inputs_key);
    let found = found.read_one(conn, read_content).await?;
    with_files(conn, found).await
}

/// A desired content by the hash agents know it by; of several inputs that give it, the oldest.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_hash(
    conn: &mut Conn,
    ns: &Namespace,
    kind: &str,
    hash: &ContentHash,
) -> Result<Option<DesiredContent>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM desired_contents WHERE namespace = $1 AND kind = $2 AND hash = $3
         ORDER BY created_at, inputs_key LIMIT 1"
    );
    let found = query_built("reading a desired content", text)
        .bind(ns)
        .bind(kind)
        .bind(hash);
    let found = found.read_one(conn, read_content).await?;
    with_files(conn, found).await
}

/// The hash of the desired content of certain inputs.
///
/// # Errors
/// [`StoreError`].
pub async fn find_hash(
    conn: &mut Conn,
    ns: &Namespace,
    kind: &str,
    inputs_key: &[u8],
) -> Result<Option<ContentHash>, StoreError> {
    let text =
        "SELECT hash FROM desired_contents WHERE namespace = $1 AND kind = $2 AND inputs_key = $3";
    query("looking for a desired content", text)
        .bind(ns)
        .bind(kind)
        .bind(inputs_key)
        .read_one(conn, |row| row.hash())
        .await
}

fn read_content(row: &mut Columns<'_>) -> Result<(DesiredContent, ContentHash), StoreError> {
    let (namespace, kind, inputs_key) = (
        row.namespace()?,
        row.text()?.to_owned(),
        row.bytes()?.to_vec(),
    );
    let (layers, hash, stored) = (codec::decode_layers(row.text()?)?, row.hash()?, row.hash()?);
    let files = ConfigMap::new();
    let secrets = codec::decode_secrets(row.text()?)?;
    let (needs, created_at) = (row.text()?.to_owned(), row.time()?);
    Ok((
        DesiredContent {
            namespace,
            kind,
            inputs_key,
            layers,
            hash,
            files,
            secrets,
            needs,
            created_at,
        },
        stored,
    ))
}

async fn with_files(
    conn: &mut Conn,
    found: Option<(DesiredContent, ContentHash)>,
) -> Result<Option<DesiredContent>, StoreError> {
    let Some((mut content, stored)) = found else {
        return Ok(None);
    };
    let bytes = contents::get(conn, &content.namespace, ContentKind::Desired, &stored).await?;
    content.files = codec::decode_files(&bytes)?;
    Ok(Some(content))
}
