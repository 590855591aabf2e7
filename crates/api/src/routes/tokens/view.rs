//! Tokens as the API shows them.

use api_types::tokens::{Token, TokenKind};
use engine::admin::tokens::{TokenKind as StoredKind, TokenRecord};

pub(super) fn to_token(record: TokenRecord) -> Token {
    Token {
        id: record.id.to_string(),
        kind: match record.kind {
            StoredKind::Agent => TokenKind::Agent,
            StoredKind::Admin => TokenKind::Admin,
        },
        namespace: record.namespace.to_string(),
        description: record.name,
        labels: record
            .labels
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        author: record.created_by.to_string(),
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
    }
}

pub(super) fn from_kind(kind: Option<TokenKind>) -> StoredKind {
    match kind.unwrap_or(TokenKind::Agent) {
        TokenKind::Agent => StoredKind::Agent,
        TokenKind::Admin => StoredKind::Admin,
    }
}
