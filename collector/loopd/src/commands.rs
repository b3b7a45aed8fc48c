//! One module for each command: its flags, and `run`.

pub(crate) mod apps;
pub(crate) mod capture;
pub(crate) mod client;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod leaks;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod resources;
pub(crate) mod serve;
pub(crate) mod slow;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod time_arg;
pub(crate) mod waits;
