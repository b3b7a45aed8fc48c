//! The busiest workers over time, as a drawing.

use std::fmt::Write as _;

use loopd_dashboard::views::text::duration_text;
use loopd_store::{Timeline, TimelineLane};

use super::markup::{Html, instant};

/// Buckets, each a unit wide in the drawing.
pub(super) const WIDTH: u32 = 960;
/// More workers would make the page long and say little.
const MAX_LANES: usize = 24;
const LANE_HEIGHT: f64 = 30.0;
const GAP: f64 = 18.0;

/// Draws it.
pub(super) fn draw(html: &mut Html, timeline: &Timeline) {
    let busy = |lane: &&TimelineLane| -> u64 {
        lane.cells.iter().fold(0, |sum, (_, cell)| sum.saturating_add(cell.busy_time()))
    };
    let mut lanes: Vec<_> = timeline.lanes.iter().filter(|lane| busy(lane) > 0).collect();
    if lanes.is_empty() {
        html.element("p", "No poll was seen in this range.");
        return;
    }
    lanes.sort_by_key(|lane| std::cmp::Reverse(busy(lane)));
    let hidden = lanes.len().saturating_sub(MAX_LANES);
    lanes.truncate(MAX_LANES);
    lanes.sort_by_key(|lane| lane.lane);

    let span = timeline.to_at.0.saturating_sub(timeline.from_at.0).max(1);
    let buckets = (span.cast_unsigned() / timeline.step.max(1)).max(1);
    let scale = f64::from(WIDTH) / buckets as f64;
    let place =
        |at: i64| at.saturating_sub(timeline.from_at.0) as f64 / span as f64 * f64::from(WIDTH);
    let height = lanes.len() as f64 * (LANE_HEIGHT + GAP);
    let open = format!(
        "<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"How busy the workers were\">\n"
    );
    html.raw(&open);
    for (i, lane) in lanes.iter().enumerate() {
        let top = i as f64 * (LANE_HEIGHT + GAP);
        let name = match lane.thread_name.as_str() {
            "" => format!("{} {}", lane.loop_name, lane.lane.worker.0),
            name => format!("{name} ({} {})", lane.loop_name, lane.lane.worker.0),
        };
        html.raw(&format!("<text x=\"0\" y=\"{}\">", top + GAP - 5.0)).escaped(&name);
        html.raw("</text>\n");
        let lane_top = top + GAP;
        html.raw(&format!(
            "<rect class=\"lane\" x=\"0\" y=\"{lane_top}\" width=\"{WIDTH}\" height=\"{LANE_HEIGHT}\"/>\n"
        ));
        for (class, path) in paths(lane, timeline.step, scale, lane_top).iter().enumerate() {
            if !path.is_empty() {
                html.raw(&format!("<path class=\"b{class}\" d=\"{path}\"/>\n"));
            }
        }
        for slow in timeline.slow.iter().filter(|slow| slow.lane == lane.lane) {
            let (x, width) =
                (place(slow.start_at.0), slow.length as f64 / span as f64 * f64::from(WIDTH));
            html.raw(&format!(
                "<rect class=\"slow\" x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"3\"><title>",
                lane_top - 3.0,
                width.max(1.5),
            ));
            html.escaped(&format!(
                "{} at {}, task {}",
                duration_text(slow.length),
                instant(slow.start_at.0),
                slow.task.0
            ));
            html.raw("</title></rect>\n");
        }
    }
    for loss in &timeline.losses {
        let x = place(loss.from_at.0).clamp(0.0, f64::from(WIDTH));
        let width = (place(loss.to_at.0).min(f64::from(WIDTH)) - x).max(1.5);
        html.raw(&format!(
            "<rect class=\"loss\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{height}\"><title>\
             records were lost here</title></rect>\n"
        ));
    }
    html.raw("</svg></div>\n");
    let mut legend = format!(
        "From {} to {}; a bar is {} wide. From the bottom: polls under 100 µs, under 1 ms, under 10 ms, \
         and longer; red marks are slow polls, grey is where records were lost.",
        instant(timeline.from_at.0),
        instant(timeline.to_at.0),
        duration_text(timeline.step),
    );
    if hidden > 0 {
        let _ = write!(legend, " {hidden} less busy workers are not shown.");
    }
    html.raw("<p class=\"dim\">").escaped(&legend).raw("</p>\n");
}

/// One path for each class of polls, a rectangle for each bucket, stacked from the bottom.
fn paths(lane: &TimelineLane, step: u64, scale: f64, top: f64) -> [String; 4] {
    let mut paths = [const { String::new() }; 4];
    for (bucket, cell) in &lane.cells {
        let x = f64::from(*bucket) * scale;
        let mut bottom = top + LANE_HEIGHT;
        for (path, busy) in paths.iter_mut().zip(cell.busy) {
            let height = (busy as f64 / step.max(1) as f64).min(1.0) * LANE_HEIGHT;
            // What is not zero shall be seen.
            let height = if busy > 0 { height.max(0.5) } else { continue };
            bottom = (bottom - height).max(top);
            let _ = write!(path, "M{x:.1} {bottom:.1}h{scale:.2}v{height:.1}h-{scale:.2}z");
        }
    }
    paths
}
