//! Programs with exactly one disease each, written as people write them.

use crate::exhibit::cage;

mod await_without_timeout;
mod blocking_child;
mod blocking_client;
mod blocking_pool;
mod busy_poll;
mod channel_growing;
mod channel_leak;
mod connection_leak;
mod cpu_in_handler;
mod deadlock_channels;
mod deadlock_five;
mod deadlock_rwlock;
mod deadlock_two;
mod fd_leak;
mod fsync_in_handler;
mod large_future;
mod lock_across_await;
mod lock_convoy;
mod loop_saturated;
mod lost_waker;
mod never_returns;
mod panicked;
mod semaphore_leak;
mod serial_awaits;
mod sleep_in_handler;
mod spawn_leak;
mod spawn_storm;
mod starvation;
mod std_lock;
mod std_receive;
mod stuck_consumer;
mod unclosed_resource;

// Those that are not in it are dead code, which is a warning.
cage! {
    "sick":
    await_without_timeout
    blocking_child
    blocking_client
    blocking_pool
    busy_poll
    channel_growing
    channel_leak
    connection_leak
    cpu_in_handler
    deadlock_channels
    deadlock_five
    deadlock_rwlock
    deadlock_two
    fd_leak
    fsync_in_handler
    large_future
    lock_across_await
    lock_convoy
    loop_saturated
    lost_waker
    never_returns
    panicked
    semaphore_leak
    serial_awaits
    sleep_in_handler
    spawn_leak
    spawn_storm
    starvation
    std_lock
    std_receive
    stuck_consumer
    unclosed_resource
}
