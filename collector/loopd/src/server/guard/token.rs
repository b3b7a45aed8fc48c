//! The token, and the cookie that stands for it in a browser.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use uuid::Uuid;

/// A secret that everybody who asks must know.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// For an agent that we start.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not tell how much of it was right.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = String;

    /// The characters are those that need no escape in an address or a header.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        if !(16..=256).contains(&text.len()) || !text.chars().all(is_plain) {
            return Err(
                "a token is 16 to 256 characters of A–Z, a–z, 0–9, `-`, `.`, `_` and `~`; \
                        `openssl rand -hex 32` makes one"
                    .into(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

/// A browser sends cookies to every port of a host, so what it gets is not the token but a value
/// made for this run of the server.
pub(super) struct Cookie {
    name: String,
    value: String,
}

impl Cookie {
    /// The port is in the name, so that two servers on one machine do not log each other out.
    pub(super) fn new(port: u16) -> Self {
        let value = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self { name: format!("loopd_{port}"), value }
    }

    pub(super) fn header(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.name, self.value)
    }

    /// Whether it is in a `Cookie` header.
    pub(super) fn is_in(&self, header: &[u8]) -> bool {
        header.split(|&byte| byte == b';').any(|pair| {
            let value = pair
                .trim_ascii()
                .strip_prefix(self.name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| bool::from(self.value.as_bytes().ct_eq(value)))
        })
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({}=…)", self.name)
    }
}
