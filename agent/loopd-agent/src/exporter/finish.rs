//! The end: what is left is sent within a deadline, as soon as possible, for on a busy machine this thread may
//! not often get its turn until then.
//!
//! So nothing that need not be waited for is: the goodbye follows the last batch and not its acknowledgement, and
//! a process that no collector has welcomed yet, one that was short, sends everything together with its hello.
//! What the system has taken arrives even if the process ends before it hears of it.

use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use loopd_model::DropCause;
use loopd_wire::pb;

use super::session::SessionEvent;
use super::{BUSY_INTERVAL, Exporter, Link, Wakeup};
use crate::status::Flushed;

/// Kept from the deadline for winding up.
const SHUTDOWN_RESERVE: Duration = Duration::from_millis(10);
/// Kept from it for the goodbye, where that has to say what could not be sent: at least so long, and this
/// part of a longer time, in which a busy machine may be late by more.
const GOODBYE_RESERVE: Duration = Duration::from_millis(20);
const GOODBYE_SHARE: u32 = 25;
/// But no longer than this.
const MAX_GOODBYE_RESERVE: Duration = Duration::from_secs(1);
/// Kept from it for sending, when the watchdog is waited for.
const SAMPLE_RESERVE: Duration = Duration::from_millis(200);
/// Connections that come to nothing, and the wait between them.
const FLUSH_ATTEMPTS: u32 = 3;
const FLUSH_RETRY: Duration = Duration::from_millis(20);

/// How far the last words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The program goes on.
    NotYet,
    /// To be said on this connection or the next, once everything is sent.
    Due,
    /// To be said now, whatever could not be sent.
    Overdue,
    /// Said on this connection.
    Said,
}

impl Exporter {
    /// Everything that is left, within the deadline.
    pub(super) async fn finish(mut self, deadline: Instant) -> Flushed {
        let deadline = deadline.checked_sub(SHUTDOWN_RESERVE).unwrap_or(deadline);
        // A stack taken just now may still be on its way; naming its functions takes a while. So may
        // the file descriptors that have survived.
        while (self.setup.status.samples_underway.load(Acquire) > 0 || crate::fds::is_looking())
            && Instant::now() + SAMPLE_RESERVE < deadline
        {
            tokio::time::sleep(BUSY_INTERVAL).await;
        }
        // The stage needs a clock, if only one from a short baseline.
        self.clock.get_or_insert_with(|| self.setup.origin.calibrate());
        self.tell_time();
        self.round();
        self.measure();
        self.stage.end();
        self.seal();
        if let Link::Down(due) = &mut self.link {
            *due = Instant::now();
        }
        self.interval = FLUSH_RETRY;
        let left = deadline.saturating_duration_since(Instant::now());
        let flush_until = deadline.checked_sub(goodbye_time(left)).unwrap_or(deadline);
        self.farewell = Farewell::Due;
        let _ = tokio::time::timeout_at(flush_until.into(), self.flush()).await;
        let _ = tokio::time::timeout_at(deadline.into(), self.part()).await;
        self.publish();
        let unsent = self.window.held().iter().sum();
        Flushed { complete: self.window.is_empty(), unsent }
    }

    /// Sends until everything is acknowledged and the collector has ended the stream, or nobody is there to
    /// send to: a program must not end later for want of a collector.
    async fn flush(&mut self) {
        let mut failures = 0;
        while failures < FLUSH_ATTEMPTS && !(self.window.is_empty() && self.is_down()) {
            self.connect_if_due();
            self.send();
            self.say_goodbye();
            let was_welcomed = matches!(self.link, Link::Up(_));
            let had_said = self.farewell == Farewell::Said;
            let Wakeup::Session(event) = self.wait(None).await else { continue };
            self.hear_at_last(event);
            if let Link::Down(due) = &mut self.link {
                *due = (*due).min(Instant::now() + FLUSH_RETRY);
                self.farewell = Farewell::Due;
                failures += u32::from(!was_welcomed || had_said);
            }
        }
    }

    /// There is no time left to send anything but the goodbye, which says what was not sent. Goes on until the
    /// collector has ended the stream.
    async fn part(&mut self) {
        if self.farewell == Farewell::Due {
            self.farewell = Farewell::Overdue;
        }
        while !self.is_down() {
            self.say_goodbye();
            if let Wakeup::Session(event) = self.wait(None).await {
                self.hear_at_last(event);
            }
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.link, Link::Down(_))
    }

    fn hear_at_last(&mut self, event: SessionEvent) {
        let is_expected = self.farewell == Farewell::Said && self.window.is_empty();
        match event {
            SessionEvent::Ended(_) if is_expected => self.link = Link::Down(Instant::now()),
            event => self.hear(event),
        }
    }

    /// Whether batches may be sent on this connection. Before its welcome an agent does not know what the
    /// collector has; at the end, one that was never welcomed does: nothing.
    pub(super) fn may_send(&self) -> bool {
        match self.link {
            Link::Down(_) => false,
            Link::Greeting(_) => self.farewell != Farewell::NotYet && self.store_epoch.is_none(),
            Link::Up(_) => true,
        }
    }

    /// Whether the goodbye could be said now.
    pub(super) fn owes_goodbye(&self) -> bool {
        match self.farewell {
            Farewell::NotYet | Farewell::Said => false,
            Farewell::Due => self.window.is_sent(),
            Farewell::Overdue => true,
        }
    }

    fn say_goodbye(&mut self) {
        if !self.may_send() || !self.owes_goodbye() {
            return;
        }
        let (Link::Greeting(session) | Link::Up(session)) = &mut self.link else { return };
        let goodbye = || {
            // What was sent and not acknowledged may arrive yet; the rest never will.
            self.stage.give_up(DropCause::ShutdownDeadline, self.window.unsent());
            let ledger = loopd_wire::encode_ledger(self.stage.ledger());
            pb::Goodbye { reason: "shutdown".to_owned(), ledger }
        };
        if session.say_goodbye(goodbye) {
            self.farewell = Farewell::Said;
        }
    }
}

/// How much of the time that is left is kept for the goodbye.
fn goodbye_time(left: Duration) -> Duration {
    (left / GOODBYE_SHARE).clamp(GOODBYE_RESERVE, MAX_GOODBYE_RESERVE).min(left / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_has_a_share_of_the_time_within_bounds() {
        let times = [40, 500, 5_000, 600_000].map(Duration::from_millis);
        let kept = [10, 20, 200, 1_000].map(Duration::from_millis);
        assert_eq!(times.map(goodbye_time), kept);
    }
}
