//! Notes live as long as what they are about, and go where it goes.

use std::time::Duration;

use crate::support::*;
use loopd_model::UnixNanos;
use loopd_store::{
    How, NoteChange, NoteEdit, NoteOutcome, NoteQuery, NoteText, ProcessKey, Reader, Retention,
    StoreError, StoreOptions, export_file, import_file,
};

const ALL: NoteQuery =
    NoteQuery { process: None, from: None, to: None, contains: None, limit: 100 };

fn text(process: Option<ProcessKey>, from: i64, to: i64, text: &str) -> NoteText {
    let (from, to) = (UnixNanos(ORIGIN + from), UnixNanos(ORIGIN + to));
    NoteText { process, from, to, text: text.into(), author: None }
}

async fn texts(reader: &Reader) -> Vec<String> {
    let (notes, _) = reader.notes(&ALL).await.unwrap();
    notes.into_iter().map(|note| note.note_text.text).collect()
}

impl Store {
    async fn note(&mut self, note_text: NoteText) -> NoteOutcome {
        self.writer.change_note(&NoteChange::Add(note_text), UnixNanos(ORIGIN)).await.unwrap()
    }
}

#[tokio::test]
async fn a_note_about_nobody_is_refused() {
    let mut store = Store::new().await;
    let add = NoteChange::Add(text(Some(ProcessKey(99)), 0, 0, "x"));
    let refused = store.writer.change_note(&add, UnixNanos(ORIGIN)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NoSuchProcess { process: 99 }), "{refused}");
}

#[tokio::test]
async fn notes_go_with_the_run_they_are_about_and_within_the_range_that_is_copied() {
    let mut store = Store::new().await;
    let process = store.process;
    store.note(text(Some(process), 5, 5, "early")).await;
    store.note(text(Some(process), 50, 500, "lasting")).await;
    store.note(text(None, 60, 60, "of all")).await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, part) = (folder.path().join("whole.db"), folder.path().join("part.db"));
    export_file(&store.path(), &whole, &[process], None, None).await.unwrap();
    let from = Some(UnixNanos(ORIGIN + 100));
    export_file(&store.path(), &part, &[process], from, None).await.unwrap();
    assert_eq!(texts(&Reader::open(&whole).await.unwrap()).await, ["early", "lasting"]);
    assert_eq!(texts(&Reader::open(&part).await.unwrap()).await, ["lasting"]);

    // Where other notes are already, they get other numbers.
    let target = folder.path().join("target.db");
    let (mut writer, reader) = loopd_store::open(StoreOptions::new(&target)).await.unwrap();
    let own = NoteChange::Add(text(None, 0, 0, "here before"));
    writer.change_note(&own, UnixNanos(ORIGIN)).await.unwrap();
    writer.close().await.unwrap();
    import_file(&whole, &StoreOptions::new(&target), false).await.unwrap();
    assert_eq!(texts(&reader).await, ["here before", "early", "lasting"]);
}

#[tokio::test]
async fn notes_outlast_what_is_around_them_and_end_with_their_process() {
    let mut store = Store::new().await;
    let process = store.process;
    store.note(text(Some(process), 5, 5, "mine")).await;
    store.note(text(None, 6, 6, "of all")).await;
    let keep = Retention {
        max_age: Some(Duration::from_secs(60)),
        max_bytes: None,
        max_process_bytes: None,
    };
    let late = ORIGIN + 3_600_000_000_000;
    store.maintain_all(late, &keep).await;
    assert_eq!(texts(&store.reader).await, ["mine", "of all"]);
    let ended_at = UnixNanos(ORIGIN + 10);
    store.writer.end_session(process, How::Goodbye { ledger: Vec::new() }, ended_at).await.unwrap();
    store.maintain_all(late, &keep).await;
    assert_eq!(texts(&store.reader).await, ["of all"]);
}

#[tokio::test]
async fn a_run_that_is_replaced_keeps_what_was_written_here() {
    let mut store = Store::new().await;
    let process = store.process;
    store.note(text(Some(process), 5, 5, "there")).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, target) = (folder.path().join("file.db"), folder.path().join("target.db"));
    export_file(&store.path(), &file, &[process], None, None).await.unwrap();
    let options = StoreOptions::new(&target);
    import_file(&file, &options, false).await.unwrap();

    let (mut writer, reader) = loopd_store::open(options.clone()).await.unwrap();
    let (notes, _) = reader.notes(&ALL).await.unwrap();
    let process = notes[0].note_text.process;
    let edit = NoteEdit { text: Some("there, but written anew".into()), ..NoteEdit::default() };
    let edit = NoteChange::Edit { note: notes[0].note, edit };
    writer.change_note(&edit, UnixNanos(ORIGIN + 2)).await.unwrap();
    let add = NoteChange::Add(text(process, 9, 9, "here"));
    writer.change_note(&add, UnixNanos(ORIGIN + 3)).await.unwrap();
    let (before, _) = reader.notes(&ALL).await.unwrap();
    writer.close().await.unwrap();

    let imported = import_file(&file, &options, true).await.unwrap();
    assert!(imported.processes[0].is_added && !imported.rows.contains_key("note"));
    assert_eq!(reader.notes(&ALL).await.unwrap().0, before);
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_that_another_did() {
    let mut store = Store::new().await;
    store.note(text(None, 5, 9, "first")).await;
    let edits = [
        NoteEdit { text: Some("second".into()), ..NoteEdit::default() },
        NoteEdit { author: Some(Some("ann".into())), ..NoteEdit::default() },
        NoteEdit { from: Some(UnixNanos(ORIGIN + 7)), ..NoteEdit::default() },
    ];
    for edit in edits {
        let change = NoteChange::Edit { note: 1, edit };
        store.writer.change_note(&change, UnixNanos(ORIGIN)).await.unwrap();
    }
    let expected = NoteText { author: Some("ann".into()), ..text(None, 7, 9, "second") };
    assert_eq!(store.reader.note(1).await.unwrap().unwrap().note_text, expected);

    let edit = NoteEdit { from: Some(UnixNanos(ORIGIN + 10)), ..NoteEdit::default() };
    let change = NoteChange::Edit { note: 1, edit };
    let refused = store.writer.change_note(&change, UnixNanos(ORIGIN)).await.unwrap();
    assert!(matches!(refused, NoteOutcome::Backwards { .. }), "{refused:?}");
    assert_eq!(store.reader.note(1).await.unwrap().unwrap().note_text, expected);
}
