//! Where a program with `console-subscriber` listens.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Where `console-subscriber` listens if nobody says.
const DEFAULT_PORT: u16 = 6669;
/// For the connection itself, and again for each first answer.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A peer that has vanished without a word is noticed within the sum of the two.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a program is reached: `http://HOST:PORT`, or `file:///PATH` of a Unix socket, as `tokio-console`
/// takes them. The scheme and the port 6669 may be left out of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(Uri),
    Unix(PathBuf),
}

/// Why a text is no such place.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No address.
    #[error(
        "`{text}` is no address of a program; give http://HOST:PORT, or file:///PATH of its socket"
    )]
    Malformed {
        /// What was given.
        text: String,
    },
    /// One that is not spoken here.
    #[error(
        "`{text}`: {scheme}:// is not spoken here; give http://HOST:PORT, through a tunnel if need be, or \
         file:///PATH of a socket"
    )]
    Scheme {
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// A TCP address with more than a host and a port in it.
    #[error("the address has {part} in it, which nobody would look at; give http://HOST:PORT")]
    Excess {
        /// What there is; not what it says, which may be a secret.
        part: &'static str,
    },
    /// A socket of another machine.
    #[error("`{text}` is a socket of another machine; only those of this one can be reached")]
    RemoteSocket {
        /// What was given.
        text: String,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed { text: text.to_owned() };
        let given = text.trim();
        let (scheme, rest) = given.split_once("://").unwrap_or(("http", given));
        let place = match scheme {
            "http" => {
                // Before anything can repeat a secret.
                let excess = [('@', "a user"), ('?', "a query"), ('#', "a fragment")];
                if let Some((_, part)) = excess.into_iter().find(|(sign, _)| rest.contains(*sign)) {
                    return Err(TargetError::Excess { part });
                }
                let authority = rest.trim_end_matches('/');
                let uri: Uri = format!("http://{authority}").parse().map_err(|_| malformed())?;
                let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
                if uri.path() != "/" {
                    return Err(malformed());
                }
                // What stands behind the host is a port, or nothing.
                let port = match authority.strip_prefix(host).unwrap_or_default() {
                    "" => DEFAULT_PORT,
                    given => given
                        .strip_prefix(':')
                        .and_then(|port| port.parse().ok())
                        .filter(|port| *port != 0)
                        .ok_or_else(malformed)?,
                };
                Place::Tcp(format!("http://{host}:{port}").parse().map_err(|_| malformed())?)
            }
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(TargetError::RemoteSocket { text: text.to_owned() });
                }
                if path.len() < 2 {
                    return Err(malformed());
                }
                Place::Unix(PathBuf::from(path))
            }
            scheme => {
                let (text, scheme) = (text.to_owned(), scheme.to_owned());
                return Err(TargetError::Scheme { text, scheme });
            }
        };
        let text = match &place {
            Place::Tcp(uri) => uri.to_string().trim_end_matches('/').to_owned(),
            Place::Unix(path) => format!("file://{}", path.display()),
        };
        Ok(Self { text, place })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Target {
    /// What a program is called that nobody named: its address, or the name of its socket.
    pub fn app(&self) -> String {
        match &self.place {
            Place::Tcp(uri) => uri.authority().map_or_else(String::new, ToString::to_string),
            Place::Unix(path) => {
                path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
        }
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let endpoint = |uri: Uri| {
            Endpoint::from(uri)
                .connect_timeout(CONNECT_TIME)
                .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(true)
        };
        match &self.place {
            Place::Tcp(uri) => endpoint(uri.clone()).connect().await,
            Place::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                // Nobody looks at this address.
                let nowhere = Uri::from_static("http://localhost");
                endpoint(nowhere).connect_with_connector(connector).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_tokio_console_takes_them() {
        for (given, shown, app) in [
            ("http://127.0.0.1:6669", "http://127.0.0.1:6669", "127.0.0.1:6669"),
            ("http://127.0.0.1:6669/", "http://127.0.0.1:6669", "127.0.0.1:6669"),
            ("localhost:7000", "http://localhost:7000", "localhost:7000"),
            ("http://10.0.0.7", "http://10.0.0.7:6669", "10.0.0.7:6669"),
            ("http://[::1]:9", "http://[::1]:9", "[::1]:9"),
            ("file:///run/shop/console.sock", "file:///run/shop/console.sock", "console"),
            ("file://localhost/tmp/c", "file:///tmp/c", "c"),
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!((target.to_string().as_str(), target.app().as_str()), (shown, app));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_give() {
        for (given, part) in [
            ("", "is no address"),
            ("http://", "is no address"),
            ("http://host/path", "is no address"),
            ("https://host:1", "https:// is not spoken here"),
            ("vsock://2:6669", "vsock:// is not spoken here"),
            ("file://elsewhere/tmp/c", "of another machine"),
            ("file:///", "is no address"),
            ("http://host:99999", "is no address"),
            ("http://host:port", "is no address"),
            ("http://host:", "is no address"),
            ("http://host:0", "is no address"),
            ("http://ada:secret@host:1", "has a user in it"),
            ("http://host:1?retain=1", "has a query in it"),
        ] {
            let error = given.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{given}: {error}");
        }
    }
}
