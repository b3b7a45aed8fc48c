//! What sorts of resource there are, by the names that agents give them.

use crate::checks::FIELD;
use crate::findings::{Facts, ResourceUse};

/// Whether only one has it at a time, or several readers: a lock, asynchronous.
pub(super) fn is_lock(kind: &str) -> bool {
    matches!(
        kind,
        "mutex"
            | "rwlock"
            | "rw_lock"
            | "tokio::sync::Mutex"
            | "tokio::sync::RwLock"
            | "asyncio.Lock"
    )
}

/// Whether it hands out permits.
pub(super) fn is_semaphore(kind: &str) -> bool {
    matches!(kind, "semaphore" | "tokio::sync::Semaphore" | "asyncio.Semaphore")
}

/// Whether values are sent through it.
pub(super) fn is_channel(kind: &str) -> bool {
    matches!(kind, "channel" | "mpsc" | "unbounded_mpsc" | "asyncio.Queue")
}

/// Whether it lives on a loop and cannot be closed properly without it.
pub(super) fn is_of_a_loop(kind: &str) -> bool {
    matches!(
        kind,
        "transport"
            | "datagram transport"
            | "read pipe"
            | "write pipe"
            | "server"
            | "subprocess"
            | "tcp"
            | "tcp_listener"
            | "udp"
            | "unix"
            | "unix_listener"
    )
}

/// Whether the operating system has something open for it.
pub(super) fn is_of_the_system(kind: &str) -> bool {
    is_of_a_loop(kind) || matches!(kind, "file" | "socket" | "pipe" | "child" | "fd")
}

/// A resource in words: by its name, or where it was opened.
pub(super) fn name_of(kind: &str, name: &str, location: Option<&str>) -> String {
    match (name, location) {
        ("", Some(place)) => format!("the {kind} opened at `{place}`"),
        ("", None) => format!("a {kind}"),
        _ => format!("{kind} `{name}`"),
    }
}

/// What a finding about one resource is about: where it was opened, or its name, so that it is known
/// again in the next run.
pub(super) fn subject_of(it: &ResourceUse) -> String {
    match (&it.location, it.name.as_str()) {
        (Some(place), _) => place.clone(),
        (None, "") => it.kind.clone(),
        (None, name) => format!("{} {name}", it.kind),
    }
}

/// What a finding about resources of one kind and place is about: of two kinds one line may open both.
pub(super) fn subject_at(kind: &str, location: Option<&str>) -> String {
    match location {
        Some(place) => format!("{place} {kind}"),
        None => kind.to_owned(),
    }
}

/// The check of asyncio's own that complains of the same where this kind is left open; empty if none.
pub(super) fn complained_of_as(kind: &str) -> &'static str {
    match kind {
        "event loop" => "unclosed_loop",
        "socket" => "unclosed_socket",
        "server" => "unclosed_server",
        "transport" | "datagram transport" | "read pipe" | "write pipe" | "subprocess" => {
            "unclosed_transport"
        }
        _ => "",
    }
}

/// Whether asyncio complained of this as well: then that is told, which names the line.
pub(super) fn is_complained_of(facts: &Facts, kind: &str, location: Option<&str>) -> bool {
    let check = complained_of_as(kind);
    !check.is_empty()
        && facts.complaints.iter().any(|it| {
            let is_of = it.fields.iter().any(|(key, value)| key == FIELD && value == check);
            let is_here = location.is_none() || it.location.is_none();
            is_of && (is_here || it.location.as_deref() == location)
        })
}
