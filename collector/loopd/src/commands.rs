//! One module for each command: its flags, and `run`.

pub(crate) mod apps;
pub(crate) mod awaits;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod compare;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod findings;
pub(crate) mod import;
pub(crate) mod leaks;
pub(crate) mod notes;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod serve;
pub(crate) mod slow;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod time_arg;
pub(crate) mod waits;
