//! Programs with nothing wrong, though each looks like one of the sick at first sight.

use crate::exhibit::cage;

mod abort_handles;
mod bursty_spawns;
mod busy_lock;
mod busy_semaphore;
mod connection_pool;
mod cooperative;
mod graceful_shutdown;
mod heavy_work_elsewhere;
mod idle_daemon;
mod long_polling;
mod moving_channel;
mod select_loop;
mod shared_receiver;
mod task_cache;
mod timeouts;

// Those that are not in it are dead code, which is a warning.
cage! {
    "healthy":
    abort_handles
    bursty_spawns
    busy_lock
    busy_semaphore
    connection_pool
    cooperative
    graceful_shutdown
    heavy_work_elsewhere
    idle_daemon
    long_polling
    moving_channel
    select_loop
    shared_receiver
    task_cache
    timeouts
}
