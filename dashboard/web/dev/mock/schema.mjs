// The part of the SQL schema that the Query page shows.

const column = (name, type, about) => ({ name, type, about });

export const schema = {
  views: [
    { name: "processes", about: "one row per watched process", columns: [column("process", "INTEGER", "row id, used by every other view"), column("app", "TEXT", "name given by the app"), column("started_at", "INTEGER", "unix ns")] },
    { name: "tasks", about: "one row per task, with its statistics", columns: [column("process", "INTEGER", ""), column("task", "INTEGER", "tokio's task id"), column("name", "TEXT", "as given to task::Builder"), column("location", "TEXT", "where it was spawned"), column("spawned_at", "INTEGER", "unix ns"), column("ended_at", "INTEGER", "unix ns, NULL while alive"), column("polls", "INTEGER", ""), column("busy_time", "INTEGER", "ns inside polls"), column("max_poll_time", "INTEGER", "ns")] },
    { name: "polls", about: "every poll (virtual table: give a process and a range)", columns: [column("process", "INTEGER", ""), column("loop", "INTEGER", ""), column("worker", "INTEGER", ""), column("start_at", "INTEGER", "unix ns"), column("length", "INTEGER", "ns"), column("task", "INTEGER", ""), column("location", "TEXT", "")] },
    { name: "slow", about: "polls at or over the process's threshold", columns: [column("start_at", "INTEGER", "unix ns"), column("length", "INTEGER", "ns"), column("task", "INTEGER", "")] },
    { name: "wakes", about: "who woke whom, and how long it then waited", columns: [column("woken_at", "INTEGER", "unix ns"), column("delay", "INTEGER", "ns"), column("task", "INTEGER", ""), column("by_task", "INTEGER", "")] },
    { name: "resources", about: "sockets, files, child processes", columns: [column("resource", "INTEGER", ""), column("kind", "TEXT", ""), column("location", "TEXT", ""), column("opened_at", "INTEGER", "unix ns"), column("closed_at", "INTEGER", "unix ns")] },
    { name: "losses", about: "what is missing, and why", columns: [column("kind", "TEXT", ""), column("cause", "TEXT", ""), column("count", "INTEGER", "")] },
  ],
  functions: [{ name: "wall_time(ns)", about: "RFC 3339 text, UTC" }, { name: "duration(ns)", about: "'1.25 ms'" }, { name: "percentile(x, p)", about: "aggregate, p in 0..100" }],
};
