//! Follows one program, run after run, until it is told to stop.

use std::time::Duration;

use loopd_model::TaskId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::feed::{Feed, FeedEvent};
use super::recording::{Names, Recording, Step};
use super::run::{Kind, Likeness, Run};
use super::session::Collector;
use super::target::Target;
use super::values;
use console_api::instrument::Update;

/// The histograms of tasks are asked for one by one, with so long between two: four small questions a second
/// at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is left of a run that is over is still sent for so long.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// Of so many such runs at a time; of a program that restarts faster while loopd is away, more are given up.
const MAX_DRAINING: usize = 4;
/// How long the last words may take.
const GOODBYE_TIME: Duration = Duration::from_secs(5);

/// Records one program. It is for [`Self::run`].
#[derive(Debug)]
#[must_use = "run it"]
pub struct Bridge {
    target: Target,
    names: Names,
    recording: Option<Recording>,
    /// Whether the next update is the first of a connection.
    is_first: bool,
    /// Whether nothing has shown yet that the program is the one of the connection before.
    is_unclear: bool,
    is_paused: bool,
    /// The task whose histograms were asked for, and its span.
    asked: Option<(TaskId, u64)>,
    look_at: Instant,
    /// Whether a reason for having no connection was told.
    has_complained: bool,
    draining: JoinSet<()>,
}

/// Everything that makes it do something.
enum Wakeup {
    Feed(FeedEvent),
    Recording(Step),
    LookDue,
    Stop,
}

impl Bridge {
    /// Records what listens at `target` under the name `app`; that of its address if there is none.
    pub fn new(target: Target, app: Option<String>, collector: Collector) -> Self {
        let app = app.filter(|app| !app.is_empty()).unwrap_or_else(|| target.app());
        Self {
            names: Names { app, target: target.to_string(), collector },
            target,
            recording: None,
            is_first: true,
            is_unclear: false,
            is_paused: false,
            asked: None,
            look_at: Instant::now(),
            has_complained: false,
            draining: JoinSet::new(),
        }
    }

    /// Connects, and connects again, until `stop`. Then tells loopd that this is the end of the recording.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut feed = Feed::start(self.target.clone());
        loop {
            let wakeup = tokio::select! {
                biased;
                () = &mut stop => Wakeup::Stop,
                event = feed.next() => Wakeup::Feed(event),
                step = step(&mut self.recording) => Wakeup::Recording(step),
                () = sleep_until(self.look_at), if self.can_look() => Wakeup::LookDue,
            };
            match wakeup {
                Wakeup::Feed(event) => self.hear(event),
                Wakeup::Recording(Step::Done) => {}
                Wakeup::Recording(Step::StoreChanged) => {
                    tracing::warn!(
                        target = self.names.target,
                        "loopd has another store, all is told anew as another run"
                    );
                    // The first update of another connection has everything.
                    (self.recording, self.is_first, self.is_unclear) = (None, true, false);
                    self.asked = None;
                    feed = Feed::start(self.target.clone());
                }
                Wakeup::LookDue => self.look(&feed),
                Wakeup::Stop => break,
            }
        }
        drop(feed);
        let deadline = Instant::now() + GOODBYE_TIME;
        if let Some(recording) = self.recording.take() {
            recording.finish("the recording was ended, not the program", deadline).await;
        }
    }

    fn hear(&mut self, event: FeedEvent) {
        let target = &self.names.target;
        match event {
            FeedEvent::Connected => {
                tracing::info!(target, app = self.names.app, "attached");
                (self.is_first, self.is_paused, self.has_complained) = (true, false, false);
            }
            FeedEvent::Update(update, arrived) => self.update(*update, arrived),
            FeedEvent::Paused(is_paused) => {
                let was_paused = std::mem::replace(&mut self.is_paused, is_paused);
                if is_paused && !was_paused {
                    tracing::warn!(target, "another viewer has paused the program's reports");
                }
                if let Some(recording) = self.recording.as_mut().filter(|_| !self.is_first) {
                    recording.run.paused(is_paused, values::now());
                }
            }
            FeedEvent::Details(span, details) => {
                let asked = self.asked.take_if(|(_, asked)| *asked == span);
                if let (Some((task, _)), Some(recording)) = (asked, &mut self.recording) {
                    recording.run.details(task, details.as_deref());
                }
            }
            FeedEvent::Lost(reason) => {
                if !std::mem::replace(&mut self.has_complained, true) {
                    tracing::warn!(target, reason, "the program cannot be reached, trying again");
                }
                if let Some(recording) = &mut self.recording {
                    recording.set_here(false);
                    if let Some((task, _)) = self.asked.take() {
                        recording.run.details(task, None);
                    }
                    recording.run.forget_suspects();
                }
            }
        }
    }

    fn update(&mut self, update: Update, arrived: i64) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let mut kind = match is_first {
            // The first has every callsite there is, even if there is none.
            true if update.new_metadata.is_some() => Kind::Initial,
            true => Kind::Blind,
            false => Kind::Later,
        };
        if kind == Kind::Blind {
            let target = &self.names.target;
            tracing::warn!(
                target,
                "the program has too much to tell at once: what was there before is lost; a shorter \
                 retention in the program makes it less"
            );
        }
        if (is_first || self.is_unclear)
            && let Some(recording) = self.recording.take()
        {
            self.recording = self.continued(recording, &update, kind);
            if self.recording.is_none() && kind == Kind::Later {
                kind = Kind::Blind;
            }
        }
        let recording = self
            .recording
            .get_or_insert_with(|| Recording::new(Run::new(&update, arrived), self.names.clone()));
        recording.run.apply(update, kind, arrived);
        recording.run.paused(self.is_paused, arrived);
    }

    /// The recording, if the program is still the same, or may be; else it is sent to its end, beside the
    /// next one.
    fn continued(
        &mut self,
        mut recording: Recording,
        update: &Update,
        kind: Kind,
    ) -> Option<Recording> {
        let target = &self.names.target;
        let likeness = recording.run.likeness(update, kind == Kind::Initial);
        self.is_unclear = likeness == Likeness::Unclear;
        if likeness != Likeness::Another {
            recording.set_here(true);
            return Some(recording);
        }
        tracing::info!(target, process = %recording.run.id(), "the program was restarted");
        while self.draining.try_join_next().is_some() {}
        if self.draining.len() < MAX_DRAINING {
            let deadline = Instant::now() + DRAIN_TIME;
            self.draining.spawn(async move { recording.drain(deadline).await });
        } else {
            tracing::warn!(target, "what was left of a run is given up, there are too many");
        }
        None
    }

    fn can_look(&self) -> bool {
        self.asked.is_none() && self.recording.as_ref().is_some_and(|it| it.run.has_suspects())
    }

    fn look(&mut self, feed: &Feed) {
        self.look_at = Instant::now() + LOOK_EVERY;
        let Some(recording) = &mut self.recording else { return };
        let Some((task, span)) = recording.run.next_suspect() else { return };
        if feed.ask(span) {
            self.asked = Some((task, span));
        } else {
            recording.run.details(task, None);
        }
    }
}

async fn step(recording: &mut Option<Recording>) -> Step {
    match recording {
        Some(recording) => recording.step().await,
        None => std::future::pending().await,
    }
}
