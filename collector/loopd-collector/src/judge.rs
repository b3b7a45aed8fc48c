//! Judges processes as they run: reads the facts of their latest minutes, has the rules look at them, and
//! hands what was found to the keeper. It reads the store as any reader does, and never holds up a commit.

use std::collections::HashMap;
use std::time::Duration;

use loopd_analysis::findings::{Finding, Level, analyse};
use loopd_model::UnixNanos;
use loopd_store::{Head, HeadProcess, ProcessKey, ProcessState, Reader, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::keeper::Command;

/// What is judged: long enough that a leak of a few per minute shows, short enough that what was mended
/// resolves.
const WINDOW: i64 = 600_000_000_000;
/// How often processes with new data are judged: a deadlock is to be known within two seconds.
const EVERY: Duration = Duration::from_secs(1);
/// The judge rests this many times as long as a round took, so that it never takes more than a fifth of a
/// processor: of a store with twenty million fresh polls a round takes a third of a second.
const REST: u32 = 4;
/// What is not found any more is held against a running program for so long: whatever lies at a threshold
/// would open and resolve with every look.
const HOLD: i64 = 5_000_000_000;
/// What is found goes on being told this often, for its figures, even if nothing new is found.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Judges what has changed, again and again, until told to stop.
pub(crate) struct Judge {
    pub(crate) reader: Reader,
    pub(crate) head: watch::Receiver<Head>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) judged: HashMap<ProcessKey, Judged>,
}

/// The last judgement of a process.
pub(crate) struct Judged {
    /// How it stood then.
    newest: HeadProcess,
    /// What was told to the keeper last: rule, subject and level of each finding.
    told: Vec<(&'static str, String, Level)>,
    told_at: Instant,
    /// What is held against it, and up to when of the process it was found.
    held: Vec<(Finding, UnixNanos)>,
}

impl Judge {
    pub(crate) async fn run(mut self) {
        loop {
            let began_at = Instant::now();
            let newest = self.head.borrow_and_update().clone();
            self.judged.retain(|key, _| newest.processes.iter().any(|it| it.process == *key));
            for process in newest.processes.iter() {
                if *self.stop.borrow() || self.commands.is_closed() {
                    return;
                }
                if self.judged.get(&process.process).is_none_or(|it| it.newest != *process) {
                    self.judge(*process).await;
                }
            }
            let rest = EVERY.max(began_at.elapsed() * REST);
            tokio::select! {
                // An error means that the handle is gone, and with it everybody who could stop us.
                _ = self.stop.wait_for(|stop| *stop) => return,
                changed = async {
                    tokio::time::sleep(rest).await;
                    self.head.changed().await
                } => if changed.is_err() { return },
            }
        }
    }

    async fn judge(&mut self, newest: HeadProcess) {
        let findings = match self.find(newest).await {
            Ok(Some(findings)) => findings,
            // It was removed meanwhile.
            Ok(None) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(process = newest.process.0, error, "a process was not judged");
                return;
            }
        };
        let before = self.judged.get(&newest.process).map_or(&[][..], |last| &last.held);
        let held = held(newest, findings, before);
        let findings: Vec<_> = held.iter().map(|(finding, _)| finding.clone()).collect();
        let told: Vec<_> =
            findings.iter().map(|it| (it.rule, it.subject.clone(), it.level)).collect();
        let (is_news, told_at) = match self.judged.get(&newest.process) {
            Some(last) => (
                last.told != told
                    || last.newest.state != newest.state
                    || (!told.is_empty() && last.told_at.elapsed() >= TELL_EVERY),
                last.told_at,
            ),
            None => (true, Instant::now()),
        };
        let told_at = if is_news { Instant::now() } else { told_at };
        self.judged.insert(newest.process, Judged { newest, told, told_at, held });
        if is_news {
            let command = Command::Found { process: newest.process, at: newest.last_at, findings };
            // The keeper is gone only when all is over.
            let _ = self.commands.send(command).await;
        }
    }

    async fn find(&self, newest: HeadProcess) -> Result<Option<Vec<Finding>>, StoreError> {
        let from = UnixNanos(newest.last_at.0.saturating_sub(WINDOW));
        let facts = self.reader.facts(newest.process, Some(from), None).await?;
        Ok(facts.map(|facts| analyse(&facts).findings))
    }
}

/// What is found, and of a running program what was until just now: each with when it was found last.
fn held(
    newest: HeadProcess,
    found: Vec<Finding>,
    before: &[(Finding, UnixNanos)],
) -> Vec<(Finding, UnixNanos)> {
    let mut held: Vec<_> = found.into_iter().map(|it| (it, newest.last_at)).collect();
    if newest.state != ProcessState::Live {
        return held;
    }
    for (finding, at) in before {
        let is_recent = newest.last_at.0.saturating_sub(at.0) < HOLD;
        let is_it = |it: &Finding| it.rule == finding.rule && it.subject == finding.subject;
        if is_recent && !held.iter().any(|(it, _)| is_it(it)) {
            held.push((finding.clone(), *at));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use loopd_analysis::findings::Confidence;

    use super::*;

    #[test]
    fn what_comes_and_goes_within_seconds_stays() {
        let finding = |subject: &str| Finding {
            rule: "deadlock",
            subject: subject.into(),
            level: Level::Error,
            harm: 0,
            score: 0,
            confidence: Confidence::Certain,
            title: String::new(),
            location: None,
            occurrences: 1,
            first_seen_at: UnixNanos(0),
            last_seen_at: UnixNanos(0),
            evidence: Vec::new(),
            why: String::new(),
            fix: String::new(),
            snippet: None,
        };
        let newest = |seconds: i64, state| HeadProcess {
            process: ProcessKey(1),
            last_at: UnixNanos(seconds * 1_000_000_000),
            state,
        };
        let told = |held: &[(Finding, UnixNanos)]| -> Vec<String> {
            held.iter().map(|(it, at)| format!("{} {}", it.subject, at.0 / 1_000_000_000)).collect()
        };
        let live = ProcessState::Live;
        let first = held(newest(10, live), vec![finding("a"), finding("b")], &[]);
        assert_eq!(told(&first), ["a 10", "b 10"]);
        let second = held(newest(12, live), vec![finding("b")], &first);
        assert_eq!(told(&second), ["b 12", "a 10"]);
        assert_eq!(told(&held(newest(14, live), vec![], &second)), ["b 12", "a 10"]);
        assert_eq!(told(&held(newest(15, live), vec![], &second)), ["b 12"]);
        assert_eq!(told(&held(newest(13, live), vec![finding("a")], &second)), ["a 13", "b 12"]);
        // Of one that has ended all is known.
        assert!(held(newest(12, ProcessState::Ended), vec![], &first).is_empty());
    }
}
