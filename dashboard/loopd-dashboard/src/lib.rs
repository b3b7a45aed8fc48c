//! The dashboard and HTTP API of loopd: [`router`] gives every route, over any [`Reader`].
//!
//! What a route shows is a plain value from [`views`], so that the command line can show the very
//! same, from a database or from a server. Listening, and who may ask, is the binary's job.
//!
//! [`Reader`]: loopd_store::Reader
#![warn(missing_docs)]

mod api;
mod assets;
mod caching;
mod clock;
mod compress;
pub mod csv;
mod demo;
mod dumps;
mod error;
mod front;
mod headers;
mod lanes;
mod live;
mod mutes;
mod notes;
mod openapi;
mod routes;
mod settings;
mod state;
mod tiles;
pub mod views;

pub use demo::{Demo, DemoRequest, DemoState, DemoView};
pub use error::ErrorBody;
pub use live::{HeadProcess, HeadView, ResetReason, ResetView};
pub use mutes::Mute;
pub use notes::{NewNote, NotePatch};
pub use openapi::openapi;
pub use routes::router;
pub use state::{
    AppState, ChangeError, DumpError, MAX_FOLLOWERS, MuteError, ServerInfo, ServerStatus,
};
