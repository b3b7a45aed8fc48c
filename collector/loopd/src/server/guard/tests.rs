use super::*;

const TOKEN: &str = "0123456789abcdef";

/// What a guard on port 7411 says to a request: its status, 0 for "goes on".
fn ask(token: Option<&str>, method: &str, uri: &str, headers: &[(&str, &str)]) -> Response {
    let guard = guard(token);
    respond(&guard, method, uri, headers)
}

fn guard(token: Option<&str>) -> Guard {
    let token = token.map(|token| token.parse().unwrap());
    Guard::new("127.0.0.1:7411".parse().unwrap(), Vec::new(), token)
}

fn respond(guard: &Guard, method: &str, uri: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let addr = "127.0.0.1:7411".parse().unwrap();
    let peer = Peer { addr, local: Some(addr) };
    let goes_on = StatusCode::CONTINUE.into_response();
    guard.check(&mut request.body(()).unwrap(), peer).unwrap_or(goes_on)
}

#[track_caller]
fn check(method: &str, uri: &str, headers: &[(&str, &str)], expected: u16) {
    assert_eq!(ask(None, method, uri, headers).status(), expected, "{method} {uri} {headers:?}");
}

const HOST_OK: (&str, &str) = ("host", "localhost:7411");
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_plain_request_goes_on() {
    check("GET", "/", &[HOST_OK], 100);
    check("POST", "/api/v1/query", &[HOST_OK, JSON], 100);
    check("POST", "/x", &[HOST_OK, ("content-type", "application/json; charset=utf-8")], 100);
}

#[test]
fn every_name_for_us_must_be_ours() {
    check("GET", "/", &[], 403);
    check("GET", "/", &[("host", "evil.test:7411")], 403);
    check("GET", "/", &[HOST_OK, ("host", "evil.test")], 403);
    check("GET", "http://evil.test:7411/", &[HOST_OK], 403);
    check("GET", "http://localhost:7411/", &[("host", "evil.test")], 403);
    check("GET", "http://localhost:7411/", &[], 100);
}

#[test]
fn foreign_pages_may_not_ask() {
    check("GET", "/", &[HOST_OK, ("origin", "http://evil.test")], 403);
    check("GET", "/", &[HOST_OK, ("origin", "null")], 403);
    check("GET", "/", &[HOST_OK, ("origin", "http://localhost:3000")], 403);
    check("GET", "/", &[HOST_OK, ("origin", "http://localhost:7411")], 100);
    check("GET", "/", &[HOST_OK, ("sec-fetch-site", "cross-site")], 403);
    check("GET", "/", &[HOST_OK, ("sec-fetch-site", "same-site")], 403);
    check("GET", "/", &[HOST_OK, ("sec-fetch-site", "same-origin")], 100);
    check("GET", "/", &[HOST_OK, ("sec-fetch-site", "none")], 100);
}

#[test]
fn a_link_on_a_foreign_page_works() {
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let with = |extra: &[_]| [&[HOST_OK], &link[..], extra].concat();
    check("GET", "/slow", &with(&[]), 100);
    check("POST", "/slow", &with(&[JSON]), 403);
    let frame = [
        HOST_OK,
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    check("GET", "/slow", &frame, 403);
}

#[test]
fn a_form_cannot_post() {
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    {
        check("POST", "/api/v1/query", &[HOST_OK, ("content-type", content_type)], 415);
    }
    check("POST", "/api/v1/query", &[HOST_OK], 415);
    check("PATCH", "/api/v1/notes/1", &[HOST_OK], 415);
}

#[test]
fn what_no_form_can_send_needs_no_body_to_show_it() {
    check("DELETE", "/api/v1/notes/1", &[HOST_OK], 100);
    check("DELETE", "/api/v1/notes/1", &[HOST_OK, ("origin", "http://evil.test")], 403);
    check("DELETE", "/api/v1/notes/1", &[HOST_OK, ("sec-fetch-site", "cross-site")], 403);
    // What a browser asks before: nobody allows it.
    check("OPTIONS", "/api/v1/notes/1", &[HOST_OK, ("origin", "http://evil.test")], 403);
}

#[test]
fn grpc_is_refused_in_its_own_words() {
    let grpc = ("content-type", "application/grpc");
    check("POST", "http://localhost:7411/loopd.v1.Ingest/Stream", &[grpc], 100);
    let response = ask(None, "POST", "http://evil.test:7411/loopd.v1.Ingest/Stream", &[grpc]);
    assert_eq!(
        (response.status(), &response.headers()["grpc-status"]),
        (StatusCode::OK, &"7".parse().unwrap())
    );
    let response =
        ask(Some(TOKEN), "POST", "http://localhost:7411/loopd.v1.Ingest/Stream", &[grpc]);
    assert_eq!(response.headers()["grpc-status"], "16");
    let with_token = [grpc, ("authorization", "Bearer 0123456789abcdef")];
    let response =
        ask(Some(TOKEN), "POST", "http://localhost:7411/loopd.v1.Ingest/Stream", &with_token);
    assert_eq!(response.status(), 100);
}

#[test]
fn with_a_token_everything_but_health_needs_it() {
    let ask = |uri, headers: &[_]| ask(Some(TOKEN), "GET", uri, headers).status().as_u16();
    assert_eq!(ask("/", &[HOST_OK]), 401);
    assert_eq!(ask("/api/v1/status", &[HOST_OK]), 401);
    assert_eq!(ask("/healthz", &[HOST_OK]), 100);
    assert_eq!(ask("/readyz", &[HOST_OK]), 100);
    assert_eq!(ask("/healthz", &[("host", "evil.test")]), 403);
    assert_eq!(ask("/", &[HOST_OK, ("authorization", "Bearer 0123456789abcdef")]), 100);
    assert_eq!(ask("/", &[HOST_OK, ("authorization", "bearer 0123456789abcdef")]), 100);
    for wrong in
        ["Bearer 0123456789abcdeg", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"]
    {
        assert_eq!(ask("/", &[HOST_OK, ("authorization", wrong)]), 401, "{wrong}");
    }
}

#[test]
fn the_token_in_the_address_becomes_a_cookie() {
    let guard = guard(Some(TOKEN));
    let response = respond(&guard, "GET", "/tasks?a=1&token=0123456789abcdef&b=2", &[HOST_OK]);
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[LOCATION], "/tasks?a=1&b=2");
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(!cookie.contains(TOKEN) && cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let ask = |cookie: &str| respond(&guard, "GET", "/", &[HOST_OK, ("cookie", cookie)]).status();
    assert_eq!(ask(pair), 100);
    assert_eq!(ask(&format!("other=1; {pair}")), 100);
    assert_eq!(ask("loopd_7411=0123456789abcdef"), 401);
    assert_eq!(ask(&pair[..pair.len() - 1]), 401);
}

#[test]
fn a_wrong_token_in_the_address_leads_nowhere() {
    let ask = |uri| ask(Some(TOKEN), "GET", uri, &[HOST_OK]);
    assert_eq!(ask("/?token=nope").status(), 401);
    assert_eq!(ask("//evil.test/?token=0123456789abcdef").headers()[LOCATION], "/evil.test/");
}

#[test]
fn only_tokio_console_names_an_app_and_the_token_before_the_host() {
    const WATCH: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";
    let grpc = [("content-type", "application/grpc")];
    let status = |token, host: &str, path: &str| {
        let response = ask(token, "POST", &format!("http://{host}{path}"), &grpc);
        match response.headers().get("grpc-status") {
            Some(status) => status.to_str().unwrap().to_owned(),
            None => response.status().as_u16().to_string(),
        }
    };
    assert_eq!(status(None, "localhost:7411", WATCH), "100");
    assert_eq!(status(None, "orders@localhost:7411", WATCH), "100");
    assert_eq!(status(None, "orders@evil.test:7411", WATCH), "7");
    assert_eq!(status(None, "localhost:7411@evil.test:7411", WATCH), "7");
    assert_eq!(status(None, "orders@localhost:7411", "/loopd.v1.Ingest/Stream"), "7");
    assert_eq!(status(Some(TOKEN), "orders@localhost:7411", WATCH), "16");
    assert_eq!(status(Some(TOKEN), "orders:0123456789abcdeg@localhost:7411", WATCH), "16");
    assert_eq!(status(Some(TOKEN), "orders:0123456789abcdef@localhost:7411", WATCH), "100");
    assert_eq!(status(Some(TOKEN), ":0123456789abcdef@localhost:7411", WATCH), "100");
    assert_eq!(
        status(Some(TOKEN), ":0123456789abcdef@localhost:7411", "/loopd.v1.Ingest/Stream"),
        "7"
    );
}
