//! `tokio-console` sends nothing of its address but the authority: neither path nor header. So what it
//! wants to see, and the token, are written before the host, as in `http://orders:TOKEN@127.0.0.1:7411`.
//! For its service alone that part is taken out here, before anybody looks at the host; everywhere else
//! a host with such a part is none of ours.

use http::header::AUTHORIZATION;
use http::uri::Authority;
use http::{HeaderValue, Request, Uri};
use loopd_console::serve::{PATH, Target};

/// Takes it out of a request, if it is one of those, and notes what it says.
pub(super) fn take<B>(request: &mut Request<B>) {
    if !request.uri().path().starts_with(PATH) {
        return;
    }
    let authority = request.uri().authority().map(Authority::as_str);
    let Some((userinfo, host)) = authority.and_then(|authority| authority.rsplit_once('@')) else {
        return;
    };
    let (target, password) = Target::of_userinfo(userinfo);
    let mut parts = request.uri().clone().into_parts();
    parts.authority = host.parse().ok();
    // What cannot be put together again stays as it is, and is refused.
    let Ok(uri) = Uri::from_parts(parts) else { return };
    *request.uri_mut() = uri;
    request.extensions_mut().insert(target);
    let bearer = password.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    if let Some(mut bearer) = bearer
        && !request.headers().contains_key(AUTHORIZATION)
    {
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
}
