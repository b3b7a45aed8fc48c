//! What `?` shows.

/// Keys and what they do; those of tokio-console first.
pub(super) const KEYS: [(&str, &str); 23] = [
    ("t", "tasks"),
    ("r", "resources"),
    ("← →  h l", "choose the column to sort by"),
    ("i", "invert the order"),
    ("↑ ↓  k j", "choose a row; scroll what is opened"),
    ("gg  Home", "to the top"),
    ("G  End", "to the bottom"),
    ("PgUp PgDn", "twenty rows up or down"),
    ("Enter", "everything about a task, a resource or a finding"),
    ("Esc", "back; in a list: without the filter"),
    ("Space", "pause; go on"),
    ("q  Ctrl-D", "quit; Ctrl-C does, too, and Ctrl-Z goes back to the shell until fg"),
    ("?", "this help"),
    ("", ""),
    ("w", "waits: who waits for what, and who holds it up"),
    ("f", "findings: what is wrong"),
    ("a", "also tasks that ended"),
    ("/", "filter"),
    ("[  ]", "a step back in time, or forth (--last says how far)"),
    ("{  }", "ten steps"),
    ("", ""),
    ("state:idle busy>5ms", "terms of `loopd tasks --filter`, for tasks; in other views words"),
    ("~^src/(api|db)", "a regular expression: of tasks for name, location and fields"),
];

/// What needs more words than a key.
pub(super) const NOTES: [&str; 4] = [
    "A task that is running is in a poll that is slow already: shorter ones are over before anybody hears of \
     them. A blocking job runs from its start on. In the past, where polls have their ends, it is in any poll.",
    "In the past, and with --last, Polls, Busy, Sched and Idle are those of the time before the instant that \
     the title names, and Warn tells of that time's slow polls alone. Terms of a filter about state and sums \
     are about all that was recorded. What is not known is -, as where polls are counted (`loopd attach`), or \
     no longer kept. Polls and delays that began more than an hour before are not seen.",
    "At most 1,000 rows are fetched. Regular expressions, and words in other views than tasks, look at these. \
     They are the first by Name, Total, Busy, Sched, Polls, Location or ID; of resources by Total, of waits by \
     For, of findings by Level. By other columns they are in order among themselves, as the title says.",
    "Warn counts what is told when a task is opened: it cannot be woken, it failed, more than half of its \
     wakes are its own, it never yields, or polls of it were slow.",
];
