//! Who a session has proved to be, and the credentials that prove it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use domain::{Labels, Namespace, TokenId, model::InstanceUid};
use jiff::Timestamp;
use parking_lot::RwLock;
use trust::{TokenHash, TokenKind};

use crate::options::AgentsAuth;

/// Who a session has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose agents it may speak for.
    pub namespace: Namespace,
    /// The one uid it may use; `None` for a credential that many agents share.
    pub bound_uid: Option<InstanceUid>,
    /// How it was proved.
    pub method: AuthMethod,
    /// Labels that the credential gives its agents; they win over any other source.
    pub labels: Labels,
}

/// How a principal was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all: the server runs with `agents.auth: none`.
    None,
    /// By a bearer token.
    Token(TokenId),
    /// By a client certificate that the configured authority signed. It proves the namespace `default`, no uid.
    Certificate,
}

impl Principal {
    /// The principal of a session that need not prove anything.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::shared(AuthMethod::None)
    }

    /// The principal of a session whose client certificate was verified in its handshake.
    #[must_use]
    pub fn certificate() -> Self {
        Self::shared(AuthMethod::Certificate)
    }

    fn shared(method: AuthMethod) -> Self {
        Self {
            namespace: Namespace::default(),
            bound_uid: None,
            method,
            labels: Labels::default(),
        }
    }
}

/// Why a session's credential was refused. The peer is told 401 and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// No bearer token was given.
    #[error("no bearer token was given")]
    Missing,
    /// The token is not one of ours.
    #[error("the token is unknown")]
    Unknown,
    /// The token was revoked.
    #[error("the token is revoked")]
    Revoked,
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
}

/// An agent token as the engine keeps it in memory: its hash is the key.
#[derive(Clone)]
pub(crate) struct KnownToken {
    pub id: TokenId,
    pub namespace: Namespace,
    pub bound_uid: Option<InstanceUid>,
    pub labels: Labels,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
}

/// All agent tokens, in memory, so that a reconnect storm asks no database.
#[derive(Default)]
pub(crate) struct AgentTokens(RwLock<Tokens>);

#[derive(Default)]
struct Tokens {
    by_hash: HashMap<TokenHash, KnownToken>,
    hashes: HashMap<TokenId, TokenHash>,
}

impl KnownToken {
    fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked || self.expires_at.is_some_and(|end| end <= now)
    }
}

impl AgentTokens {
    pub fn put(&self, hash: TokenHash, token: KnownToken) {
        let mut tokens = self.0.write();
        tokens.hashes.insert(token.id, hash);
        tokens.by_hash.insert(hash, token);
    }

    /// The tokens that are not revoked.
    pub fn standing(&self) -> Vec<TokenId> {
        let tokens = self.0.read();
        let standing = tokens.by_hash.values().filter(|token| !token.revoked);
        standing.map(|token| token.id).collect()
    }

    /// The tokens that were revoked or have expired.
    pub fn ended(&self, now: Timestamp) -> HashSet<TokenId> {
        let tokens = self.0.read();
        let ended = tokens.by_hash.values().filter(|token| token.has_ended(now));
        ended.map(|token| token.id).collect()
    }

    /// Whether a token was revoked or has expired.
    pub fn has_ended(&self, id: TokenId, now: Timestamp) -> bool {
        let tokens = self.0.read();
        let hash = tokens.hashes.get(&id);
        let token = hash.and_then(|hash| tokens.by_hash.get(hash));
        token.is_some_and(|token| token.has_ended(now))
    }

    pub fn revoke(&self, id: TokenId) {
        let tokens = &mut *self.0.write();
        let hash = tokens.hashes.get(&id);
        if let Some(token) = hash.and_then(|hash| tokens.by_hash.get_mut(hash)) {
            token.revoked = true;
        }
    }

    /// Says who presents this bearer token.
    pub fn authenticate(
        &self,
        auth: AgentsAuth,
        bearer: Option<&str>,
        now: Timestamp,
    ) -> Result<Principal, AuthenticationError> {
        let Some(bearer) = bearer else {
            return match auth {
                AgentsAuth::None => Ok(Principal::anonymous()),
                AgentsAuth::Token => Err(AuthenticationError::Missing),
            };
        };
        match self.check(bearer, now) {
            // Where nothing has to be proved, a stray header proves nothing and harms nothing.
            Err(AuthenticationError::Unknown) if auth == AgentsAuth::None => {
                Ok(Principal::anonymous())
            }
            answer => answer,
        }
    }

    fn check(&self, bearer: &str, now: Timestamp) -> Result<Principal, AuthenticationError> {
        if TokenKind::of(bearer) != Some(TokenKind::Agent) {
            return Err(AuthenticationError::Unknown);
        }
        let tokens = self.0.read();
        // The lookup compares hashes, so its timing tells nothing about the token itself.
        let token = tokens
            .by_hash
            .get(&TokenHash::of(bearer))
            .ok_or(AuthenticationError::Unknown)?;
        if token.revoked {
            return Err(AuthenticationError::Revoked);
        }
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthenticationError::Expired);
        }
        Ok(Principal {
            namespace: token.namespace.clone(),
            bound_uid: token.bound_uid,
            method: AuthMethod::Token(token.id),
            labels: token.labels.clone(),
        })
    }
}

impl fmt::Debug for AgentTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentTokens")
            .field(&self.0.read().by_hash.len())
            .finish()
    }
}
