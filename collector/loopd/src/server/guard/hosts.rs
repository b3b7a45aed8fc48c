//! The names that the server goes by.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A name from the configuration, as it stands in a `Host` header: `loopd.example` or
/// `loopd.example:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName {
    host: String,
    /// Absent: whatever port the server listens on, or none.
    port: Option<u16>,
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) =
            split(text.as_bytes()).ok_or_else(|| format!("{text:?} is not HOST or HOST:PORT"))?;
        Ok(Self { host, port })
    }
}

/// Literals only. Nothing here is ever resolved, because the resolver is what an attacker has.
#[derive(Debug)]
pub(super) struct Hosts {
    port: u16,
    names: Vec<HostName>,
}

impl Hosts {
    pub(super) fn new(bound: SocketAddr, names: Vec<HostName>) -> Self {
        Self { port: bound.port(), names }
    }

    /// Whether `host`, with its port, names this server. A connection that came in on `local` may
    /// also call us by that address: a rebound name never looks like an address.
    pub(super) fn contains(&self, host: &[u8], local: Option<SocketAddr>) -> bool {
        let Some((host, port)) = split(host) else { return false };
        let is_our_port = port.unwrap_or(80) == self.port;
        if is_our_port && ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str()) {
            return true;
        }
        let local_ip = local.map(|local| local.ip().to_canonical());
        if is_our_port && local_ip.is_some() && parse_ip(&host) == local_ip {
            return true;
        }
        self.names.iter().any(|name| {
            let is_port = match name.port {
                Some(named) => port == Some(named),
                None => port.is_none_or(|port| port == self.port),
            };
            name.host == host && is_port
        })
    }
}

fn parse_ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Splits `host:port`, and lowers the host. `None` if it is neither a name nor an address.
fn split(text: &[u8]) -> Option<(String, Option<u16>)> {
    let text = std::str::from_utf8(text).ok()?;
    let colon = match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => Some(colon),
        _ => None,
    };
    let (host, port) = match colon {
        Some(colon) => (&text[..colon], Some(text[colon + 1..].parse().ok()?)),
        None => (text, None),
    };
    let is_address = host.starts_with('[') && parse_ip(host).is_some_and(|ip| ip.is_ipv6());
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = !host.is_empty() && host.chars().all(is_name_char);
    (is_address || is_name).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: bool) {
        let names = vec!["loopd.example".parse().unwrap(), "proxy:8443".parse().unwrap()];
        let hosts = Hosts::new("0.0.0.0:7411".parse().unwrap(), names);
        let local = Some("10.0.0.5:7411".parse().unwrap());
        assert_eq!(hosts.contains(host.as_bytes(), local), expected, "{host}");
    }

    #[test]
    fn loopback_goes_with_the_port() {
        check("localhost:7411", true);
        check("LocalHost:7411", true);
        check("127.0.0.1:7411", true);
        check("[::1]:7411", true);
        for host in ["localhost", "localhost:7412", "127.0.0.1", "[::1]", "127.0.0.2:7411"] {
            check(host, false);
        }
    }

    #[test]
    fn what_only_looks_like_us_is_not() {
        for host in [
            "",
            ":7411",
            "evil.test:7411",
            "localhost.evil.test:7411",
            "localhost:7411.evil.test",
            "localhost6:7411",
            "localhost.:7411",
            "user@localhost:7411",
            "localhost:7411 ",
            "localhost:+7411x",
            "::1:7411",
            "[::1]x:7411",
            "127.1:7411",
            "0x7f000001:7411",
            "2130706433:7411",
            "0.0.0.0:7411",
            "localhost\u{0}:7411",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn configured_names_go_with_our_port_or_their_own() {
        check("loopd.example", true);
        check("loopd.example:7411", true);
        check("loopd.example:80", false);
        check("proxy:8443", true);
        check("proxy", false);
        check("proxy:7411", false);
    }

    #[test]
    fn the_address_that_was_connected_to_is_ours() {
        check("10.0.0.5:7411", true);
        check("10.0.0.6:7411", false);
        check("10.0.0.5", false);
    }
}
