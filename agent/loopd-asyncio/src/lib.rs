//! The native part of the Python package `loopd`: hooks in CPython's and uvloop's event loops, which
//! record into the same recorder as the Rust agent, and export from the same threads, without the
//! interpreter's lock.
//!
//! The hooks take the place of functions that cost more than they do, so that a program is not slower
//! for being recorded. What they need to know of CPython's objects is found at start (`layout`); what
//! is not found is not used, and said to be missing.
#![warn(missing_docs)]
#![expect(
    unsafe_code,
    reason = "takes the place of functions inside CPython, by its C interface; each use says why it is sound"
)]

mod agent;
mod around;
mod asyncio;
mod dump;
mod frames;
mod guard;
mod layout;
mod methods;
mod nearby;
mod peek;
mod places;
mod py;
mod running;
mod side;
mod slots;
mod sockets;
mod stacks;
mod told;
mod transports;
mod uvloop;
mod uvobjects;
mod waits;
mod watch;
mod world;

use pyo3::prelude::*;

/// See the crate.
#[pymodule(gil_used = true)]
fn _loopd(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // A fault of ours is counted, and must not be told on the program's standard error. The hook is
    // this library's own: it has a standard library to itself.
    std::panic::set_hook(Box::new(|_| ()));
    macro_rules! add {
        ($($part:ident::$name:ident),* $(,)?) => {
            $(module.add_function(wrap_pyfunction!($part::$name, module)?)?;)*
        };
    }
    add!(
        agent::after_fork,
        agent::is_recording,
        agent::on_restart,
        agent::pause,
        agent::resume,
        agent::set_coverage,
        agent::set_plumbing,
        agent::start,
        agent::stats,
        agent::stop,
        agent::own_threads,
        around::around,
        dump::dump_ended,
        dump::dump_tasks,
        frames::find_frames,
        methods::find_layout,
        methods::end,
        methods::inject_fault,
        methods::install_slots,
        methods::method,
        methods::set_asyncio,
        methods::set_uvloop,
        methods::set_waits,
        methods::type_changed,
        methods::uninstall_slots,
        peek::find_stacks,
        peek::stack_without_lock,
        sockets::socket_closed,
        sockets::socket_opened,
        told::closed,
        told::count_fault,
        told::job_ended,
        told::job_queued,
        told::job_started,
        told::loop_closed,
        told::loop_closing,
        told::mark,
        told::on_collection,
        told::opened,
        told::task_fields,
        told::task_number,
        transports::find_transports,
        transports::install_transports,
        transports::transport_closes,
        transports::transport_ends,
        transports::uninstall_transports,
        transports::uvloop_closed,
        transports::uvloop_closes,
        waits::given,
        waits::held,
        waits::held_alone,
        waits::never_held,
    );
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
