//! Notes through the API: written, changed, found and removed, and refused in words.

use axum::body::Body;
use http::{Request, StatusCode};
use loopd_model::UnixNanos;
use loopd_store::{MAX_NOTES, NoteChange, NoteOutcome, NoteText};
use serde_json::{Value, json};

use super::recording::{SCRIPT, START};
use super::server::{Server, text};

const PATH: &str = "/api/v1/notes";

async fn send(server: &Server, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let response = server.send(request.body(Body::from(body.to_string())).unwrap()).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

fn at(second: i64) -> String {
    (START + second * 1_000_000_000).to_string()
}

async fn add(server: &Server, body: Value) -> Value {
    let (status, note) = send(server, "POST", PATH, &body).await;
    assert_eq!(status, StatusCode::OK, "{note}");
    note
}

/// The texts of a list.
async fn texts(server: &Server, query: &str) -> Vec<String> {
    let view = server.json(&format!("{PATH}?{query}")).await;
    let notes = view["notes"].as_array().unwrap().iter();
    notes.map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_note_is_written_changed_and_removed() {
    let server = Server::start().await;
    let note = add(
        &server,
        json!({"from": at(60), "to": at(90), "text": " load test ", "author": "ci", "process": 1}),
    )
    .await;
    assert_eq!(
        note,
        json!({
            "note": 1, "process": 1, "from": at(60), "to": at(90), "text": "load test", "author": "ci",
            "made_at": at(0), "changed_at": null,
        })
    );
    assert_eq!(server.json(&format!("{PATH}/1")).await, note);

    let (status, changed) =
        send(&server, "PATCH", "/api/v1/notes/1", &json!({"text": "200 clients", "author": null}))
            .await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!((&changed["text"], &changed["author"]), (&"200 clients".into(), &Value::Null));
    assert_eq!((&changed["from"], &changed["to"]), (&note["from"], &note["to"]));
    assert_eq!(changed["changed_at"], at(0));

    let (status, gone) = send(&server, "DELETE", "/api/v1/notes/1", &Value::Null).await;
    assert_eq!((status, &gone), (StatusCode::OK, &changed));
    let (status, answer) = send(&server, "DELETE", "/api/v1/notes/1", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    // Its number is not given again.
    assert_eq!(add(&server, json!({"from": at(1), "text": "next"})).await["note"], 2);
}

#[tokio::test]
async fn an_instant_that_is_moved_stays_one() {
    let server = Server::start().await;
    add(&server, json!({"from": at(60), "text": "deploy"})).await;
    let path = "/api/v1/notes/1";
    let (_, moved) = send(&server, "PATCH", path, &json!({"from": at(70)})).await;
    assert_eq!((&moved["from"], &moved["to"]), (&json!(at(70)), &json!(at(70))));
    let (_, longer) = send(&server, "PATCH", path, &json!({"to": at(80), "process": 1})).await;
    assert_eq!((&longer["to"], &longer["process"]), (&json!(at(80)), &json!(1)));
    let (_, instant) = send(&server, "PATCH", path, &json!({"to": null, "process": null})).await;
    assert_eq!((&instant["to"], &instant["process"]), (&json!(at(70)), &Value::Null));
}

#[tokio::test]
async fn lists_are_by_time_and_by_what_is_asked_for() {
    let server = Server::start().await;
    add(&server, json!({"from": at(60), "to": at(90), "text": "load test", "process": 1})).await;
    add(&server, json!({"from": at(10), "text": "Deploy 7", "author": "Ann"})).await;
    add(&server, json!({"from": at(300), "text": "50 % off_sale", "process": 1})).await;
    assert_eq!(texts(&server, "process=1").await, ["Deploy 7", "load test", "50 % off_sale"]);
    assert_eq!(texts(&server, "process=2").await, ["Deploy 7"], "those about all are of each");
    let range = format!("from={}&to={}", at(80), at(300));
    assert_eq!(texts(&server, &range).await, ["load test"]);
    assert_eq!(texts(&server, "q=deploy").await, ["Deploy 7"]);
    assert_eq!(texts(&server, "q=ann").await, ["Deploy 7"]);
    assert_eq!(texts(&server, "q=%25%20off_").await, ["50 % off_sale"]);
    let view = server.json(&format!("{PATH}?limit=2")).await;
    assert_eq!((view["notes"].as_array().unwrap().len(), &view["more"]), (2, &true.into()));

    let (status, answer) = server
        .query(r#"{"sql": "SELECT note, process, text, author FROM notes ORDER BY from_at"}"#)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["rows"][0], json!([2, null, "Deploy 7", "Ann"]));
    let (status, _) = server.query(r#"{"sql": "SELECT * FROM note"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "tables are behind the views");
}

#[tokio::test]
async fn hostile_text_is_kept_as_it_is() {
    let server = Server::start().await;
    let hostile = format!("{SCRIPT}'); DROP TABLE note; -- \u{202e}\n😀");
    let note = add(&server, json!({"from": at(1), "text": hostile, "author": SCRIPT})).await;
    assert_eq!((&note["text"], &note["author"]), (&json!(hostile.trim()), &json!(SCRIPT)));
    let csv = text(server.get(&format!("{PATH}?format=csv")).await).await;
    assert!(csv.starts_with("note,process,from,to,text,author,made_at,changed_at\r\n1,"), "{csv}");
}

#[tokio::test]
async fn what_is_no_note_is_refused_in_words() {
    let server = Server::start().await;
    let sized = "`text` must have from 1 to 4096 bytes";
    let unknown = "there is no note 9; /api/v1/notes lists those there are";
    let cases = [
        ("POST", PATH, json!({"from": at(1), "text": " "}), 400, sized),
        ("POST", PATH, json!({"from": at(1), "text": "é".repeat(2_049)}), 400, sized),
        (
            "POST",
            PATH,
            json!({"from": at(1), "text": "x", "author": "a".repeat(129)}),
            400,
            "`author` must have at most 128 bytes",
        ),
        ("POST", PATH, json!({"from": at(1), "text": "a\0b"}), 400, "a note has no NUL bytes"),
        ("POST", PATH, json!({"from": at(2), "to": at(1), "text": "x"}), 400, "`from` ("),
        (
            "POST",
            PATH,
            json!({"from": at(1), "text": "x", "process": 99}),
            404,
            "there is no process 99",
        ),
        ("POST", PATH, json!({"from": 5, "text": "x"}), 422, "Failed to deserialize"),
        (
            "POST",
            PATH,
            json!({"from": at(1), "text": "x", "colour": "red"}),
            422,
            "Failed to deserialize",
        ),
        ("PATCH", "/api/v1/notes/9", json!({"text": "x"}), 404, unknown),
        ("DELETE", "/api/v1/notes/9", Value::Null, 404, unknown),
        ("DELETE", "/api/v1/notes/x", Value::Null, 400, "the note must be a whole number"),
        ("DELETE", PATH, Value::Null, 405, "/notes takes only GET and POST"),
        ("POST", "/api/v1/notes/9", json!({}), 405, "/notes/9 takes only GET, PATCH and DELETE"),
    ];
    for (method, path, body, status, expected) in cases {
        let (found, answer) = send(&server, method, path, &body).await;
        assert_eq!(found.as_u16(), status, "{method} {path} {body}: {answer}");
        let sentence = answer["error"].as_str().unwrap();
        assert!(sentence.contains(expected), "{method} {path}: {sentence}");
    }
    let form = Request::post(PATH).header("content-type", "text/plain");
    let response = server.send(form.body(Body::from("{}")).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = text(server.get(&format!("{PATH}?limit=0")).await).await;
    assert!(answer.contains("`limit` must be from 1 to 2000"), "{answer}");
    assert_eq!(texts(&server, "").await, Vec::<String>::new(), "nothing was written");
}

#[tokio::test]
async fn there_is_room_for_so_many_and_no_more() {
    let server = Server::start().await;
    for i in 0..MAX_NOTES {
        let note_text = NoteText { text: i.to_string(), ..NoteText::default() };
        let mut writer = server.writer.lock().await;
        let added = writer.change_note(&NoteChange::Add(note_text), UnixNanos(START)).await;
        assert!(matches!(added.unwrap(), NoteOutcome::Done(_)));
    }
    let (status, answer) =
        send(&server, "POST", PATH, &json!({"from": at(1), "text": "one more"})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let expected = format!("there are {MAX_NOTES} notes already; remove some first");
    assert_eq!(answer["error"], expected);
}
