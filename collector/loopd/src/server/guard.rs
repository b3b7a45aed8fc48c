//! Who may ask: decided on every request, gRPC included, before it is routed.
//!
//! A page of a foreign site must not reach a server on this machine through a browser. A browser
//! that was led here by a name that resolves to 127.0.0.1 (DNS rebinding) sends neither `Origin`
//! nor `Sec-Fetch-Site`, so the `Host` is the one sign of it; a foreign page that asks us by our
//! own name is given away by those two. Other people are kept out by the token.

mod hosts;
mod token;
mod userinfo;

use std::net::SocketAddr;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri};
use tonic::Status;

pub(crate) use hosts::HostName;
pub(crate) use token::Token;

use hosts::Hosts;
use token::Cookie;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The other end.
    pub(super) addr: SocketAddr,
    /// Ours; absent if the connection is gone already.
    pub(super) local: Option<SocketAddr>,
}

/// Decides who may ask.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Hosts,
    token: Option<(Token, Cookie)>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It was meant for another server, or comes from another site.
    Forbidden(String),
    /// It does not carry the token.
    NoToken,
    /// Only JSON is taken.
    NotJson,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl Guard {
    /// `bound` is where the server listens; `names` are what it goes by besides.
    pub(super) fn new(bound: SocketAddr, names: Vec<HostName>, token: Option<Token>) -> Self {
        let token = token.map(|token| (token, Cookie::new(bound.port())));
        Self { hosts: Hosts::new(bound, names), token }
    }

    /// Gives the answer to a request that goes no further.
    pub(super) fn check<B>(&self, request: &mut Request<B>, peer: Peer) -> Option<Response> {
        userinfo::take(request);
        let is_grpc = is_grpc(request.headers());
        let refusal = match self.decide(request, peer.local) {
            Ok(None) => return None,
            Ok(Some(login)) => return Some(login),
            Err(refusal) => refusal,
        };
        tracing::debug!(peer = %peer.addr, path = request.uri().path(), ?refusal, "refused");
        Some(if is_grpc { refusal.into_grpc() } else { refusal.into_http() })
    }

    fn decide<B>(
        &self,
        request: &Request<B>,
        local: Option<SocketAddr>,
    ) -> Result<Option<Response>, Refusal> {
        self.check_host(request, local)?;
        self.check_origin(request, local)?;
        check_site(request)?;
        check_content(request)?;
        match &self.token {
            Some((token, cookie)) => check_token(request, token, cookie),
            None => Ok(None),
        }
    }

    /// Every name that the request gives for us must be ours, and it must give one.
    fn check_host<B>(
        &self,
        request: &Request<B>,
        local: Option<SocketAddr>,
    ) -> Result<(), Refusal> {
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let headers = request.headers().get_all(HOST).iter().map(|value| value.as_bytes());
        let mut is_named = false;
        for host in authority.into_iter().chain(headers) {
            is_named = true;
            if !self.hosts.contains(host, local) {
                let host = String::from_utf8_lossy(host);
                return Err(Refusal::Forbidden(format!(
                    "this server does not go by the name {host:?}; \
                     start it with --allow-host {host} if it should"
                )));
            }
        }
        if is_named { Ok(()) } else { Err(Refusal::Forbidden("the Host header is missing".into())) }
    }

    fn check_origin<B>(
        &self,
        request: &Request<B>,
        local: Option<SocketAddr>,
    ) -> Result<(), Refusal> {
        for origin in request.headers().get_all(ORIGIN) {
            let origin = origin.as_bytes();
            let host = [&b"http://"[..], b"https://"].iter().find_map(|s| origin.strip_prefix(*s));
            if !host.is_some_and(|host| self.hosts.contains(host, local)) {
                let origin = String::from_utf8_lossy(origin);
                return Err(Refusal::Forbidden(format!("pages of {origin} may not ask")));
            }
        }
        Ok(())
    }
}

/// A request that a page of another site made is refused. A link there is not: that only opens our
/// page, which the other cannot see into.
fn check_site<B>(request: &Request<B>) -> Result<(), Refusal> {
    let is = |name: &HeaderName, value: &str| {
        request.headers().get_all(name).iter().any(|v| v.as_bytes() == value.as_bytes())
    };
    let is_foreign = is(&SEC_FETCH_SITE, "cross-site") || is(&SEC_FETCH_SITE, "same-site");
    let is_link = request.method() == Method::GET
        && is(&SEC_FETCH_MODE, "navigate")
        && is(&SEC_FETCH_DEST, "document");
    if is_foreign && !is_link {
        return Err(Refusal::Forbidden("pages of another site may not ask".into()));
    }
    Ok(())
}

/// A form of a foreign page can send any body but JSON without the browser asking us first. None can `DELETE`.
fn check_content<B>(request: &Request<B>) -> Result<(), Refusal> {
    let plain = [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE];
    if plain.contains(request.method()) {
        return Ok(());
    }
    let content_type = content_type(request.headers());
    if content_type == "application/json" || is_grpc(request.headers()) {
        return Ok(());
    }
    Err(Refusal::NotJson)
}

/// What probes ask, who have no token. It says only whether the server is well.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

fn check_token<B>(
    request: &Request<B>,
    token: &Token,
    cookie: &Cookie,
) -> Result<Option<Response>, Refusal> {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return Ok(None);
    }
    if let Some((given, without)) = token_in_query(request) {
        return if token.is(given.as_bytes()) {
            Ok(Some(login(&without, cookie)))
        } else {
            Err(Refusal::NoToken)
        };
    }
    let headers = request.headers();
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let has_token = bearer.is_some_and(|given| token.is(given));
    let has_cookie = headers.get_all(COOKIE).iter().any(|value| cookie.is_in(value.as_bytes()));
    if has_token || has_cookie { Ok(None) } else { Err(Refusal::NoToken) }
}

/// The token in `/path?token=…`, and that address without it.
fn token_in_query<B>(request: &Request<B>) -> Option<(String, String)> {
    if request.method() != Method::GET {
        return None;
    }
    let uri: &Uri = request.uri();
    let pairs = || uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let token = pairs().find_map(|pair| pair.strip_prefix("token="))?;
    let rest: Vec<&str> = pairs().filter(|pair| !pair.starts_with("token=")).collect();
    // One slash: `//host` would lead to another server.
    let path = format!("/{}", uri.path().trim_start_matches(['/', '\\']));
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    Some((token.to_owned(), path + &query))
}

/// Leaves the token out of the address bar and the history, and a cookie instead.
fn login(to: &str, cookie: &Cookie) -> Response {
    let headers = [(LOCATION, to.to_owned()), (SET_COOKIE, cookie.header())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = content_type(headers);
    content_type == "application/grpc" || content_type.starts_with("application/grpc+")
}

impl Refusal {
    fn sentence(&self) -> String {
        match self {
            Self::Forbidden(why) => why.clone(),
            Self::NoToken => "a token is needed: open /?token=… once, or send the header \
                              `authorization: Bearer …`"
                .into(),
            Self::NotJson => "only application/json is taken".into(),
        }
    }

    fn into_http(self) -> Response {
        let status = match self {
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        let body = serde_json::json!({ "error": self.sentence() });
        let headers = [
            (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (http::header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, axum::Json(body)).into_response()
    }

    fn into_grpc(self) -> Response {
        let sentence = self.sentence();
        let status = match self {
            Self::NoToken => Status::unauthenticated(sentence),
            Self::Forbidden(_) | Self::NotJson => Status::permission_denied(sentence),
        };
        status.into_http::<Body>()
    }
}

#[cfg(test)]
mod tests;
