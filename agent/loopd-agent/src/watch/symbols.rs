//! From addresses to functions, files and lines, and which frames are worth showing.

use std::collections::HashMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopd_model::Frame;

use super::unwind::{Modules, RawStack};
use crate::fork;

/// Stacks remembered with their names, some tens of kilobytes each at most: a program blocks in few
/// places over and over.
const MAX_KNOWN: usize = 64;
/// As the wire format allows.
const MAX_FUNCTION: usize = 512;
const MAX_FILE: usize = 512;
/// Frames of one stack after inlined functions have been told apart.
const MAX_FRAMES: usize = 128;

/// The modules that the library has listed, which takes the dynamic loader's lock once. Its list and
/// what it has read of them are one for the process: held while stacks are named, so that nobody
/// gives them back meanwhile.
static LISTED: Mutex<Option<Modules>> = Mutex::new(None);

fn listed() -> MutexGuard<'static, Option<Modules>> {
    LISTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names stacks. The first one reads the program's debug information, which takes a tenth of a
/// second and some tens of megabytes; later ones take microseconds.
#[derive(Default)]
pub(crate) struct Symbols {
    /// By addresses.
    known: HashMap<Vec<u64>, Arc<[Frame]>>,
    /// The modules loaded then.
    modules: Option<Modules>,
}

impl Symbols {
    /// The frames of a stack, leaf first, without the runtime's own below the task.
    pub(crate) fn frames(&mut self, stack: &RawStack) -> Arc<[Frame]> {
        if self.modules != Some(stack.modules) {
            self.known = HashMap::new();
            self.modules = Some(stack.modules);
        }
        let mut listed = listed();
        if *listed != Some(stack.modules) {
            list(&mut listed, stack.modules);
        }
        if let Some(frames) = self.known.get(&stack.addresses) {
            return frames.clone();
        }
        let frames = stack.addresses.iter().flat_map(|&address| resolve(address));
        let mut frames: Vec<Frame> = frames.collect();
        frames.truncate(task_depth(&frames).unwrap_or(frames.len()));
        frames.truncate(MAX_FRAMES);
        let frames: Arc<[Frame]> = frames.into();
        if self.known.len() >= MAX_KNOWN {
            // What is still wanted is soon known again; what is still on its way must stay.
            self.known.retain(|_, frames| Arc::strong_count(frames) > 1);
        }
        self.known.insert(stack.addresses.clone(), frames.clone());
        frames
    }

    /// Gives the debug information back, also what the program itself has read of it by the same
    /// library: either reads it again when needed.
    pub(crate) fn forget(&mut self) {
        self.known = HashMap::new();
        if listed().take().is_some() {
            backtrace::clear_symbol_cache();
        }
    }
}

/// Runs `name`, which names something by the same library on its own: nobody gives back meanwhile
/// what that has read, and the dynamic loader's lock, which listing takes, is not held at a fork.
/// Afterwards everything is given back, unless somebody who names stacks will do so.
#[cfg(all(tokio_unstable, feature = "taskdump"))]
pub(crate) fn while_listed<T>(name: impl FnOnce() -> T) -> T {
    let mut listed = listed();
    let is_others = listed.is_some();
    let modules = Modules::now();
    if *listed != Some(modules) {
        list(&mut listed, modules);
    }
    let result = name();
    if !is_others {
        backtrace::clear_symbol_cache();
        *listed = None;
    }
    result
}

fn list(listed: &mut Option<Modules>, modules: Modules) {
    if listed.is_some() {
        backtrace::clear_symbol_cache();
    }
    // In no module, so the list is all that is made. Reading debug information, which would keep a
    // fork waiting for longer, takes no such lock.
    fork::without_forks(|| backtrace::resolve(std::ptr::null_mut(), |_| ()));
    *listed = Some(modules);
}

impl Drop for Symbols {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The functions at this address, the innermost inlined one first.
fn resolve(address: u64) -> Vec<Frame> {
    // Debug information that is broken in a way nobody thought of costs the names only.
    let mut frames = catch_unwind(|| symbols(address)).unwrap_or_default();
    if frames.is_empty() {
        frames.push(Frame { address, ..Frame::default() });
    }
    frames
}

fn symbols(address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(address as usize as *mut _, |symbol| {
        let function = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
        let file = symbol.filename().map(|file| file.to_string_lossy().into_owned());
        frames.push(Frame {
            function: cut(function, MAX_FUNCTION),
            file: cut(file.unwrap_or_default(), MAX_FILE),
            line: symbol.lineno().unwrap_or(0),
            address,
        });
    });
    frames
}

fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

/// How many frames belong to the task: those above the runtime's call of its poll. The outermost
/// such call counts, since a task may itself run another runtime.
fn task_depth(frames: &[Frame]) -> Option<usize> {
    // A worker thread is itself a job of the blocking pool; that is not the task.
    let is_pool =
        |frame: &Frame| frame.function.contains("tokio::runtime::blocking::task::BlockingTask");
    let pool = frames.iter().rposition(is_pool).unwrap_or(frames.len());
    let outermost = frames[..pool].iter().rposition(polls_a_task)?;
    let mut depth = outermost;
    // Frames between that call and the task's own code, and the wrapper's.
    while depth > 0 && is_plumbing(&frames[depth - 1]) {
        depth -= 1;
    }
    // A stack of nothing but plumbing is shown nevertheless: it is all there is to see.
    Some(if depth > 0 { depth } else { outermost }).filter(|&depth| depth > 0)
}

fn polls_a_task(frame: &Frame) -> bool {
    let name = frame.function.as_str();
    name.contains("tokio::runtime::task::core::Core<") && name.contains("::poll")
        || name.starts_with("tokio::runtime::task::raw::poll")
        || name.starts_with("<loopd_agent::wrapped::Wrapped<")
}

/// Whether the frame is tokio's, loopd's or the standard library's. Inlined functions may be known
/// by their last name only; then the file tells.
pub(crate) fn is_plumbing(frame: &Frame) -> bool {
    const NAMES: [&str; 6] =
        ["tokio::", "loopd_agent::", "core::", "std::", "alloc::", "__rust_try"];
    let name = frame.function.trim_start_matches('<');
    let own_files = file!().trim_end_matches("watch/symbols.rs");
    let files = ["/tokio-1.", "/rustc/", own_files];
    NAMES.iter().any(|known| name.starts_with(known))
        || files.iter().any(|file| frame.file.contains(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(functions: &[&str]) -> usize {
        let frame = |name: &&str| Frame { function: (*name).into(), ..Frame::default() };
        let frames: Vec<_> = functions.iter().map(frame).collect();
        task_depth(&frames).unwrap_or(frames.len())
    }

    #[test]
    fn the_runtime_below_the_task_is_cut() {
        let stack = [
            "clock_nanosleep",
            "std::thread::sleep",
            "app::blocks",
            "app::main::{{closure}}",
            "<loopd_agent::wrapped::Wrapped<F> as core::future::future::Future>::poll",
            "tokio::runtime::task::core::Core<T,S>::poll::{{closure}}",
            "tokio::loom::std::unsafe_cell::UnsafeCell<T>::with_mut",
            "tokio::runtime::task::core::Core<T,S>::poll",
            "tokio::runtime::task::harness::poll_future::{{closure}}",
            "tokio::runtime::scheduler::multi_thread::worker::run",
            "<tokio::runtime::blocking::task::BlockingTask<T> as Future>::poll",
            "tokio::runtime::task::core::Core<T,S>::poll",
            "start_thread",
        ];
        assert_eq!(shown(&stack), 4);
    }

    #[test]
    fn a_task_that_runs_another_runtime_is_shown_with_it() {
        let stack = [
            "inner::work",
            "tokio::runtime::task::core::Core<T,S>::poll",
            "tokio::runtime::scheduler::current_thread::CoreGuard::block_on",
            "app::outer",
            "tokio::runtime::task::core::Core<T,S>::poll",
        ];
        assert_eq!(shown(&stack), 4);
    }

    #[test]
    fn inlined_plumbing_is_known_by_its_file() {
        let frame = |function: &str, file: &str| Frame {
            function: function.into(),
            file: file.into(),
            ..Frame::default()
        };
        let frames = [
            frame("app::task", "/app/src/main.rs"),
            frame(
                "poll<app::task>",
                &format!("/src/{}", file!().replace("watch/symbols", "wrapped")),
            ),
            frame("tokio::runtime::task::core::Core<T,S>::poll", ""),
        ];
        assert_eq!(task_depth(&frames), Some(1));
    }

    #[test]
    fn a_stack_without_a_task_is_shown_whole() {
        assert_eq!(shown(&["a", "b"]), 2);
        assert_eq!(shown(&["std::x", "tokio::runtime::task::core::Core<T,S>::poll", "x"]), 1);
    }

    #[cfg(all(tokio_unstable, feature = "taskdump"))]
    #[test]
    fn others_name_under_the_lock_and_leave_the_list_as_it_was() {
        let is_held = || while_listed(|| LISTED.try_lock().is_err());
        assert!(is_held());
        // Tests run in processes of their own, so that nothing else lists or gives back.
        let mut symbols = Symbols::default();
        symbols.frames(&RawStack { addresses: vec![1], modules: Modules::now() });
        let before = *listed();
        assert!(is_held());
        assert_eq!(*listed(), before, "still wanted");
        symbols.forget();
        assert!(is_held());
        assert_eq!(*listed(), None);
    }

    #[test]
    fn a_known_function_is_found() {
        let addresses = vec![super::resolve as *const () as u64 + 1];
        let stack = RawStack { addresses, modules: Modules::default() };
        let mut symbols = Symbols::default();
        let frames = symbols.frames(&stack);
        assert!(
            frames.iter().any(|frame| frame.function.contains("symbols::resolve")),
            "{frames:?}"
        );
        assert!(frames.iter().any(|frame| frame.file.ends_with("symbols.rs") && frame.line > 0));
        symbols.forget();
        assert_eq!(symbols.frames(&stack), frames, "and again after it was forgotten");
    }
}
