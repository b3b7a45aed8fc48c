//! Handles of the last hundred tasks are kept, so that a user can stop them.

use std::collections::VecDeque;
use std::time::Duration;

use loopd_agent::spawn;
use tokio::time::{interval, sleep};

use crate::exhibit::Exhibit;

pub(crate) const EXHIBIT: Exhibit = Exhibit::healthy();

const KEPT: usize = 100;

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut handles = VecDeque::new();
    let mut searches = interval(Duration::from_millis(10));
    for search in 0_u64.. {
        searches.tick().await;
        handles.push_back(spawn(look_for(search)).abort_handle());
        if handles.len() > KEPT {
            // It may have ended long ago.
            handles.pop_front().inspect(|handle| handle.abort());
        }
    }
    Ok(())
}

async fn look_for(search: u64) {
    sleep(Duration::from_millis(100 + search % 10 * 200)).await;
}
