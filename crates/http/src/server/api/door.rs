//! Who may have the node do something on its own account: post to webhooks, sign messages.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use unit::{Error, Kind};

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub enum Door {
    /// Nobody.
    #[default]
    Closed,
    /// Everybody who reaches the node: a development network, whose [`Guard`](super::Guard) keeps web pages out.
    Open,
    /// Who has this token, as `Authorization: Bearer TOKEN`.
    Token(Arc<str>),
}

impl Door {
    /// Refuses who may not come in. `setting` opens it.
    pub(super) fn check(&self, headers: &HeaderMap, setting: &str) -> Result<(), Error> {
        let refused = |what: &str| Error::new(Kind::Forbidden, what);
        let token = match self {
            Door::Open => return Ok(()),
            Door::Closed => {
                return Err(refused("this node does that for nobody").with_hint(format!(
                    "whoever runs the node opens it: {setting} in pirn.toml names a file with a token"
                )));
            }
            Door::Token(token) => token,
        };
        let said = headers.get(header::AUTHORIZATION).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| said.strip_prefix("Bearer ")).unwrap_or_default();
        // Hashes are compared without saying by the time how much of them is the same.
        if blake3::hash(said.trim().as_bytes()) == blake3::hash(token.as_bytes()) {
            return Ok(());
        }
        Err(refused("that needs the node's token, which this request does not have")
            .with_hint("send Authorization: Bearer TOKEN; on the command line --token-file FILE"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_token_opens() {
        let door = Door::Token("secret".into());
        let with = |said: &'static str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(said))])
        };
        assert!(door.check(&with("Bearer secret"), "x").is_ok());
        for said in ["Bearer secre", "Bearer ", "secret", "Basic secret", "Bearer secret2"] {
            assert_eq!(door.check(&with(said), "x").unwrap_err().kind, Kind::Forbidden, "{said}");
        }
        assert!(door.check(&HeaderMap::new(), "x").is_err());
        assert!(
            Door::Closed.check(&with("Bearer "), "x").unwrap_err().hint.unwrap().contains("x in pirn.toml")
        );
        assert!(Door::Open.check(&HeaderMap::new(), "x").is_ok());
    }
}
