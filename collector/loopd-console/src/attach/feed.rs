//! The connection to the program: connects, follows, connects again. It decides nothing.

use std::pin::Pin;
use std::time::Duration;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{
    InstrumentRequest, State, StateRequest, TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::TaskDetails;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::target::{CONNECT_TIME, Target};
use super::values;

/// An update beyond this is not read, and the connection ends; the first of the next one has what is there
/// then. Those of a program with a hundred thousand busy tasks are half as large.
const MAX_UPDATE_BYTES: usize = 32 << 20;
/// Histograms of one task.
const MAX_DETAILS_BYTES: usize = 1 << 20;
/// One answer about one task; it comes with the program's next event, or not at all.
const DETAILS_TIME: Duration = Duration::from_secs(2);
/// Updates that nobody has looked at yet. Behind them the program's own buffer fills, which is bounded.
const MAX_EVENTS: usize = 2;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What comes of the connection.
#[derive(Debug)]
pub(super) enum FeedEvent {
    /// The next update is the first of a connection.
    Connected,
    /// An update, and the wall time here when it was read.
    Update(Box<Update>, i64),
    /// Some viewer has paused the program's reports, or resumed them.
    Paused(bool),
    /// What was asked of one task; nothing if there was no answer.
    Details(u64, Option<Box<TaskDetails>>),
    /// The connection is gone, or could not be made.
    Lost(String),
}

/// A connection that is kept up. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Feed {
    events: mpsc::Receiver<FeedEvent>,
    asks: mpsc::Sender<u64>,
    task: JoinHandle<()>,
}

impl Feed {
    pub(super) fn start(target: Target) -> Self {
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let (asks, asked) = mpsc::channel(1);
        let task = tokio::spawn(keep_up(target, sender, asked));
        Self { events, asks, task }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> FeedEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The task never ends by itself.
            None => std::future::pending().await,
        }
    }

    /// Asks for the histograms of one task; false if one is asked for already.
    pub(super) fn ask(&self, span: u64) -> bool {
        self.asks.try_send(span).is_ok()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nobody listens any more.
struct Closed;

async fn keep_up(target: Target, events: mpsc::Sender<FeedEvent>, mut asked: mpsc::Receiver<u64>) {
    let mut wait = FIRST_WAIT;
    loop {
        let mut has_told = false;
        let Ok(reason) = follow(&target, &events, &mut asked, &mut has_told).await else { return };
        if has_told {
            wait = FIRST_WAIT;
        }
        if events.send(FeedEvent::Lost(reason)).await.is_err() {
            return;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// One connection, to its end. Gives why it ended.
async fn follow(
    target: &Target,
    events: &mpsc::Sender<FeedEvent>,
    asked: &mut mpsc::Receiver<u64>,
    has_told: &mut bool,
) -> Result<String, Closed> {
    let connected = tokio::select! {
        connected = connect(target) => connected,
        () = events.closed() => return Err(Closed),
    };
    let (client, mut updates, mut states) = match connected {
        Ok(connected) => connected,
        Err(reason) => return Ok(reason),
    };
    tell(events, FeedEvent::Connected).await?;
    // What was asked on an earlier connection is of no task that is known on this one.
    while asked.try_recv().is_ok() {}
    // Beside the updates, whose age is measured.
    let mut asking: Option<Pin<Box<Asking>>> = None;
    loop {
        let answered = async {
            match &mut asking {
                Some(asking) => asking.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            update = updates.message() => match update {
                Ok(Some(update)) => {
                    *has_told = true;
                    tell(events, FeedEvent::Update(Box::new(update), values::now())).await?;
                }
                Ok(None) => return Ok("the program ended the stream".to_owned()),
                Err(status) => return Ok(why(&status)),
            },
            is_paused = next_state(&mut states) => {
                tell(events, FeedEvent::Paused(is_paused)).await?;
            }
            (span, details) = answered => {
                asking = None;
                tell(events, FeedEvent::Details(span, details.map(Box::new))).await?;
            }
            Some(span) = asked.recv() => {
                let client = client.clone();
                asking = Some(Box::pin(async move { (span, details(client, span).await) }));
            }
            () = events.closed() => return Err(Closed),
        }
    }
}

async fn tell(events: &mpsc::Sender<FeedEvent>, event: FeedEvent) -> Result<(), Closed> {
    events.send(event).await.map_err(|_| Closed)
}

type Asking = dyn Future<Output = (u64, Option<TaskDetails>)> + Send;
type Connected = (InstrumentClient<Channel>, Streaming<Update>, Option<Streaming<State>>);

async fn connect(target: &Target) -> Result<Connected, String> {
    let channel = target.connect().await.map_err(|error| chain(&error))?;
    let client = InstrumentClient::new(channel);
    let mut watcher = client.clone().max_decoding_message_size(MAX_UPDATE_BYTES);
    let updates = answer(watcher.watch_updates(InstrumentRequest {})).await?;
    // Only since console-subscriber 0.5; nothing rests on it.
    let states = answer(watcher.watch_state(StateRequest {})).await.ok();
    Ok((client.max_decoding_message_size(MAX_DETAILS_BYTES), updates, states))
}

async fn answer<T>(
    answer: impl Future<Output = Result<tonic::Response<Streaming<T>>, Status>>,
) -> Result<Streaming<T>, String> {
    match timeout(CONNECT_TIME, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(why(&status)),
        Err(_) => Err(format!("no answer within {CONNECT_TIME:?}")),
    }
}

/// Whether the program is paused, once that is told. A stream that ends tells nothing more.
async fn next_state(states: &mut Option<Streaming<State>>) -> bool {
    loop {
        let Some(stream) = states else { return std::future::pending().await };
        match stream.message().await {
            Ok(Some(state)) => return state.temporality == Temporality::Paused as i32,
            Ok(None) | Err(_) => *states = None,
        }
    }
}

/// The first of what is told of one task.
async fn details(mut client: InstrumentClient<Channel>, span: u64) -> Option<TaskDetails> {
    let request = TaskDetailsRequest { id: Some(span.into()) };
    let first = async {
        let mut details = client.watch_task_details(request).await.ok()?.into_inner();
        details.message().await.ok()?
    };
    timeout(DETAILS_TIME, first).await.ok()?
}

/// What to make of an answer that is none.
fn why(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => {
            "there is no console-subscriber at this address, but another gRPC server".to_owned()
        }
        Code::OutOfRange | Code::ResourceExhausted => {
            format!(
                "an update is larger than {} MiB and was not read: what ended, or was waited for, since \
                 the one before is lost",
                MAX_UPDATE_BYTES >> 20
            )
        }
        _ => chain(status),
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
