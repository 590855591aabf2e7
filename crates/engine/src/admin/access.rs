//! Who may use the admin plane: the bootstrap token and the admin tokens made through the API.
//!
//! The bootstrap token belongs to the whole control plane: it acts in `default` unless told otherwise and reaches every
//! namespace. A token made through the API acts in the namespace it was made in and sees no other.

use domain::{Actor, ContentHash, Namespace};
use jiff::Timestamp;
use store::tokens::TokenKind as StoredKind;
use store::{Conn, StoreError, meta, tokens};
use trust::{Secret, Token, TokenHash, TokenKind};

use super::audit::Act;
use crate::engine::Engine;

/// How far an operator's credential reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every namespace, and what concerns all of them.
    Fleet,
    /// Its own namespace.
    Namespace,
}

/// Who a request on the admin plane has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The name in audit entries and as author.
    pub actor: Actor,
    /// The namespace it acts in unless it names another.
    pub home: Namespace,
    /// How far it reaches.
    pub reach: Reach,
    /// The hash of the credential.
    credential: TokenHash,
}

/// An operator acting in a namespace that the credential reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Where.
    pub namespace: Namespace,
    /// How far the credential reaches.
    pub reach: Reach,
    /// The hash of the credential; `None` for the server itself and for who has none.
    credential: Option<TokenHash>,
}

/// Why a credential was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// None was given.
    #[error("no bearer token was given")]
    Missing,
    /// It is an agent's token, which opens nothing here.
    #[error("an agent token does not open the admin plane")]
    WrongPlane,
    /// It is not known, revoked, or its time is over; the caller is not told which.
    #[error("the token is not valid")]
    Invalid,
    /// It could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a bootstrap token that a server starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It is the bootstrap token from now on.
    Installed,
    /// It was the bootstrap token already.
    Unchanged,
    /// Another one stands, made by an earlier start or another node; this one opens nothing.
    AnotherStands,
}

impl Operator {
    /// The same operator acting in a namespace; `None` where the credential does not reach it.
    #[must_use]
    pub fn acting_in(self, namespace: Option<Namespace>) -> Option<Caller> {
        let namespace = namespace.unwrap_or_else(|| self.home.clone());
        let reached = self.reach == Reach::Fleet || namespace == self.home;
        reached.then_some(Caller {
            actor: self.actor,
            namespace,
            reach: self.reach,
            credential: Some(self.credential),
        })
    }
}

impl Caller {
    /// Who presented no valid credential: what is refused is written in `default`.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::of(
            Actor::named("anonymous"),
            Namespace::default(),
            Reach::Namespace,
        )
    }

    /// The server acting by itself.
    pub(super) fn server() -> Self {
        Self::of(Actor::server(), Namespace::default(), Reach::Fleet)
    }

    /// The config source of a namespace.
    pub(super) fn git(namespace: &Namespace) -> Self {
        Self::of(Actor::named("git"), namespace.clone(), Reach::Namespace)
    }

    fn of(actor: Actor, namespace: Namespace, reach: Reach) -> Self {
        Self {
            actor,
            namespace,
            reach,
            credential: None,
        }
    }
}

impl Engine {
    /// Says who presents this bearer token on the admin plane.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn authenticate_operator(
        &self,
        bearer: Option<&str>,
        now: Timestamp,
    ) -> Result<Operator, AccessError> {
        let bearer = bearer.ok_or(AccessError::Missing)?;
        if TokenKind::of(bearer) == Some(TokenKind::Agent) {
            return Err(AccessError::WrongPlane);
        }
        let presented = TokenHash::of(bearer);
        let let_in = &self.inner.let_in;
        if let Some(operator) = let_in.find(presented, now) {
            return Ok(operator);
        }
        let asking = let_in.asking();
        let (operator, expires_at) = self.operator_of(presented, now).await?;
        let_in.remember(asking, presented, (operator.clone(), expires_at), now);
        Ok(operator)
    }

    /// Who presents a credential, as the database says, and until when it holds.
    async fn operator_of(
        &self,
        presented: TokenHash,
        now: Timestamp,
    ) -> Result<(Operator, Option<Timestamp>), AccessError> {
        let mut conn = self.db().read().await?;
        // Hashes are compared, so the time of a lookup tells nothing about the token itself.
        if bootstrap_hash(&mut conn).await? == Some(presented) {
            let operator = Operator {
                actor: Actor::admin(),
                home: Namespace::default(),
                reach: Reach::Fleet,
                credential: presented,
            };
            return Ok((operator, None));
        }
        let hash = ContentHash::from_bytes(*presented.as_bytes());
        let found = tokens::find_by_hash(&mut conn, StoredKind::Admin, &hash).await?;
        match found.filter(|token| token.is_active(now)) {
            Some(token) => {
                let operator = Operator {
                    actor: Actor::named(&format!("token:{}", token.id)),
                    home: token.namespace,
                    reach: Reach::Namespace,
                    credential: presented,
                };
                Ok((operator, token.expires_at))
            }
            None => Err(AccessError::Invalid),
        }
    }

    /// Whether the credential of a caller still lets anybody in: for answers that last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_still_let_in(
        &self,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(credential) = caller.credential else {
            return Ok(false);
        };
        match self.operator_of(credential, now).await {
            Ok(_) => Ok(true),
            Err(AccessError::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Makes the text of a bootstrap token from the engine's randomness. It opens nothing before it is adopted.
    ///
    /// Write it down first, adopt it then: a crash in between loses nothing.
    #[must_use]
    pub fn new_bootstrap_token(&self) -> Secret {
        Secret::new(Token::generate(TokenKind::Admin, &self.random()).expose())
    }

    /// Makes a token the bootstrap token unless one stands: for a token that a server made itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn adopt_bootstrap_token(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Adopted, StoreError> {
        let hash = TokenHash::of(token.expose());
        let mut tx = self.db().begin().await?;
        let standing = meta::get(&mut tx, meta::ADMIN_TOKEN_HASH).await?;
        if let Some(standing) = standing {
            let same = parse_hash(&standing) == Some(hash);
            return Ok(if same {
                Adopted::Unchanged
            } else {
                Adopted::AnotherStands
            });
        }
        // Another node may be at the same: the database decides.
        let stands = meta::get_or_set(&mut tx, meta::ADMIN_TOKEN_HASH, &hex(hash)).await?;
        if parse_hash(&stands) != Some(hash) {
            return Ok(Adopted::AnotherStands);
        }
        installed(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Adopted::Installed)
    }

    /// Makes a token the bootstrap token over any other: for one from the server's configuration.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_bootstrap_token(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Adopted, StoreError> {
        let hash = TokenHash::of(token.expose());
        let mut tx = self.db().begin().await?;
        let standing = meta::get(&mut tx, meta::ADMIN_TOKEN_HASH).await?;
        if standing.and_then(|hex| parse_hash(&hex)) == Some(hash) {
            return Ok(Adopted::Unchanged);
        }
        meta::set(&mut tx, meta::ADMIN_TOKEN_HASH, &hex(hash)).await?;
        installed(&mut tx, now).await?;
        tx.commit().await?;
        self.inner.let_in.forget();
        Ok(Adopted::Installed)
    }
}

/// The hash of the bootstrap token, if there is one.
pub(super) async fn bootstrap_hash(conn: &mut Conn) -> Result<Option<TokenHash>, StoreError> {
    let stored = meta::get(conn, meta::ADMIN_TOKEN_HASH).await?;
    Ok(stored.and_then(|hex| parse_hash(&hex)))
}

async fn installed(tx: &mut store::Tx, now: Timestamp) -> Result<(), StoreError> {
    Act::new("token.bootstrap_installed", "install", "tokens/bootstrap")
        .done(tx, &Caller::server(), now)
        .await
}

fn hex(hash: TokenHash) -> String {
    ContentHash::from_bytes(*hash.as_bytes()).to_string()
}

fn parse_hash(hex: &str) -> Option<TokenHash> {
    hex.parse::<ContentHash>()
        .ok()
        .map(|hash| TokenHash::from_bytes(*hash.as_bytes()))
}
