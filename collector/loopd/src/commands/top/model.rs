//! What is on the screen, and what a key or an answer changes in it. Pure: no clock, no terminal, no network.

use jiff::tz::TimeZone;
use loopd_dashboard::views::findings::Finding;
use loopd_model::UnixNanos;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ask::{Answer, Ask, Detail, Of, Page, View};
use super::filter::{Filter, MAX_LENGTH};
use super::lines::ResourceLine;
use super::table::{self, Row, Target};

/// How far `[` and `]` go, and what is counted of the past, unless --last says otherwise: 10 s.
pub(super) const WINDOW: u64 = 10_000_000_000;
/// `{` and `}` go so many times as far.
const FAR: u64 = 10;
/// Rows that Page Up and Page Down go.
const PAGE: usize = 20;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    GoOn,
    /// The shell is to have the terminal until it lets us go on.
    Suspend,
    Quit,
}

/// What the time shown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Now, and on.
    Live,
    /// What is on the screen stays as it is; it is of this instant.
    Paused(UnixNanos),
    /// As it was at this instant.
    Past(UnixNanos),
}

/// One thing in full.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Opened {
    Task { process: i64, task: u64, app: String },
    Resource(Box<ResourceLine>),
    Finding(Box<Of<Finding>>),
}

/// How one view is looked at.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    pub(super) sort: usize,
    /// Whether the smallest come first where the largest would, and the other way round.
    pub(super) is_inverted: bool,
    pub(super) selected: usize,
    /// The row that is selected, to find it again.
    key: Option<String>,
    pub(super) filter: Filter,
}

/// A filter that is being typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt {
    pub(super) text: String,
    /// Why it is not taken.
    pub(super) error: Option<String>,
}

/// Everything on the screen.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) source: String,
    /// Whether that is a file, which may be of any age.
    pub(super) is_file: bool,
    pub(super) zone: TimeZone,
    pub(super) has_color: bool,
    pub(super) app: Option<String>,
    pub(super) view: View,
    pub(super) opened: Option<Opened>,
    pub(super) when: When,
    pub(super) window: u64,
    /// Whether only what happened in the window is counted now, too.
    pub(super) is_windowed: bool,
    pub(super) with_ended: bool,
    pub(super) is_helping: bool,
    pub(super) prompt: Option<Prompt>,
    /// The latest answer, and what was asked.
    pub(super) shown: Option<(Ask, Answer)>,
    /// The answer that was shown when the screen was stopped.
    frozen: Option<(Ask, Answer)>,
    /// Why there is no newer one of a question.
    trouble: Option<(Ask, String)>,
    /// Rows of the answer that the filter lets through, sorted.
    pub(super) rows: Vec<Row>,
    /// How far what is opened, or the help, is scrolled.
    pub(super) scroll: usize,
    looks: [Looks; View::ALL.len()],
    was_g: bool,
}

impl Model {
    pub(super) fn new(source: String, zone: TimeZone, has_color: bool) -> Self {
        let looks = View::ALL.map(|view| Looks {
            sort: table::first_sort(view),
            is_inverted: false,
            selected: 0,
            key: None,
            filter: Filter::default(),
        });
        Self {
            source,
            is_file: false,
            zone,
            has_color,
            app: None,
            view: View::Tasks,
            opened: None,
            when: When::Live,
            window: WINDOW,
            is_windowed: false,
            with_ended: false,
            is_helping: false,
            prompt: None,
            shown: None,
            frozen: None,
            trouble: None,
            rows: Vec::new(),
            scroll: 0,
            looks,
            was_g: false,
        }
    }

    /// How the present view is looked at.
    pub(super) fn looks(&self) -> &Looks {
        &self.looks[self.view as usize]
    }

    fn looks_mut(&mut self) -> &mut Looks {
        &mut self.looks[self.view as usize]
    }

    /// Whether the largest come first.
    pub(super) fn is_descending(&self) -> bool {
        let looks = self.looks();
        table::is_largest_first(self.view, looks.sort) != looks.is_inverted
    }

    /// What to fetch; `None` while the screen is to stay as it is.
    pub(super) fn ask(&self) -> Option<Ask> {
        (!self.is_frozen()).then(|| self.question())
    }

    /// What is looked at.
    fn question(&self) -> Ask {
        let at = match self.when {
            When::Live => None,
            When::Paused(at) | When::Past(at) => Some(at),
        };
        // Elsewhere on a screen that was stopped the same programs are there, as they were.
        let frozen = self.frozen.as_ref().filter(|_| matches!(self.when, When::Paused(_)));
        let among = frozen.map(|(_, answer)| answer.processes.iter().map(|(id, _)| *id).collect());
        Ask {
            view: self.view,
            detail: self.detail(),
            at,
            window: (at.is_some() || self.is_windowed).then_some(self.window),
            app: self.app.clone(),
            among,
            filter: self.looks().filter.terms.clone(),
            with_ended: self.with_ended,
            sort: table::server_sort(self.looks[View::Tasks as usize].sort),
            is_descending: match self.view {
                View::Tasks => self.is_descending(),
                View::Resources => table::is_oldest_first(self.looks().sort, self.is_descending()),
                View::Waits | View::Findings => true,
            },
        }
    }

    fn detail(&self) -> Option<Detail> {
        Some(match self.opened.as_ref()? {
            Opened::Task { process, task, .. } => Detail::Task { process: *process, task: *task },
            Opened::Resource(line) => {
                Detail::Resource { process: line.process, resource: line.resource }
            }
            Opened::Finding(finding) => Detail::Finding {
                process: finding.process,
                rule: finding.it.rule.clone(),
                subject: finding.it.subject.clone(),
            },
        })
    }

    /// Whether what was stopped is what is looked at. The order is no question.
    fn is_frozen(&self) -> bool {
        let frozen = self.frozen.as_ref().filter(|_| matches!(self.when, When::Paused(_)));
        frozen.is_some_and(|(ask, _)| {
            let detail = self.detail();
            let is_same_list = || {
                ask.view == self.view
                    && ask.filter == self.looks().filter.terms
                    && ask.with_ended == self.with_ended
            };
            ask.detail == detail && (detail.is_some() || is_same_list())
        })
    }

    /// Why what is asked has no answer yet, or no newer one.
    pub(super) fn trouble(&self) -> Option<&str> {
        let (ask, trouble) = self.trouble.as_ref()?;
        (self.ask().as_ref() == Some(ask)).then_some(trouble)
    }

    /// Takes an answer, unless something else was asked meanwhile.
    pub(super) fn on_answer(&mut self, ask: Ask, answer: Result<Answer, String>) {
        if self.ask().as_ref() != Some(&ask) {
            return;
        }
        match answer {
            Ok(answer) => {
                self.trouble = None;
                match &answer.page {
                    Page::Resource(Some(line), _) => {
                        self.opened = Some(Opened::Resource(line.clone()));
                    }
                    Page::Finding(Some(finding)) => {
                        self.opened = Some(Opened::Finding(finding.clone()));
                    }
                    _ => {}
                }
                self.shown = Some((ask, answer));
                self.list_again();
            }
            Err(error) => self.trouble = Some((ask, error)),
        }
    }

    /// What is shown of the present question, if only as it was before; `None` until it arrives.
    pub(super) fn page(&self) -> Option<&Page> {
        let (ask, answer) = self.shown.as_ref()?;
        let detail = self.detail();
        let is_wanted = ask.detail == detail && (detail.is_some() || ask.view == self.view);
        is_wanted.then_some(&answer.page)
    }

    /// Filters from the beginning.
    pub(super) fn begin_with(&mut self, filter: Filter) {
        self.looks_mut().filter = filter;
    }

    /// Filters and sorts again, and keeps the selection on its row.
    fn list_again(&mut self) {
        let Some(page) = self.page().filter(|_| self.opened.is_none()) else { return };
        let view = self.view;
        let mut rows = table::rows(page);
        let (looks, is_descending) = (self.looks(), self.is_descending());
        if looks.filter.is_local() {
            rows.retain(|row| looks.filter.lets_through(&table::searched(view, row)));
        }
        rows.sort_by(|one, other| one.compare(other, looks.sort, is_descending));
        let at = looks.key.as_ref().and_then(|key| rows.iter().position(|row| row.key == *key));
        let last = rows.len().saturating_sub(1);
        let at = at.unwrap_or(looks.selected).min(last);
        self.rows = rows;
        self.looks_mut().selected = at;
        self.remember();
    }

    /// Remembers which row is selected.
    fn remember(&mut self) {
        if let Some(row) = self.rows.get(self.looks().selected) {
            self.looks_mut().key = Some(row.key.clone());
        }
    }

    /// Whether several programs are looked at.
    pub(super) const fn is_of_all(&self) -> bool {
        self.app.is_none()
    }

    /// Takes a key.
    pub(super) fn on_key(&mut self, key: KeyEvent) -> Flow {
        let flow = self.take_key(key);
        // What was stopped is there again as soon as it is looked at.
        if self.is_frozen() && self.shown.as_ref().map(|(ask, _)| ask) != self.frozen_ask() {
            self.shown.clone_from(&self.frozen);
            self.list_again();
        }
        flow
    }

    fn frozen_ask(&self) -> Option<&Ask> {
        self.frozen.as_ref().map(|(ask, _)| ask)
    }

    fn take_key(&mut self, key: KeyEvent) -> Flow {
        let is_chord = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Flow::Quit;
            }
            KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Flow::Suspend;
            }
            _ if self.prompt.is_some() => {
                self.on_prompt_key(key);
                return Flow::GoOn;
            }
            KeyCode::Char('d') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Flow::Quit;
            }
            // None of ours.
            _ if is_chord => return Flow::GoOn,
            _ => {}
        }
        let was_g = std::mem::take(&mut self.was_g);
        if self.is_helping {
            match key.code {
                KeyCode::Char('q') => return Flow::Quit,
                KeyCode::Char('?') | KeyCode::Esc => self.leave_help(),
                code => self.scroll_by(code, was_g),
            }
            return Flow::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Char('?') => {
                self.is_helping = true;
                self.scroll = 0;
            }
            KeyCode::Char(' ') => self.pause_or_go_on(),
            KeyCode::Char('[') => self.step(-1, 1),
            KeyCode::Char(']') => self.step(1, 1),
            KeyCode::Char('{') => self.step(-1, FAR),
            KeyCode::Char('}') => self.step(1, FAR),
            KeyCode::Char(c) if View::ALL.iter().any(|view| view.key() == c) => self.switch(c),
            KeyCode::Esc if self.opened.is_some() => self.close(),
            code if self.opened.is_some() => self.scroll_by(code, was_g),
            KeyCode::Char('/') => {
                let text = self.looks().filter.text.clone();
                self.prompt = Some(Prompt { text, error: None });
            }
            KeyCode::Esc => self.filter(Filter::default()),
            KeyCode::Char('a') if self.view == View::Tasks && self.can_list_ended() => {
                self.with_ended = !self.with_ended;
            }
            KeyCode::Enter => self.open(),
            code => self.on_list_key(code, was_g),
        }
        Flow::GoOn
    }

    fn on_list_key(&mut self, code: KeyCode, was_g: bool) {
        let (columns, rows) = (table::columns(self.view).len(), self.rows.len());
        let last = rows.saturating_sub(1);
        let first_column = self.first_column();
        let looks = self.looks_mut();
        match code {
            KeyCode::Left | KeyCode::Char('h') => {
                looks.sort = (looks.sort + columns - 1) % columns;
                // The program is no column where there is one.
                if Some(looks.sort) == first_column {
                    looks.sort = (looks.sort + columns - 1) % columns;
                }
                self.list_again();
            }
            KeyCode::Right | KeyCode::Char('l') => {
                looks.sort = (looks.sort + 1) % columns;
                if Some(looks.sort) == first_column {
                    looks.sort = (looks.sort + 1) % columns;
                }
                self.list_again();
            }
            KeyCode::Char('i') => {
                looks.is_inverted = !looks.is_inverted;
                self.list_again();
            }
            // As in tokio-console, the ends of the list meet.
            KeyCode::Down | KeyCode::Char('j') => {
                looks.selected = if looks.selected >= last { 0 } else { looks.selected + 1 };
            }
            KeyCode::Up | KeyCode::Char('k') => {
                looks.selected = if looks.selected == 0 { last } else { looks.selected - 1 };
            }
            KeyCode::PageDown => looks.selected = (looks.selected + PAGE).min(last),
            KeyCode::PageUp => looks.selected = looks.selected.saturating_sub(PAGE),
            KeyCode::Char('G') | KeyCode::End => looks.selected = last,
            KeyCode::Char('g') if was_g => looks.selected = 0,
            KeyCode::Home => looks.selected = 0,
            KeyCode::Char('g') => self.was_g = true,
            _ => {}
        }
        self.remember();
    }

    /// The column of programs, where only one is shown.
    pub(super) fn first_column(&self) -> Option<usize> {
        let columns = table::columns(self.view);
        columns.iter().position(|column| column.title == "App").filter(|_| !self.is_of_all())
    }

    fn on_prompt_key(&mut self, key: KeyEvent) {
        let Some(prompt) = &mut self.prompt else { return };
        prompt.error = None;
        match key.code {
            KeyCode::Esc => self.prompt = None,
            KeyCode::Backspace => {
                prompt.text.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                prompt.text.clear();
            }
            KeyCode::Char(c)
                if prompt.text.len() < MAX_LENGTH
                    && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) =>
            {
                prompt.text.push(c);
            }
            KeyCode::Enter => match Filter::parse(&prompt.text, self.view) {
                Ok(filter) => {
                    self.prompt = None;
                    self.filter(filter);
                }
                Err(error) => prompt.error = Some(error),
            },
            _ => {}
        }
    }

    fn filter(&mut self, filter: Filter) {
        self.looks_mut().filter = filter;
        self.list_again();
    }

    fn leave_help(&mut self) {
        self.is_helping = false;
        self.scroll = 0;
    }

    /// Scrolls text; where it ends is known when it is drawn.
    fn scroll_by(&mut self, code: KeyCode, was_g: bool) {
        self.scroll = match code {
            KeyCode::Down | KeyCode::Char('j') => self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll.saturating_add(PAGE),
            KeyCode::PageUp => self.scroll.saturating_sub(PAGE),
            KeyCode::Char('G') | KeyCode::End => usize::MAX,
            KeyCode::Char('g') if was_g => 0,
            KeyCode::Home => 0,
            KeyCode::Char('g') => {
                self.was_g = true;
                self.scroll
            }
            _ => self.scroll,
        };
    }

    fn switch(&mut self, key: char) {
        let Some(view) = View::ALL.into_iter().find(|view| view.key() == key) else { return };
        self.view = view;
        self.opened = None;
        self.scroll = 0;
        self.rows.clear();
        self.list_again();
    }

    fn open(&mut self) {
        let row = self.rows.get(self.looks().selected);
        let Some(target) = row.and_then(|row| row.target.clone()) else { return };
        self.scroll = 0;
        self.opened = Some(match target {
            Target::Task { process, task, app } => Opened::Task { process, task, app },
            Target::Resource(line) => Opened::Resource(line),
            Target::Finding(finding) => Opened::Finding(finding),
        });
    }

    fn close(&mut self) {
        self.opened = None;
        self.scroll = 0;
        self.list_again();
    }

    fn pause_or_go_on(&mut self) {
        match (self.when, self.newest()) {
            (When::Live, Some(newest)) => {
                self.when = When::Paused(newest);
                self.frozen.clone_from(&self.shown);
            }
            (When::Live, None) => {}
            (When::Paused(_) | When::Past(_), _) => self.go_live(),
        }
    }

    fn go_live(&mut self) {
        self.when = When::Live;
        self.frozen = None;
    }

    /// Goes to another instant, from now if nothing was stopped: not before anything began, and later than
    /// the newest data is now.
    fn step(&mut self, direction: i64, times: u64) {
        let at = match (self.when, self.newest()) {
            (When::Live, _) if direction > 0 => return,
            (When::Live, None) => return,
            (When::Live, Some(newest)) => newest,
            (When::Paused(at) | When::Past(at), _) => at,
        };
        let length = i64::try_from(self.window.saturating_mul(times)).unwrap_or(i64::MAX);
        let mut to = at.0.saturating_add(direction.saturating_mul(length)).max(0);
        if let Some((first, last)) = self.shown.as_ref().and_then(|(_, answer)| answer.extent) {
            if direction > 0 && to >= last.0 {
                self.go_live();
                return;
            }
            to = to.min(last.0).max(first.0);
        }
        self.when = When::Past(UnixNanos(to));
        self.frozen = None;
    }

    /// Whether tasks that ended can be listed: of the past, and of a window, those that were alive are.
    pub(super) const fn can_list_ended(&self) -> bool {
        !self.is_windowed && matches!(self.when, When::Live)
    }

    /// Up to when there is data of what is looked at.
    pub(super) fn newest(&self) -> Option<UnixNanos> {
        self.shown.as_ref().and_then(|(_, answer)| answer.newest)
    }
}
