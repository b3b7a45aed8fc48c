//! What the client of tokio-console is told by the real binary: of every program or one, with a token, after
//! a restart, and of the past.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::tasks::{Stats, Task};
use tempfile::tempdir;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::LIMIT;
use crate::binary::{Loopd, db, loopd};
use crate::load::{Script, TASKS};

async fn watch(url: String) -> Result<Streaming<Update>, Status> {
    watch_by(Endpoint::from_shared(url).unwrap()).await
}

async fn watch_by(endpoint: Endpoint) -> Result<Streaming<Update>, Status> {
    let channel = endpoint.connect().await.unwrap();
    let mut client = InstrumentClient::new(channel);
    Ok(client.watch_updates(InstrumentRequest {}).await?.into_inner())
}

/// The tasks that were told of.
#[derive(Default)]
struct Told(HashMap<u64, (Task, Stats)>);

impl Told {
    /// Reads until it is told of what is wanted.
    async fn until(
        &mut self,
        updates: &mut Streaming<Update>,
        what: &str,
        is_true: impl Fn(&Self) -> bool,
    ) {
        let read = async {
            while !is_true(self) {
                let update = updates.message().await.unwrap().expect("updates go on");
                let mut of_tasks = update.task_update.unwrap();
                for task in of_tasks.new_tasks {
                    let id = task.id.unwrap().id;
                    self.0.insert(id, (task, of_tasks.stats_update.remove(&id).unwrap()));
                }
                for (id, stats) in of_tasks.stats_update {
                    self.0.get_mut(&id).unwrap().1 = stats;
                }
            }
        };
        assert!(timeout(LIMIT, read).await.is_ok(), "never: {what}");
    }

    fn alive(&self) -> usize {
        self.0.values().filter(|(_, stats)| stats.dropped_at.is_none()).count()
    }

    /// The values of a field.
    fn values(&self, name: &str) -> HashSet<String> {
        let fields = self.0.values().flat_map(|(task, _)| &task.fields);
        let named = fields.filter(|field| field.name == Some(Name::StrName(name.to_owned())));
        named.filter_map(|field| field.value.as_ref()).map(Value::to_string).collect()
    }
}

#[tokio::test]
async fn every_program_is_shown_or_the_one_that_the_address_names() {
    let dir = tempdir().unwrap();
    let mut server = Loopd::start(&dir);
    let scripts = [Script::new(1, 50), Script::new(2, 50)];
    let mut agents = Vec::new();
    for script in &scripts {
        let (mut agent, durable) = script.connect(server.addr).await.unwrap();
        script.deliver(&mut agent, durable, 3).await.unwrap();
        agents.push(agent);
    }
    // Of each batch half of the tasks outlive it.
    let alive = TASKS as usize / 2;
    let mut all = Told::default();
    let mut updates = watch(format!("http://{}", server.addr)).await.unwrap();
    all.until(&mut updates, "both programs", |all| all.alive() == 2 * alive).await;
    assert_eq!(all.values("app"), HashSet::from(["app-1".to_owned(), "app-2".to_owned()]));

    let mut one = Told::default();
    let mut updates = watch(format!("http://app-1@{}", server.addr)).await.unwrap();
    one.until(&mut updates, "its tasks", |one| one.alive() == alive).await;
    assert_eq!(one.values("app"), HashSet::new(), "there is nothing to tell apart");
    assert!(one.0.keys().all(|id| all.0.contains_key(id)));
    let (task, stats) = one.0.values().find(|(_, stats)| stats.dropped_at.is_none()).unwrap();
    let polls = stats.poll_stats.unwrap();
    assert!(polls.polls > 0 && polls.busy_time.unwrap().nanos > 0, "{polls:?}");
    assert!(task.location.is_some());

    // An app before the host makes no other host ours.
    let foreign = format!("http://app-1@evil.test:{}", server.addr.port()).parse().unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", server.addr)).unwrap();
    let refused = watch_by(endpoint.origin(foreign)).await;
    assert_eq!(refused.err().map(|status| status.code()), Some(Code::PermissionDenied));

    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "a viewer holds nothing up: {}", server.log());
    // What was on its way when it stopped may come before the end.
    let end = async { while updates.message().await.unwrap().is_some() {} };
    assert!(timeout(LIMIT, end).await.is_ok(), "the stream ends");
}

#[tokio::test]
async fn with_a_token_the_address_has_to_have_it() {
    const TOKEN: &str = "0123456789abcdef";
    let dir = tempdir().unwrap();
    let server = Loopd::start_with(&dir, &["--listen", "127.0.0.1:0"], &[("LOOPD_TOKEN", TOKEN)]);
    for (userinfo, expected) in [
        ("", Some(Code::Unauthenticated)),
        ("orders@", Some(Code::Unauthenticated)),
        ("orders:0123456789abcdeg@", Some(Code::Unauthenticated)),
        // Let in, and told that nobody knows it.
        ("orders:0123456789abcdef@", Some(Code::NotFound)),
        (":0123456789abcdef@", None),
    ] {
        let answer = watch(format!("http://{userinfo}{}", server.addr)).await;
        assert_eq!(answer.err().map(|status| status.code()), expected, "{userinfo}");
    }
}

#[tokio::test]
async fn a_replay_shows_the_past_and_ends_when_told_to() {
    let dir = tempdir().unwrap();
    let script = Script::new(1, 50);
    let server = Loopd::start(&dir);
    let (mut agent, durable) = script.connect(server.addr).await.unwrap();
    script.deliver(&mut agent, durable, 20).await.unwrap();

    // While the server has the file. So slowly that a viewer who comes late sees time go on all the same.
    let mut command =
        loopd(&["replay", "--app", "app-1", "--from", "-3s", "--speed", "0.2x", "--db"]);
    let mut child = command.arg(db(&dir)).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let mut past = Told::default();
    let mut updates = watch(url.to_owned()).await.unwrap();
    past.until(&mut updates, "tasks of the past", |past| past.alive() > 0).await;
    let begin = past.0.len();
    past.until(&mut updates, "time goes on", |past| past.0.len() > begin).await;
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());

    let mut nobody = loopd(&["replay", "--app", "other", "--db"]);
    let output = nobody.arg(db(&dir)).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("there are app-1"), "{error}");
}
