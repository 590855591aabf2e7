//! Tokens: making, listing and revoking them. Their text leaves once, when one is made; only its SHA-256 is stored.

use domain::labels::InvalidLabel;
use domain::{ContentHash, Labels, TokenId};
use jiff::Timestamp;
use store::{Conn, StoreError, tokens};
use trust::{Secret, Token};

use super::access::Caller;
use super::audit::Act;
use super::idempotency::{Created, Creation, KeyReused};
use super::{PageOf, Paged, retry_contended, unix_ms};
use crate::engine::Engine;

pub use store::tokens::{TokenKind, TokenRecord};

/// The longest description, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 1024;

/// What a token is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Whom it lets in.
    pub kind: TokenKind,
    /// What it is for.
    pub description: String,
    /// Labels that agents get from it.
    pub labels: Vec<(String, String)>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What is stored of it.
    pub record: TokenRecord,
    /// Its text; `None` when an earlier request made it, because nobody has it but that request's caller.
    pub secret: Option<Secret>,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    /// The description is too long.
    #[error("the description has {bytes} bytes, allowed are {DESCRIPTION_MAX_BYTES}")]
    DescriptionTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A label cannot be.
    #[error("label {key:?}: {source}")]
    Label {
        /// Its key.
        key: String,
        /// Why.
        source: InvalidLabel,
    },
    /// More labels than an agent can have.
    #[error("{count} labels are more than {}", Labels::MAX_COUNT)]
    TooManyLabels {
        /// How many.
        count: usize,
    },
    /// Labels on a token that is for no agent.
    #[error("labels are for agents; an admin token gives none")]
    LabelsOnAdminToken,
    /// It would never let anybody in.
    #[error("{at} is over already")]
    ExpiresInThePast {
        /// Its end.
        at: Timestamp,
    },
    /// Another request with the same idempotency key got in between; the same request again finds what it made.
    #[error("another request with this idempotency key is under way")]
    Raced,
    /// The idempotency key belongs to another request.
    #[error(transparent)]
    Key(#[from] KeyReused),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CreateTokenError {
    fn is_contended(&self) -> bool {
        match self {
            Self::Raced => true,
            Self::Store(error) => error.is_contended(),
            _ => false,
        }
    }
}

impl Engine {
    /// Makes a token. An agent token lets agents in as soon as this returns.
    ///
    /// # Errors
    /// [`CreateTokenError`].
    pub async fn create_token(
        &self,
        caller: &Caller,
        new: &NewToken,
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Made>, CreateTokenError> {
        let labels = check(new, now)?;
        retry_contended!(self.try_create_token(caller, new, &labels, creation, now))
    }

    async fn try_create_token(
        &self,
        caller: &Caller,
        new: &NewToken,
        labels: &Labels,
        creation: &Creation,
        now: Timestamp,
    ) -> Result<Created<Made>, CreateTokenError> {
        let _change = self.begin_change(now).await?;
        let mut tx = self.db().begin().await?;
        if let Some(record) = earlier(&mut tx, caller, creation).await? {
            return Ok(Created::Earlier(Made {
                record,
                secret: None,
            }));
        }
        let (token, record) = self.draw_token(caller, new, labels, now);
        tokens::add(&mut tx, &record).await?;
        if !creation
            .save(&mut tx, &caller.namespace, record.id.to_string(), now)
            .await?
        {
            return Err(CreateTokenError::Raced);
        }
        Act::new("token.created", "create", format!("tokens/{}", record.id))
            .new_value(shown(&record))
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        if record.kind == TokenKind::Agent {
            self.admit_token(&record);
        }
        Ok(Created::New(Made {
            record,
            secret: Some(Secret::new(token.expose())),
        }))
    }

    fn draw_token(
        &self,
        caller: &Caller,
        new: &NewToken,
        labels: &Labels,
        now: Timestamp,
    ) -> (Token, TokenRecord) {
        let kind = match new.kind {
            TokenKind::Agent => trust::TokenKind::Agent,
            TokenKind::Admin => trust::TokenKind::Admin,
        };
        let token = Token::generate(kind, &self.random());
        let record = TokenRecord {
            id: TokenId::from_parts(unix_ms(now), self.random()),
            namespace: caller.namespace.clone(),
            kind: new.kind,
            name: new.description.clone(),
            hash: ContentHash::from_bytes(*token.hash().as_bytes()),
            labels: labels.clone(),
            uid: None,
            created_by: caller.actor.clone(),
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        (token, record)
    }

    /// The tokens of a kind in the caller's namespace, by id; revoked ones included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(
        &self,
        caller: &Caller,
        kind: TokenKind,
        page: PageOf<TokenId>,
    ) -> Result<Paged<TokenRecord, TokenId>, StoreError> {
        let mut conn = self.db().read().await?;
        let read =
            tokens::list(&mut conn, &caller.namespace, kind, page.after, page.probe()).await?;
        Ok(page.cut(read, |last| last.id))
    }

    /// One token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<Option<TokenRecord>, StoreError> {
        let mut conn = self.db().read().await?;
        tokens::find(&mut conn, &caller.namespace, id).await
    }

    /// Revokes a token; nobody gets in with it any more when this returns. Says whether there is such a token; one that
    /// is revoked already stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_operators_token(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        retry_contended!(self.try_revoke_token(caller, id, now))
    }

    async fn try_revoke_token(
        &self,
        caller: &Caller,
        id: TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let _change = self.begin_change(now).await?;
        let mut tx = self.db().begin().await?;
        if !tokens::revoke(&mut tx, &caller.namespace, id, now).await? {
            return Ok(tokens::find(&mut tx, &caller.namespace, id)
                .await?
                .is_some());
        }
        Act::new("token.revoked", "revoke", format!("tokens/{id}"))
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await?;
        self.inner.let_in.forget();
        self.revoke_token(id);
        Ok(true)
    }
}

fn check(new: &NewToken, now: Timestamp) -> Result<Labels, CreateTokenError> {
    if DESCRIPTION_MAX_BYTES < new.description.len() {
        return Err(CreateTokenError::DescriptionTooLong {
            bytes: new.description.len(),
        });
    }
    if new.kind == TokenKind::Admin && !new.labels.is_empty() {
        return Err(CreateTokenError::LabelsOnAdminToken);
    }
    if Labels::MAX_COUNT < new.labels.len() {
        return Err(CreateTokenError::TooManyLabels {
            count: new.labels.len(),
        });
    }
    for (key, value) in &new.labels {
        Labels::check(key, value).map_err(|source| CreateTokenError::Label {
            key: key.clone(),
            source,
        })?;
    }
    match new.expires_at.filter(|end| *end <= now) {
        Some(at) => Err(CreateTokenError::ExpiresInThePast { at }),
        None => Ok(new
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()),
    }
}

async fn earlier(
    conn: &mut Conn,
    caller: &Caller,
    creation: &Creation,
) -> Result<Option<TokenRecord>, CreateTokenError> {
    let Some(reference) = creation.earlier(conn, &caller.namespace).await?? else {
        return Ok(None);
    };
    let corrupt = || StoreError::Corrupt {
        what: "saved answer",
    };
    let id = reference.parse().map_err(|_| corrupt())?;
    Ok(Some(
        tokens::find(conn, &caller.namespace, id)
            .await?
            .ok_or_else(corrupt)?,
    ))
}

fn shown(record: &TokenRecord) -> serde_json::Value {
    let labels: serde_json::Map<String, serde_json::Value> = record
        .labels
        .iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    serde_json::json!({
        "kind": match record.kind { TokenKind::Agent => "agent", TokenKind::Admin => "admin" },
        "description": record.name,
        "labels": labels,
        "expires_at": record.expires_at.map(|end| end.to_string()),
    })
}
