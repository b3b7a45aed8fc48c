//! A hand-written future that forgets who to wake: whoever awaits it sleeps for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use loopd_agent::spawn;

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::sick(&["lost_waker"]);

type Slot = Arc<Mutex<Option<u64>>>;

/// The answer, once it is in its slot.
struct Answer(Slot);

impl Future for Answer {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take().map_or(Poll::Pending, Poll::Ready)
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    for question in 0.. {
        let slot = Slot::default();
        let answer = Answer(slot.clone());
        spawn(async move { answer.await + 1 }); // <- disease
        tokio::time::sleep(Duration::from_millis(900)).await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
    }
    Ok(())
}
