//! tokio-console's protocol, both ways.

#![warn(missing_docs)]

pub mod attach;
pub mod serve;
