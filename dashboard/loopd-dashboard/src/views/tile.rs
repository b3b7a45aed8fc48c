//! The timeline in pieces that always begin and end at the same instants, and their binary form.
//!
//! A tile of zoom `z` is 2^z nanoseconds long and has a number: that of zoom 29 and number 5 is from 5 · 2^29 to
//! 6 · 2^29 nanoseconds after 1970. It has what `timeline` gives for that range at 512 buckets at most, as bytes that a
//! browser uses as they are. [`LAYOUT`] is the whole of the format.

use loopd_model::UnixNanos;
use loopd_store::{ProcessKey, ProcessState, Reader};
use serde::Serialize;

use super::ViewError;
use super::described::{Described, Param};
use super::losses::Loss;
use super::params::Params;
use super::text::{IdText, UnixNanosText};
use super::timeline::{Lane, MAX_EXACT, Parks, Polls, SlowMark, TimelineView};

/// What every tile is sent as.
pub const MEDIA_TYPE: &str = "application/vnd.loopd.tile";

/// The bytes of a tile, for those who write a reader.
pub const LAYOUT: &str = "Little endian. Each part begins at a multiple of 8 bytes; what is between is zero. Lengths and \
offsets are 64-bit floats of whole nanoseconds.\n\n\
| byte | type | what |\n|---|---|---|\n\
| 0 | u8 | version of this layout: 1 |\n\
| 1 | u8 | bit 0: lanes also hold single polls and parks; bit 1: nothing of it can change any more |\n\
| 2 | u8 | zoom |\n\
| 3 | u8 | level of the buckets |\n\
| 4 | u32 | number of lanes |\n\
| 8 | i64 | `t0`: the beginning of the first bucket, in nanoseconds since 1970 |\n\
| 16 | u64 | how long a bucket is |\n\
| 24 | i64 | from when data is stored, as far as that is in the tile |\n\
| 32 | i64 | up to when |\n\
| 40 | u32 | length of the text that follows |\n\
| 44 | u32 | 0 |\n\
| 48 | text | JSON: `lanes` (`loop`, `loop_name`, `worker`, `thread_name`, `started_at`, `stopped_at`), `slow`, `losses` as of `GET /api/v1/timeline`, \
`locations`: a list of an id and its `file:line` |\n\n\
Then, for each lane: the numbers of its buckets, polls and parks as three u32, and one that is 0; of its buckets the \
columns `i` (u32), `b0`, `b1`, `b2`, `b3`, `max`, `n` (f64); of its polls `s` (after `t0`), `d` (f64), `t` (u64) and, as \
the place in `locations` or 4294967295, `l` (u32); of its parks `s` and `d` (f64). The columns mean what they mean in \
`GET /api/v1/timeline`.";

const VERSION: u8 = 1;
const IS_EXACT: u8 = 1;
const IS_SEALED: u8 = 2;
/// A tile has at most so many buckets.
const BUCKETS: u32 = 512;
/// Stands for a place that is not known.
const NOWHERE: u32 = u32::MAX;
/// 33 µs: fewer polls than this would fit in are never looked at alone.
pub const MIN_ZOOM: u8 = 15;
/// 39 hours: a longer tile would have more buckets, since there are none coarser.
pub const MAX_ZOOM: u8 = 47;
/// Beyond this a browser's numbers are no longer exact.
const MAX_EXACT_NUMBER: u64 = 1 << 53;

/// Which tile is wanted.
#[derive(Clone, Debug)]
pub struct TileFilter {
    /// The store that is meant; any if not given.
    pub store: Option<String>,
}

impl Described for TileFilter {
    fn params() -> Vec<Param> {
        use super::described::text;
        vec![text(
            "store",
            "The `epoch` of the store that is meant, as in `/api/v1/status`. If the server shows another store, there \
             is no such tile.",
        )]
    }
}

impl TileFilter {
    /// The parameters that make a filter.
    pub const PARAMS: [&str; 1] = ["store"];

    /// Reads the filter of a request.
    pub fn parse(params: &Params) -> Result<Self, ViewError> {
        Ok(Self { store: params.text("store").map(str::to_owned) })
    }
}

/// A piece of a process's timeline.
#[derive(Debug)]
pub struct Tile {
    /// What happened in it. The data's bounds are those within the tile, so that the past stays as it is.
    pub view: TimelineView,
    /// Its zoom.
    pub zoom: u8,
    /// Whether nothing of it can change any more but by what retention removes: its process has said goodbye.
    pub is_sealed: bool,
}

/// The tile of this zoom and number.
pub async fn tile(
    reader: &Reader,
    filter: &TileFilter,
    process: i64,
    zoom: u8,
    number: i64,
) -> Result<Tile, ViewError> {
    if !(MIN_ZOOM..=MAX_ZOOM).contains(&zoom) {
        let sentence = format!("the zoom must be from {MIN_ZOOM} to {MAX_ZOOM}, not {zoom}");
        return Err(ViewError::Invalid(sentence));
    }
    let bounds =
        number.checked_add(1).map(|next| (i128::from(number) << zoom, i128::from(next) << zoom));
    let bounds = bounds.and_then(|(from, to)| Some((from.try_into().ok()?, to.try_into().ok()?)));
    let Some((from, to)) = bounds.map(|(from, to)| (UnixNanos(from), UnixNanos(to))) else {
        let sentence = format!("there is no tile {number} of zoom {zoom}: time ends before it");
        return Err(ViewError::Invalid(sentence));
    };
    // The finest level that has no more buckets than asked for; one more leaves no doubt about the last.
    let (key, range) = (ProcessKey(process), (from, to));
    let scene = reader.scene(key, range, BUCKETS + 1, MAX_EXACT).await?;
    let store: String = scene.epoch.iter().map(|byte| format!("{byte:02x}")).collect();
    if filter.store.as_ref().is_some_and(|wanted| *wanted != store) {
        return Err(ViewError::OtherStore { store });
    }
    let row = scene.process.as_ref().ok_or(ViewError::NoProcess { process })?;
    let mut view = TimelineView::new(row, &scene);
    // An agent that went away without a goodbye may come back and send what it kept; one that is connected may end a
    // poll that began long ago.
    let is_sealed = row.state == ProcessState::Ended;
    let within = |at: i64| at.clamp(from.0, to.0);
    view.data_from.0 = within(view.data_from.0);
    view.data_to.0 = within(view.data_to.0);
    Ok(Tile { view, zoom, is_sealed })
}

/// The part of a tile that is text.
#[derive(Serialize)]
struct Words<'a> {
    lanes: Vec<LaneName<'a>>,
    slow: &'a [SlowMark],
    losses: &'a [Loss],
    locations: Vec<(IdText, &'a str)>,
}

#[derive(Serialize)]
struct LaneName<'a> {
    #[serde(rename = "loop")]
    loop_id: IdText,
    loop_name: &'a str,
    worker: u32,
    thread_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<UnixNanosText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at: Option<UnixNanosText>,
}

impl<'a> From<&'a Lane> for LaneName<'a> {
    fn from(lane: &'a Lane) -> Self {
        let Lane { loop_id, loop_name, worker, thread_name, started_at, stopped_at, .. } = lane;
        let (loop_id, started_at, stopped_at) = (*loop_id, *started_at, *stopped_at);
        Self { loop_id, loop_name, worker: *worker, thread_name, started_at, stopped_at }
    }
}

impl Tile {
    /// Its bytes, laid out as [`LAYOUT`] says.
    pub fn encode(&self) -> Vec<u8> {
        let view = &self.view;
        let places = view.locations.iter().flatten();
        let words = Words {
            lanes: view.lanes.iter().map(LaneName::from).collect(),
            slow: &view.slow,
            losses: &view.losses,
            locations: places.map(|(id, place)| (*id, place.as_str())).collect(),
        };
        // Plain values: there is nothing in them that could not be JSON.
        let text = serde_json::to_vec(&words).unwrap_or_default();
        let flags =
            if view.exact { IS_EXACT } else { 0 } | if self.is_sealed { IS_SEALED } else { 0 };

        let mut out = Bytes(vec![VERSION, flags, self.zoom, view.level]);
        out.u32s([view.lanes.len() as u32]);
        out.0.extend(view.t0.0.to_le_bytes());
        out.0.extend(view.step.to_le_bytes());
        out.0.extend(view.data_from.0.to_le_bytes());
        out.0.extend(view.data_to.0.to_le_bytes());
        out.u32s([text.len() as u32, 0]);
        out.0.extend(text);
        out.pad();
        for lane in &view.lanes {
            out.lane(lane, &words.locations);
        }
        out.0
    }
}

/// Bytes that grow.
struct Bytes(Vec<u8>);

impl Bytes {
    fn lane(&mut self, lane: &Lane, places: &[(IdText, &str)]) {
        let cells = &lane.cells;
        let none = (Polls::default(), Parks::default());
        let (polls, parks) =
            (lane.polls.as_ref().unwrap_or(&none.0), lane.parks.as_ref().unwrap_or(&none.1));
        self.u32s([cells.i.len() as u32, polls.s.len() as u32, parks.s.len() as u32, 0]);

        self.u32s(cells.i.iter().map(|bucket| u32::try_from(*bucket).unwrap_or(u32::MAX)));
        for column in [&cells.b0, &cells.b1, &cells.b2, &cells.b3, &cells.max, &cells.n] {
            self.lengths(column);
        }

        self.offsets(&polls.s);
        self.lengths(&polls.d);
        self.words(polls.t.iter().map(|task| task.0.to_le_bytes()));
        // In the order of their ids, since they come from a sorted map.
        let place = |id: &IdText| places.binary_search_by_key(id, |(known, _)| *known);
        self.u32s(polls.l.iter().map(|id| place(id).map_or(NOWHERE, |place| place as u32)));

        self.offsets(&parks.s);
        self.lengths(&parks.d);
    }

    fn u32s(&mut self, values: impl IntoIterator<Item = u32>) {
        self.words(values.into_iter().map(u32::to_le_bytes));
        if self.0.len() > HEADER {
            self.pad();
        }
    }

    fn lengths(&mut self, values: &[u64]) {
        let exact = values.iter().map(|value| (*value).min(MAX_EXACT_NUMBER) as f64);
        self.words(exact.map(f64::to_le_bytes));
    }

    fn offsets(&mut self, values: &[i64]) {
        let bound = MAX_EXACT_NUMBER as i64;
        let exact = values.iter().map(|value| (*value).clamp(-bound, bound) as f64);
        self.words(exact.map(f64::to_le_bytes));
    }

    fn words<const N: usize>(&mut self, words: impl Iterator<Item = [u8; N]>) {
        self.0.reserve(words.size_hint().0 * N);
        words.for_each(|word| self.0.extend_from_slice(&word));
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }
}

/// How long what precedes the text is.
const HEADER: usize = 48;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::timeline::Cells;
    use super::*;

    /// A small generator of numbers, the same every time.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            mixed ^ (mixed >> 33)
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound
        }

        fn many<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
            (0..self.below(most + 1)).map(|_| make(self)).collect()
        }
    }

    const NAMES: [&str; 5] =
        ["", "main", "<script>alert(1)</script>", "שלום\u{202e}", "🦀\n\"quoted\""];

    fn lane(numbers: &mut Numbers, worker: u32, exact: bool) -> Lane {
        let length = |numbers: &mut Numbers| {
            let bits = numbers.below(53);
            numbers.next() >> (63 - bits)
        };
        let buckets = numbers.many(40, |numbers| numbers.below(512));
        let column =
            |numbers: &mut Numbers| buckets.iter().map(|_| length(numbers)).collect::<Vec<_>>();
        let cells = Cells {
            i: buckets.clone(),
            b0: column(numbers),
            b1: column(numbers),
            b2: column(numbers),
            b3: column(numbers),
            max: column(numbers),
            n: column(numbers),
        };
        let spans = numbers
            .many(30, |numbers| (numbers.below(1 << 40) as i64 - (1 << 20), length(numbers)));
        let polls = Polls {
            s: spans.iter().map(|span| span.0).collect(),
            d: spans.iter().map(|span| span.1).collect(),
            t: spans.iter().map(|_| IdText(numbers.next())).collect(),
            l: spans.iter().map(|_| IdText(numbers.below(4) * 7)).collect(),
        };
        let parks = Parks {
            s: spans.iter().map(|span| span.0 + 1).collect(),
            d: spans.iter().map(|span| span.1).collect(),
        };
        Lane {
            loop_id: IdText(numbers.next()),
            loop_name: NAMES[numbers.below(5) as usize].into(),
            worker,
            thread_name: NAMES[numbers.below(5) as usize].into(),
            started_at: (worker > 0).then(|| UnixNanosText(numbers.below(1 << 60) as i64)),
            stopped_at: (worker > 1).then(|| UnixNanosText(numbers.below(1 << 60) as i64)),
            cells,
            polls: exact.then_some(polls),
            parks: exact.then_some(parks),
        }
    }

    fn any_tile(seed: u64) -> Tile {
        let numbers = &mut Numbers(seed);
        let exact = numbers.below(2) == 1;
        let lanes = numbers.below(4) as u32;
        let view = TimelineView {
            t0: UnixNanosText(1_795_356_000_000_000_000 + numbers.below(1 << 40) as i64),
            t1: UnixNanosText(1_795_356_000_000_000_000 + (1 << 41)),
            step: 1 << (20 + 2 * numbers.below(8)),
            level: numbers.below(8) as u8,
            exact,
            data_from: UnixNanosText(numbers.next() as i64),
            data_to: UnixNanosText(i64::MAX - numbers.below(9) as i64),
            lanes: (0..lanes).map(|worker| lane(numbers, worker, exact)).collect(),
            slow: numbers.many(3, |numbers| SlowMark {
                loop_id: IdText(numbers.next()),
                worker: 1,
                start_at: UnixNanosText(numbers.next() as i64),
                length: numbers.below(1 << 40),
                task: IdText(numbers.next()),
                running: numbers.below(2) == 1,
            }),
            losses: Vec::new(),
            locations: exact.then(|| {
                [7, 14, 21]
                    .map(|id| (IdText(id), format!("a,{id}.rs:{id}")))
                    .into_iter()
                    .collect::<BTreeMap<_, _>>()
            }),
        };
        Tile { view, zoom: 15 + numbers.below(33) as u8, is_sealed: numbers.below(2) == 1 }
    }

    /// Tiles and what is in them, for the tests of the page that reads them.
    const TILES: u64 = 16;

    #[test]
    fn the_page_is_tested_with_bytes_that_are_written_here() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src/timeline/tiles.fixture.json");
        let hex =
            |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let tiles: Vec<_> = (0..TILES).map(any_tile).collect();
        let tiles = tiles.iter().map(|tile| {
            let bytes = tile.encode();
            assert_eq!(bytes.len() % 8, 0);
            serde_json::json!({
                "zoom": tile.zoom, "sealed": tile.is_sealed, "view": tile.view, "hex": hex(bytes),
            })
        });
        let text = tiles.map(|tile| tile.to_string()).collect::<Vec<_>>().join(",\n");
        let text = format!("[{text}]\n");
        if std::env::var("LOOPD_CODEGEN").is_ok_and(|word| word == "write") {
            std::fs::write(&path, &text).unwrap();
        }
        let is_same = std::fs::read_to_string(&path).is_ok_and(|found| found == text);
        let path = path.display();
        assert!(is_same, "{path} is not what is written now; `cargo xtask codegen` renews it");
    }
}
