//! What an `EventLoop` keeps in plain words.

#[path = "../../loopd-agent/src/event_loop/call.rs"]
mod call;
#[path = "../../loopd-agent/src/event_loop/stored.rs"]
mod stored;

/// As much of the loop's errors as that needs.
mod error {
    use std::any::Any;

    pub type Result<T, E = Error> = std::result::Result<T, E>;

    #[derive(Debug)]
    pub enum Error {
        Panicked(Box<dyn Any + Send>),
        Raised(String),
    }

    impl Error {
        pub fn new(message: impl Into<String>) -> Self {
            Self::Raised(message.into())
        }

        pub fn text(&self) -> &str {
            match self {
                Self::Panicked(_) => "panicked",
                Self::Raised(message) => message,
            }
        }

        pub fn of_panic(payload: Box<dyn Any + Send>) -> Self {
            Self::Panicked(payload)
        }
    }
}
