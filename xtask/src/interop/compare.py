"""Reads what `loopd export` wrote with other people's programs, and compares counts with `loopd query`.

    compare.py LOOPD DATABASE FOLDER

FOLDER has trace.pftrace, trace.json, parquet/ and csv/, all of the whole DATABASE. With TRACE_PROCESSOR
set to Perfetto's own program, that reads the trace, too.
"""

import collections
import json
import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as perfetto

loopd, database, folder = sys.argv[1:]


def query(sql):
    """The rows of a query, as loopd itself gives them."""
    command = [loopd, "query", "--json", "--db", database, "--timeout", "60", sql]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [list(json.loads(line).values()) for line in output.splitlines()]


def count(sql):
    return query(f"select count(*) from {sql}")[0][0]


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: found {found!r}, expected {expected!r}")
    print(f"{what}: {found if isinstance(found, int) else 'the same'}")


# Perfetto counts a poll whose end was not seen as a slice, too.
UNFINISHED = "slow where length is null"
POLLS = dict(query("select worker, count(*) from polls group by 1"))
assert sum(POLLS.values()) > 1000, f"the recording is too small: {POLLS}"


def check_parquet():
    for name in sorted(os.listdir(f"{folder}/parquet")):
        table = name.removesuffix(".parquet")
        read = pq.read_table(f"{folder}/parquet/{name}")
        expect(f"pyarrow, rows of {table}", read.num_rows, count(table))
        for column in read.schema:
            if column.name == "at" or column.name.endswith("_at"):
                assert column.type == pa.timestamp("ns", tz="UTC"), column
    sums = query("select sum(length), min(start_at), max(start_at) from polls")[0]
    read = pq.read_table(f"{folder}/parquet/polls.parquet")
    starts = read["start_at"].cast(pa.int64()).to_pylist()
    found = [sum(read["length"].to_pylist()), min(starts), max(starts)]
    expect("pyarrow, lengths and starts of polls", found, [int(value) for value in sums])


def check_duckdb():
    db = duckdb.connect()
    polls = db.sql(f"select worker, count(*) from '{folder}/parquet/polls.parquet' group by 1")
    expect("duckdb, polls by worker", dict(polls.fetchall()), POLLS)
    for name in sorted(os.listdir(f"{folder}/csv")):
        table = name.removesuffix(".csv")
        rows = db.sql(
            f"select count(*) from read_csv('{folder}/csv/{name}', header = true, all_varchar = true)"
        )
        expect(f"duckdb, rows of {name}", rows.fetchall()[0][0], count(table))


def check_perfetto():
    trace = perfetto.Trace()
    with open(f"{folder}/trace.pftrace", "rb") as file:
        trace.ParseFromString(file.read())
    threads, processes = {}, set()
    names, categories = {}, {}
    begun, open_now = collections.Counter(), collections.Counter()
    stacks, begins, ends = 0, set(), set()
    event_type = perfetto.TrackEvent.Type
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            if track.HasField("thread"):
                threads[track.uuid] = track.thread.thread_name
            if track.HasField("process"):
                processes.add(track.uuid)
        if packet.sequence_flags & 1:
            names, categories = {}, {}
        for name in packet.interned_data.event_names:
            names[name.iid] = name.name
        for category in packet.interned_data.event_categories:
            categories[category.iid] = category.name
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        kinds = [categories[iid] for iid in event.category_iids]
        if event.type == event_type.TYPE_SLICE_BEGIN:
            open_now[event.track_uuid] += 1
            begun[(kinds[0], event.track_uuid in threads)] += 1
            assert names[event.name_iid]
        elif event.type == event_type.TYPE_SLICE_END:
            open_now[event.track_uuid] -= 1
        stacks += event.HasField("callstack")
        begins.update(event.flow_ids)
        ends.update(event.terminating_flow_ids)
    assert all(n == 0 for n in open_now.values()), "a slice does not end"
    expect("perfetto, processes", len(processes), count("processes"))
    polls = begun[("poll", True)] + begun[("poll", False)]
    expect("perfetto, polls", polls, sum(POLLS.values()) + count(UNFINISHED))
    parks = begun[("park", True)] + begun[("park", False)]
    expect("perfetto, parks", parks, count("parks"))
    expect("perfetto, waits", begun[("wait", False)], count("waits"))
    expect("perfetto, stacks", stacks, count("samples"))
    assert stacks > 0, "no stack was taken"
    assert begun[("poll", True)] > 0, "no worker is a thread"
    assert ends <= begins, "a flow ends that did not begin"
    print(f"perfetto, flows from a waker to a poll: {len(ends)} of {len(begins)}, {count('wakes')} wakes")
    return polls


def check_trace_processor(polls):
    program = os.environ.get("TRACE_PROCESSOR")
    if not program:
        print("TRACE_PROCESSOR is not set: Perfetto's own program was not asked")
        return
    from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

    config = TraceProcessorConfig(bin_path=program)
    with TraceProcessor(trace=f"{folder}/trace.pftrace", config=config) as processor:
        rows = processor.query("select count(*) as n from slice where category = 'poll'")
        expect("trace_processor, polls", next(iter(rows)).n, polls)
        bad = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
        problems = [(row.name, row.value) for row in processor.query(bad)]
        expect("trace_processor, problems", problems, [])


def check_chrome():
    with open(f"{folder}/trace.json") as file:
        trace = json.load(file)
    kinds = collections.Counter((e.get("cat"), e["ph"]) for e in trace["traceEvents"])
    expect("chrome, polls", kinds[("poll", "X")], sum(POLLS.values()) + count(UNFINISHED))
    expect("chrome, parks", kinds[("park", "X")], count("parks"))
    expect("chrome, waits", kinds[("wait", "b")], count("waits"))
    start = int(trace["metadata"]["started_at_unix_ns"])
    longest = max(e["dur"] for e in trace["traceEvents"] if e.get("cat") == "poll")
    expected = query("select max(length) from (select length from polls union all select l.last_at - "
                     "s.start_at from slow s join processes l using (process) where s.length is null)")
    expect("chrome, longest poll", round(longest * 1000), int(expected[0][0]))
    assert start > 0


check_parquet()
check_duckdb()
check_trace_processor(check_perfetto())
check_chrome()
