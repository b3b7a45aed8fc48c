//! What tasks and stacks are called, in caches of bounded size.

use std::collections::HashMap;
use std::rc::Rc;

use loopd_store::{ProcessKey, StoreError, Value};

use crate::Source;
use crate::source::{integer, text};

/// So many are kept; then all are forgotten, which costs a read each and nothing else.
const MAX_TASKS: usize = 1 << 16;
const MAX_STACKS: usize = 1 << 12;

/// One frame of a stack.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Empty without a symbol.
    pub(crate) function: String,
    /// Empty without line tables.
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Frame {
    /// `function (file:line)`, as far as it is known.
    pub(crate) fn text(&self) -> String {
        let function = if self.function.is_empty() { "?" } else { &self.function };
        match self.file.as_str() {
            "" => function.to_owned(),
            file => format!("{function} ({file}:{})", self.line),
        }
    }
}

/// How a task is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskNames {
    /// What the program calls it; may be empty.
    pub(crate) name: String,
    /// Where it was spawned, as pages show it; may be empty.
    pub(crate) location: String,
}

impl TaskNames {
    /// What its polls are called.
    pub(crate) fn of_polls(&self) -> &str {
        match (self.location.as_str(), self.name.as_str()) {
            ("", "") => "task",
            ("", name) => name,
            (location, _) => location,
        }
    }
}

/// The tasks and stacks of one process.
#[derive(Debug)]
pub(crate) struct Names {
    process: ProcessKey,
    tasks: HashMap<i64, Rc<TaskNames>>,
    stacks: HashMap<i64, Rc<[Frame]>>,
}

impl Names {
    pub(crate) fn new(process: ProcessKey) -> Self {
        Self { process, tasks: HashMap::new(), stacks: HashMap::new() }
    }

    /// How a task is shown.
    pub(crate) fn task(&mut self, source: &Source, task: i64) -> Result<Rc<TaskNames>, StoreError> {
        if let Some(names) = self.tasks.get(&task) {
            return Ok(Rc::clone(names));
        }
        let mut names = TaskNames::default();
        let sql = "SELECT name, short_path(location) FROM tasks WHERE process = ?1 AND task = ?2";
        source.rows(sql, &self.key(task), |row| {
            names.name.push_str(text(&row[0]));
            names.location.push_str(text(&row[1]));
            Ok::<_, StoreError>(())
        })?;
        if self.tasks.len() >= MAX_TASKS {
            self.tasks.clear();
        }
        let names = Rc::new(names);
        self.tasks.insert(task, Rc::clone(&names));
        Ok(names)
    }

    /// The frames of a stack, leaf first.
    pub(crate) fn stack(&mut self, source: &Source, stack: i64) -> Result<Rc<[Frame]>, StoreError> {
        if let Some(frames) = self.stacks.get(&stack) {
            return Ok(Rc::clone(frames));
        }
        let mut frames = Vec::new();
        let sql = "SELECT function, short_path(file), line FROM frames
            WHERE process = ?1 AND stack = ?2 ORDER BY depth";
        source.rows(sql, &self.key(stack), |row| {
            frames.push(Frame {
                function: text(&row[0]).to_owned(),
                file: text(&row[1]).to_owned(),
                line: u32::try_from(integer(&row[2])).unwrap_or(0),
            });
            Ok::<_, StoreError>(())
        })?;
        if self.stacks.len() >= MAX_STACKS {
            self.stacks.clear();
        }
        let frames: Rc<[Frame]> = frames.into();
        self.stacks.insert(stack, Rc::clone(&frames));
        Ok(frames)
    }

    fn key(&self, id: i64) -> [Value; 2] {
        [Value::Integer(self.process.0), Value::Integer(id)]
    }
}
