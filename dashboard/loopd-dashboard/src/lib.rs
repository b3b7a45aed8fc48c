//! The dashboard and HTTP API of loopd: [`router`] gives every route, over any [`Reader`].
//!
//! What a route shows is a plain value from [`views`], so that the command line can show the very
//! same, from a database or from a server. Listening, and who may ask, is the binary's job.
//!
//! [`Reader`]: loopd_store::Reader
#![warn(missing_docs)]

mod assets;
mod clock;
pub mod csv;
mod dumps;
mod error;
mod headers;
mod lanes;
mod live;
mod mutes;
mod routes;
mod settings;
mod state;
pub mod views;

pub use error::ErrorBody;
pub use live::{HeadProcess, HeadView};
pub use mutes::Mute;
pub use routes::router;
pub use state::{
    AppState, ChangeError, DumpError, MAX_FOLLOWERS, MuteError, ServerInfo, ServerStatus,
};
