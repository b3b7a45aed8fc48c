//! What is asked of agents survives, adds up, and goes with the process.

use std::time::Duration;

use loopd_model::{Settings, UnixNanos};
use loopd_store::{
    ReportedSettings, Retention, SettingKey, SettingValue, SettingsChange, SettingsScope,
    StoreError,
};

use crate::support::*;

fn polls(is_on: Option<bool>) -> SettingsChange {
    change(SettingKey::RecordPolls, is_on.map(SettingValue::Switch))
}

fn change(key: SettingKey, value: Option<SettingValue>) -> SettingsChange {
    SettingsChange::default().with(key, value).unwrap()
}

#[tokio::test]
async fn the_narrowest_scope_wins_and_what_is_taken_back_lets_the_wider_through() {
    let mut store = Store::new().await;
    let app = SettingsScope::App("orders".into());
    let other = SettingsScope::App("other".into());
    let process = SettingsScope::Process(store.process);
    let threshold = change(SettingKey::SlowThreshold, Some(SettingValue::Nanos(5_000_000)));
    store.writer.change_settings(&SettingsScope::All, &polls(Some(false))).await.unwrap();
    store.writer.change_settings(&other, &polls(Some(true))).await.unwrap();
    store.writer.change_settings(&app, &threshold).await.unwrap();
    let told = store.writer.process_settings(store.process).await.unwrap().told();
    assert_eq!((told.record_polls, told.slow_threshold), (Some(false), Some(5_000_000)));
    store.writer.change_settings(&process, &polls(Some(true))).await.unwrap();
    let told = store.writer.process_settings(store.process).await.unwrap().told();
    assert_eq!(told.record_polls, Some(true));
    store.writer.change_settings(&process, &polls(None)).await.unwrap();
    store.writer.change_settings(&SettingsScope::All, &polls(None)).await.unwrap();
    let told = store.writer.process_settings(store.process).await.unwrap().told();
    assert_eq!((told.record_polls, told.slow_threshold), (None, Some(5_000_000)));
    let common = store.reader.common_settings().await.unwrap();
    let scopes: Vec<_> = common.iter().map(|(scope, _)| scope.clone()).collect();
    assert_eq!(scopes, [app, other]);
}

#[tokio::test]
async fn settings_survive_a_restart_and_wait_for_the_agent() {
    let mut store = Store::new().await;
    let said = Settings { record_polls: Some(true), ..Settings::default() };
    let said = ReportedSettings { in_force: Some(said), configured: Some(said) };
    store.writer.begin_session_saying(&process(1), 1, &said).await.unwrap();
    let scope = SettingsScope::Process(store.process);
    store.writer.change_settings(&scope, &polls(Some(false))).await.unwrap();
    let mut store = store.reopen(true).await;
    store.writer.begin_session_saying(&process(1), 1, &said).await.unwrap();
    let settings = store.reader.process_settings(store.process).await.unwrap().unwrap();
    assert_eq!(settings.desired.record_polls, Some(false));
    assert!(settings.in_force.is_some() && settings.configured.is_some());
    assert!(settings.is_pending());
    assert_eq!(settings.coverage[0].layer, "hooks");
}

#[tokio::test]
async fn a_process_that_is_not_there_has_no_settings() {
    let mut store = Store::new().await;
    let nobody = loopd_store::ProcessKey(99);
    let scope = SettingsScope::Process(nobody);
    let error = store.writer.change_settings(&scope, &polls(Some(false))).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchProcess { process: 99 }), "{error}");
    assert_eq!(store.reader.process_settings(nobody).await.unwrap(), None);
}

#[tokio::test]
async fn made_up_names_find_an_end() {
    let mut store = Store::new().await;
    let mut last = Ok(());
    for i in 0..=1_024 {
        let scope = SettingsScope::App(format!("app-{i}"));
        last = store.writer.change_settings(&scope, &polls(Some(false))).await;
    }
    assert!(matches!(last, Err(StoreError::TooManySettings { limit: 1_024 })), "{last:?}");
    // What is there can still be changed and taken back.
    let known = SettingsScope::App("app-3".into());
    store.writer.change_settings(&known, &polls(Some(true))).await.unwrap();
    store.writer.change_settings(&known, &polls(None)).await.unwrap();
    let new = SettingsScope::App("new".into());
    store.writer.change_settings(&new, &polls(Some(false))).await.unwrap();
}

#[tokio::test]
async fn the_settings_of_a_process_go_with_it_and_those_of_its_name_stay() {
    let mut store = Store::new().await;
    let scope = SettingsScope::Process(store.process);
    store.writer.change_settings(&scope, &polls(Some(false))).await.unwrap();
    let app = SettingsScope::App("orders".into());
    store.writer.change_settings(&app, &polls(Some(true))).await.unwrap();
    let lost = loopd_store::How::Lost;
    store.writer.end_session(store.process, lost, UnixNanos(ORIGIN)).await.unwrap();
    let keep = Retention {
        max_age: Some(Duration::from_secs(1)),
        max_bytes: None,
        max_process_bytes: None,
    };
    store.maintain_all(ORIGIN + 3_600 * S as i64, &keep).await;
    assert_eq!(store.sql("SELECT count(*) FROM processes").await, ["0"]);
    // Numbers of processes are given again: the next one must not inherit anything.
    let again = store.writer.begin_session(&process(2), 1).await.unwrap().process;
    assert_eq!(again, store.process);
    let told = store.writer.process_settings(again).await.unwrap().told();
    assert_eq!(told.record_polls, Some(true));
}
