//! Slow polls by what made them slow, with who waited behind them: what several rules tell of or must
//! not tell again.

use std::collections::HashMap;

use loopd_model::{PAGE_FAULT, TaskKind};

use crate::findings::{Confidence, Facts, Finding, Level, Link, Loop, SlowPoll, Victims};
use crate::slow::{self, By, Doing, Site};
use crate::text::{count_text, duration_text};

/// A second is noticed by whoever waits for an answer.
pub(super) const SEVERE: u64 = 1_000_000_000;
/// Others who were held up for no longer than this, all together, will not have noticed.
const NEGLIGIBLE: u64 = 1_000_000;
/// Of the polls of one place the longest are looked at for who waited behind them. Where it is known of at
/// least so many, and of some it is not, those came off as these did on average.
const ENOUGH: u64 = 20;
/// So many places of which stacks tell are named.
const MAX_TOLD: usize = 3;
/// One poll alone that is shorter than so many thresholds may be anything: a cold cache, a start.
const OUTLIER: u64 = 2;

/// One place that made polls slow.
#[derive(Debug)]
pub(super) struct Blocked<'f> {
    /// The place, and what was found there.
    pub(super) site: Site,
    /// Its polls, longest first; at least one.
    pub(super) polls: Vec<&'f SlowPoll>,
    /// Who waited behind those polls of which that is known.
    pub(super) victims: Victims,
    /// The time over the threshold of those of which it is not known; `None` if it is known of all.
    pub(super) unwitnessed_time: Option<u64>,
    /// How many polls there are behind which somebody may have waited, and the longest of them.
    noticed: (u64, u64),
    /// Of a place where tasks are spawned: the places that stacks of other polls of such tasks tell of, of
    /// which those without a stack are, as a rule.
    pub(super) told_at: Vec<String>,
}

/// The places of all slow polls but those that last: most time first.
pub(super) fn blocked(facts: &Facts) -> Vec<Blocked<'_>> {
    group(facts, |poll| !is_lasting(poll))
}

/// The places of slow polls that lasted at the end of the range, and had for long.
pub(super) fn lasting(facts: &Facts) -> Vec<Blocked<'_>> {
    group(facts, is_lasting)
}

fn is_lasting(poll: &SlowPoll) -> bool {
    !poll.has_ended && poll.poll.length >= SEVERE
}

fn group(facts: &Facts, which: impl Fn(&SlowPoll) -> bool) -> Vec<Blocked<'_>> {
    let polls: Vec<&SlowPoll> = facts.slow_polls.iter().filter(|poll| which(poll)).collect();
    let plain = |poll: &&SlowPoll| {
        let event_loop = facts.loops.iter().find(|it| it.id == poll.lane.loop_id);
        let is_event_loop = event_loop.is_some_and(Loop::is_event_loop);
        slow::SlowPoll { is_event_loop, ..poll.poll.clone() }
    };
    let plain: Vec<slow::SlowPoll> = polls.iter().map(plain).collect();
    let sites = slow::causes(&plain, facts.runtime);
    let told = told_at(&sites, &polls);
    let place = |site: Site| {
        let told_at = match site.by {
            By::Stack => Vec::new(),
            By::SpawnLocation => told.get(&site.location).cloned().unwrap_or_default(),
        };
        Blocked { told_at, ..Blocked::new(facts, site, &polls) }
    };
    sites.into_iter().map(place).collect()
}

/// For each spawn location the places that stacks of its tasks' polls tell of, most time first.
fn told_at(sites: &[Site], polls: &[&SlowPoll]) -> HashMap<String, Vec<String>> {
    let mut told: HashMap<String, Vec<String>> = HashMap::new();
    for site in sites.iter().filter(|site| site.by == By::Stack) {
        for &index in &site.polls {
            let Some(spawned) = &polls[index].poll.spawn_location else { continue };
            let places = told.entry(spawned.clone()).or_default();
            if places.last() != Some(&site.location) {
                places.push(site.location.clone());
            }
        }
    }
    told
}

/// Whether nobody can have waited behind a poll. The root future of a loop of several threads is polled by
/// the thread that called `block_on`, which is none of the workers: a program may well wait there for a
/// key. That of a loop of one thread may take its time before it first waits: nothing else has run yet.
fn is_alone(facts: &Facts, poll: &SlowPoll) -> bool {
    if poll.kind != Some(TaskKind::BlockOn) {
        return false;
    }
    let event_loop = facts.loops.iter().find(|it| it.id == poll.lane.loop_id);
    event_loop.is_some_and(|it| {
        let is_first = it.active.is_some_and(|(first, _)| first == poll.start_at);
        it.flavor.contains("multi_thread") || is_first
    })
}

impl<'f> Blocked<'f> {
    fn new(facts: &Facts, site: Site, all: &[&'f SlowPoll]) -> Self {
        let polls: Vec<&SlowPoll> = site.polls.iter().map(|&index| all[index]).collect();
        let mut victims = Victims::default();
        let mut unwitnessed_time = None;
        let (mut witnessed, mut others) = (0u64, 0u64);
        let mut noticed = (0u64, 0u64);
        for poll in &polls {
            // A wake is told with the poll that it led to: of a poll that lasts, not yet.
            let known = match is_alone(facts, poll) {
                true => Some(Victims::default()),
                false => poll.victims.filter(|_| poll.has_ended),
            };
            if known.is_none_or(|of| of.delay >= NEGLIGIBLE) {
                noticed = (noticed.0 + 1, noticed.1.max(poll.poll.length));
            }
            match known {
                Some(of) => {
                    witnessed += 1;
                    victims.polls = victims.polls.saturating_add(of.polls);
                    victims.delay = victims.delay.saturating_add(of.delay);
                }
                None => {
                    others += u64::from(poll.has_ended);
                    let over = poll.poll.length.saturating_sub(facts.slow_threshold);
                    *unwitnessed_time.get_or_insert(0u64) += over;
                }
            }
        }
        if witnessed >= ENOUGH && others == polls.len() as u64 - witnessed {
            let as_much = |of: u64| of.saturating_add(of / witnessed * others);
            victims = Victims { polls: as_much(victims.polls), delay: as_much(victims.delay) };
            unwitnessed_time = None;
        }
        Self { site, polls, victims, unwitnessed_time, noticed, told_at: Vec::new() }
    }

    /// What the thread did in most of the stacks.
    pub(super) const fn doing(&self) -> Doing {
        self.site.doing
    }

    /// The line to look at.
    pub(super) fn place(&self) -> &str {
        if self.site.location.is_empty() { "an unknown place" } else { &self.site.location }
    }

    /// How long others were held up; where nobody knows, for how long they may have been.
    pub(super) fn harm(&self) -> u64 {
        self.victims.delay.saturating_add(self.unwitnessed_time.unwrap_or(0))
    }

    /// `12 times, for up to 200 ms`.
    pub(super) fn how_often(&self) -> String {
        match self.polls.len() as u64 {
            1 => format!("once, for {}", duration_text(self.site.max)),
            n => format!("{} times, for up to {}", count_text(n), duration_text(self.site.max)),
        }
    }

    fn level(&self, facts: &Facts) -> Level {
        let is_witnessed = self.unwitnessed_time.is_none();
        let (noticed, longest) = self.noticed;
        let is_outlier = noticed <= 1 && longest < facts.slow_threshold.saturating_mul(OUTLIER);
        match () {
            () if is_witnessed && self.victims.delay < NEGLIGIBLE => Level::Info,
            // What made these slow is told by itself, with its line.
            () if !self.told_at.is_empty() => Level::Info,
            () if facts.in_ten_minutes(self.harm()) >= SEVERE || longest >= SEVERE => Level::Error,
            () if is_outlier => Level::Info,
            () => Level::Warning,
        }
    }

    /// All there is to tell but the title and what to do.
    pub(super) fn finding(&self, facts: &Facts, rule: &'static str) -> Finding {
        let confidence = match (self.doing(), self.unwitnessed_time) {
            (Doing::Unknown, _) => Confidence::Possible,
            (_, Some(_)) => Confidence::Likely,
            (_, None) => Confidence::Certain,
        };
        let starts = self.polls.iter().map(|poll| poll.start_at);
        let (first, last) = (starts.clone().min(), starts.max());
        let mut finding = Finding::new(rule, self.place(), self.level(facts))
            .at((!self.site.location.is_empty()).then_some(&self.site.location))
            .harm(self.harm())
            .confidence(confidence)
            .seen(self.polls.len() as u64, first.unwrap_or(facts.from), last.unwrap_or(facts.to));
        if let Some(longest) = self.polls.first() {
            let length = duration_text(longest.poll.length);
            let text = format!("the longest poll of them took {length}, by task {}", longest.task);
            finding = finding.proof(text, Some(Link::At(longest.start_at)));
        }
        finding = finding.proof(self.who_waited(), None);
        finding = finding.proof(self.stacks(), Some(Link::Page("slow")));
        match self.inferred() {
            Some(text) => finding.proof(text, None),
            None => finding,
        }
    }

    /// Who waited, as a clause.
    pub(super) fn who_waited(&self) -> String {
        let Victims { polls, delay } = self.victims;
        let known = match polls {
            0 => "nobody waited for it meanwhile".to_owned(),
            1 => format!("one poll came late for it, by {}", duration_text(delay)),
            n => format!(
                "{} polls came late for it, by {} in all",
                count_text(n),
                duration_text(delay),
            ),
        };
        match self.unwitnessed_time {
            None => known,
            Some(_) if polls == 0 => "who waited meanwhile is not recorded".to_owned(),
            Some(_) => format!("{known}, and of some it is not recorded who waited"),
        }
    }

    /// What is only concluded from where tasks were spawned.
    fn inferred(&self) -> Option<String> {
        let places: Vec<_> =
            self.told_at.iter().take(MAX_TOLD).map(|it| format!("`{it}`")).collect();
        match (self.site.inferred, places.is_empty()) {
            (0, true) => None,
            (0, false) => Some(format!(
                "stacks of other polls of such tasks tell of {}, which may be what made these slow",
                places.join(" and ")
            )),
            (1, _) => {
                Some("one more has no stack, and a task spawned where theirs were".to_owned())
            }
            (n, _) => Some(format!(
                "{} more have no stack, and tasks spawned where theirs were",
                count_text(n)
            )),
        }
    }

    fn stacks(&self) -> String {
        let Site { on_cpu, off_cpu, found_so, .. } = self.site;
        let samples = self.polls.iter().flat_map(|poll| &poll.poll.samples);
        let syscall = samples
            .map(|sample| sample.syscall.as_str())
            .find(|name| !name.is_empty() && *name != PAGE_FAULT);
        let found = match (self.doing(), syscall) {
            (Doing::Unknown, _) if found_so == 0 => return "no stack tells what it did".to_owned(),
            (Doing::Unknown, _) => "asleep, in no call that is known".to_owned(),
            (Doing::Computing, _) => format!("computing in `{}`", self.site.leaf),
            (Doing::Memory, _) => "waiting for a page of memory".to_owned(),
            (Doing::Processor, _) => "ready to run, without a processor".to_owned(),
            (Doing::Blocked, Some(syscall)) => format!("blocked in `{syscall}`"),
            (Doing::Blocked, None) => "blocked in the kernel".to_owned(),
        };
        let all = count_text(on_cpu + off_cpu);
        format!("{} of {all} stacks found it {found}", count_text(found_so))
    }

    /// The site's advice as a sentence.
    pub(super) fn advice(&self) -> String {
        let advice = &self.site.advice;
        let mut letters = advice.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        format!("{}{}.", first.unwrap_or_default(), letters.as_str())
    }
}
