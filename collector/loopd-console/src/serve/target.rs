//! Which apps a viewer wants to see.

/// All apps, or one.
///
/// `tokio-console` keeps nothing of its address but scheme and authority, so that an app is named before
/// the host: `http://orders@127.0.0.1:7411`. What a URL has no room for is written as `%XX` there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every app.
    #[default]
    All,
    /// Every run of the app of this name.
    App(String),
}

impl Target {
    /// What the part of an authority before `@` says: the app, and behind a colon a password.
    pub fn of_userinfo(userinfo: &str) -> (Self, Option<String>) {
        let (app, password) = match userinfo.split_once(':') {
            Some((app, password)) => (app, Some(decode(password))),
            None => (userinfo, None),
        };
        let app = decode(app);
        let target = if app.is_empty() { Self::All } else { Self::App(app) };
        (target, password)
    }

    /// Whether runs of this app are meant.
    pub(super) fn has(&self, app: &str) -> bool {
        match self {
            Self::All => true,
            Self::App(wanted) => wanted == app,
        }
    }
}

/// Replaces `%XX`; what is no such triplet stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let is_hex = |hex: &&str| hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        match hex.filter(is_hex).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_and_a_password_are_before_the_host() {
        let app = |app: &str| Target::App(app.to_owned());
        let said = |text: &str| Some(text.to_owned());
        for (userinfo, expected) in [
            ("orders", (app("orders"), None)),
            ("orders:secret", (app("orders"), said("secret"))),
            (":secret", (Target::All, said("secret"))),
            ("", (Target::All, None)),
            ("my%20app%2f1:a%3Ab:c", (app("my app/1"), said("a:b:c"))),
            ("100%:%zz%4", (app("100%"), said("%zz%4"))),
            ("%C3%A4%ff", (app("ä\u{fffd}"), None)),
        ] {
            assert_eq!(Target::of_userinfo(userinfo), expected, "{userinfo}");
        }
    }
}
