//! What loopd concludes from events: tiles for the timeline, roll-ups by spawn location, slow sites, leaks,
//! histograms, who awaits whom, what asyncio itself complains of, and what is wrong with all that.
//!
//! Pure: no IO, no clock, no allocation that grows with anything but its input. The store keeps
//! tiles and hands in rows; the dashboard shows what comes out.
#![warn(missing_docs)]

pub mod await_tree;
pub mod capture;
pub mod checks;
pub mod compare;
pub mod findings;
pub mod histogram;
pub mod leaks;
pub mod rollup;
pub mod runtime;
pub mod slow;
pub mod task_life;
pub mod text;
pub mod tiles;
pub mod wait_graph;
