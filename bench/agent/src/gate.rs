//! Lets tasks work in bursts: they wait at the gate, the main thread opens it and waits until all are
//! back. Made of a `std` mutex and wakers, so that no recorder sees a resource here.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// See the module.
#[derive(Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often it was opened.
    openings: u64,
    /// Tasks that are through and not back.
    working: usize,
    waiting: Vec<Waker>,
    main: Option<Waker>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task waits for the next opening; `seen` is its own count of them.
    pub(crate) async fn pass(&self, seen: &mut u64) {
        let opened = poll_fn(|context| {
            let mut state = self.state();
            if state.openings > *seen {
                return Poll::Ready(state.openings);
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        });
        *seen = opened.await;
    }

    /// A task is back.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.working -= 1;
        if state.working == 0
            && let Some(main) = state.main.take()
        {
            drop(state);
            main.wake();
        }
    }

    /// Opens it for `tasks` tasks and waits until all are back.
    pub(crate) async fn open(&self, tasks: usize) {
        let waiting = {
            let mut state = self.state();
            state.openings += 1;
            state.working = tasks;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
        poll_fn(|context| {
            let mut state = self.state();
            if state.working == 0 {
                return Poll::Ready(());
            }
            state.main = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
