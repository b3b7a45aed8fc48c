//! What agents are asked to capture, on the open stream and at the next welcome.

use loopd_collector::{ChangeError, CollectorConfig};
use loopd_store::{
    ProcessKey, SettingKey, SettingValue, SettingsChange, SettingsScope, StoreError,
};
use loopd_wire::pb;
use loopd_wire::pb::agent_message::Kind as Said;
use loopd_wire::pb::collector_message::Kind as Heard;

use crate::agent::{Agent, batch, hello};
use crate::server::Server;

fn polls(is_on: Option<bool>) -> SettingsChange {
    let value = is_on.map(SettingValue::Switch);
    SettingsChange::default().with(SettingKey::RecordPolls, value).unwrap()
}

/// What an agent whose own configuration records polls is welcomed with.
async fn greet(server: &Server, n: u8) -> (Agent, pb::Settings) {
    let on = Some(pb::Settings { record_polls: Some(true), ..pb::Settings::default() });
    let mut agent = Agent::connect(server.addr).await;
    agent.say(Said::Hello(pb::Hello { settings: on, configured: on, ..hello(n) })).await;
    let welcome = agent.welcome().await;
    (agent, welcome.settings.unwrap())
}

async fn asked(agent: &mut Agent) -> pb::Settings {
    match agent.hear().await.unwrap() {
        Some(Heard::Settings(settings)) => settings,
        other => panic!("no settings but {other:?}"),
    }
}

fn process_of(server: &Server, n: u8) -> ProcessKey {
    ProcessKey(server.number(&format!("SELECT process FROM processes WHERE app = 'app-{n}'")))
}

#[tokio::test]
async fn a_change_reaches_its_agent_at_once_and_no_other() {
    let server = Server::start().await;
    let (mut one, welcomed) = greet(&server, 1).await;
    let (mut two, _) = greet(&server, 2).await;
    assert_eq!(welcomed.record_polls, Some(true), "as it is configured");
    let scope = SettingsScope::Process(process_of(&server, 1));
    server.collector.change_settings(scope.clone(), polls(Some(false))).await.unwrap();
    // It has said nothing meanwhile that there could be an answer to.
    assert_eq!(asked(&mut one).await.record_polls, Some(false));
    // Had the other been asked for anything, it would have heard that before this ack.
    two.send(batch(1)).await;
    two.acked(1).await;
    // Taken back: as it is configured.
    server.collector.change_settings(scope, polls(None)).await.unwrap();
    assert_eq!(asked(&mut one).await.record_polls, Some(true));
    server.collector.change_settings(SettingsScope::All, polls(Some(false))).await.unwrap();
    assert_eq!(asked(&mut one).await.record_polls, Some(false));
    assert_eq!(asked(&mut two).await.record_polls, Some(false));
}

#[tokio::test]
async fn an_agent_that_cannot_be_told_does_not_keep_others_from_hearing() {
    let server = Server::start().await;
    let (_one, _) = greet(&server, 1).await;
    let (mut two, _) = greet(&server, 2).await;
    // What is kept of the first cannot be read: no text is made of this byte.
    let broken = "UPDATE process SET in_force = CAST(x'ff' AS TEXT) WHERE app = 'app-1'";
    assert_eq!(server.sql().execute(broken, []).unwrap(), 1);
    server.collector.change_settings(SettingsScope::All, polls(Some(false))).await.unwrap();
    assert_eq!(asked(&mut two).await.record_polls, Some(false));
}

#[tokio::test]
async fn a_restart_keeps_what_was_asked_for() {
    let server = Server::start().await;
    let (_one, _) = greet(&server, 1).await;
    let process = SettingsScope::Process(process_of(&server, 1));
    server.collector.change_settings(process, polls(Some(false))).await.unwrap();
    // Of a program that was never seen.
    let app = SettingsScope::App("app-2".into());
    server.collector.change_settings(app, polls(Some(false))).await.unwrap();
    let dir = server.stop().await;
    let server = Server::start_in(dir, CollectorConfig::default()).await;
    for (n, expected) in [(1, false), (2, false), (3, true)] {
        let (_, welcomed) = greet(&server, n).await;
        assert_eq!(welcomed.record_polls, Some(expected), "process {n}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_say_what_it_is_configured_to_is_left_alone() {
    let server = Server::start().await;
    let mut agent = Agent::connect(server.addr).await;
    agent.say(Said::Hello(hello(1))).await;
    assert_eq!(agent.welcome().await.settings, Some(pb::Settings::default()));
}

#[tokio::test]
async fn a_process_that_is_not_there_cannot_be_asked() {
    let server = Server::start().await;
    let scope = SettingsScope::Process(ProcessKey(9));
    let refused = server.collector.change_settings(scope, polls(Some(false))).await;
    let Err(ChangeError::Store(StoreError::NoSuchProcess { process: 9 })) = refused else {
        panic!("{refused:?}");
    };
    // It goes on.
    let (mut agent, _) = greet(&server, 1).await;
    agent.send(batch(1)).await;
    agent.acked(1).await;
}
