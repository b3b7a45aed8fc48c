"""The programs of `tutorials/`, as tutorials of asyncio have them: each runs bare and under loopd, prints the
same both ways, and is stored as it was."""

import json
import sys

import pytest
from recording import TESTS

TUTORIALS = TESTS / "tutorials"
MS = 1_000_000


@pytest.fixture(params=["asyncio", "uvloop"])
def flavor(request):
    return request.param


@pytest.fixture
def tutorial(trace, flavor):
    """Runs a program of `tutorials/` on either kind of loop."""

    def run(name, *args, **more):
        return trace(TUTORIALS / f"{name}.py", *args, flavor=flavor, **more)

    return run


def check_books(recording):
    """Everything that was produced is stored, nothing was dropped on the way."""
    assert recording.query("select * from losses where {here}") == []
    for row in recording.query("select * from ledger where {here}"):
        assert row["produced"] == row["stored"], row


def check_loop(loop, flavor):
    assert loop["flavor"] == flavor
    assert loop["opened_at"] < loop["closed_at"]


def outcomes(tasks):
    return [(t["name"], t["outcome"]) for t in tasks]


def test_a_running_loop_is_stored_with_its_thread_and_its_task(tutorial, flavor):
    seen = tutorial("running_loop")
    assert seen.process["app"] == "running_loop"
    assert seen.process["state"] == "ended"
    (loop,) = seen.query("select * from loops where {here}")
    check_loop(loop, flavor)
    (worker,) = seen.query("select * from workers where {here}")
    # The main thread of a process on Linux has its number.
    assert worker["thread_id"] == seen.process["pid"]
    main = seen.task("main")
    assert (main["kind"], main["outcome"], main["loop"]) == ("async", "completed", loop["loop"])
    assert main["polls"] == 2
    polls = seen.query(f"select * from polls where {{here}} and task = {main['task']}")
    assert len(polls) == 2
    assert sum(p["length"] for p in polls) == main["busy_time"]
    check_books(seen)


def test_a_loop_in_another_thread_is_seen_in_that_thread(tutorial, flavor):
    seen = tutorial("loop_in_thread")
    (loop,) = seen.query("select * from loops where {here}")
    check_loop(loop, flavor)
    (worker,) = seen.query("select * from workers where {here}")
    assert worker["thread_name"] == "answers"
    assert worker["thread_id"] != seen.process["pid"]
    assert outcomes(seen.tasks("answer")) == [("answer", "completed")] * 2
    check_books(seen)


def test_a_loop_made_by_hand_runs_coroutines_to_their_end(tutorial, flavor):
    seen = tutorial("run_until_complete")
    (loop,) = seen.query("select * from loops where {here}")
    check_loop(loop, flavor)
    assert outcomes(seen.tasks("add")) == [("add", "completed")] * 2
    assert seen.task("fail")["outcome"] == "raised"
    check_books(seen)


def test_a_loop_that_stops_and_starts_again_is_one_loop(tutorial, flavor):
    seen = tutorial("run_forever")
    (loop,) = seen.query("select * from loops where {here}")
    check_loop(loop, flavor)
    tick = seen.task("tick")
    assert (tick["kind"], tick["polls"]) == ("callback", 6)
    check_books(seen)


def test_callbacks_are_told_apart_by_their_function(tutorial):
    seen = tutorial("callbacks")
    callbacks = {t["name"]: t for t in seen.tasks() if t["kind"] == "callback"}
    ring, greet, none = callbacks["Desk.ring"], callbacks["greet"], callbacks["main.<locals>.<lambda>"]
    assert (ring["polls"], ring["location"]) == (5, seen.line("ring"))
    assert (greet["polls"], greet["location"]) == (2, seen.line("greet"))
    assert (none["polls"], none["location"]) == (1, seen.line("lambda"))
    # What was taken back never ran.
    assert callbacks.get("never", {"polls": 0})["polls"] == 0
    check_books(seen)


def test_tasks_have_their_name_their_parent_and_the_line_that_made_them(tutorial):
    seen = tutorial("create_task")
    main, branch = seen.task("main"), seen.task("the branch")
    assert (branch["parent"], branch["location"]) == (main["task"], seen.line("spawn branch"))
    leaves = seen.tasks("leaf")
    assert outcomes(leaves) == [("leaf", "completed")] * 3
    for leaf in leaves:
        assert (leaf["parent"], leaf["location"]) == (branch["task"], seen.line("spawn leaf"))
    assert main["children"] == 3 and branch["children"] == 3
    work = seen.task("Worker.work")
    assert (work["location"], work["outcome"]) == (seen.line("spawn work"), "completed")
    broken = seen.task("broken")
    assert (broken["location"], broken["outcome"]) == (seen.line("spawn broken"), "raised")
    # Its exception was asked for.
    assert seen.checks() == []
    check_books(seen)


def test_who_woke_whom_is_known(tutorial):
    seen = tutorial("create_task")
    assert seen.task("main")["last_waker"] == seen.task("the branch")["task"]
    # Tasks that are gathered wake who waits for them by a callback.
    names = {t["task"]: t["name"] for t in seen.tasks()}
    branch = seen.task("the branch")["task"]
    wakes = seen.query(f"select * from wakes where {{here}} and task = {branch} order by woken_at")
    assert names[wakes[-1]["by_task"]] == "gather.<locals>._done_callback"


def test_cancelled_tasks_end_as_they_ended(tutorial):
    seen = tutorial("cancel_all")
    for name in ("one", "two", "three", "clean_up", "never_begun"):
        assert seen.task(name)["outcome"] == "cancelled", name
    assert seen.task("never_begun")["polls"] <= 1
    assert seen.task("stubborn")["outcome"] == "completed"
    assert seen.task("main")["outcome"] == "completed"
    check_books(seen)


def test_jobs_of_executors_are_blocking_tasks(tutorial):
    seen = tutorial("executor")
    jobs = [t for t in seen.tasks() if t["kind"] == "blocking"]
    assert len(seen.tasks("read")) == 4, outcomes(jobs)
    assert seen.task("fail")["outcome"] == "raised"
    assert seen.task("where")["outcome"] == "completed"
    assert seen.task("fail")["location"] == seen.line("fail")
    assert seen.task("where")["location"] == seen.line("where")
    for read in seen.tasks("read"):
        assert read["outcome"] == "completed"
        assert read["busy_time"] >= 20 * MS
        assert read["parent"] == seen.task("main")["task"]
    # They blocked nobody, and are not reported as if they did.
    slow = {row["task"] for row in seen.query("select task from slow where {here}")}
    assert not slow & {job["task"] for job in jobs}
    check_books(seen)


@pytest.mark.parametrize(
    ("how", "function", "marker", "mode"),
    [
        ("sleep", "blocks", "blocks", "plain"),
        ("sleep", "blocks", "blocks", "debug"),
        ("gil", "holds_the_gil", "holds the GIL", "plain"),
        ("spin", "spins", "spins", "plain"),
    ],
)
def test_what_blocks_the_loop_is_named_by_its_line(tutorial, how, function, marker, mode):
    seen = tutorial("slow_callback", how, mode)
    names = {t["task"]: t["name"] for t in seen.tasks()}
    slow = seen.query("select * from slow where {here} order by start_at")
    # On a busy machine others may be slow for once.
    slow = [s for s in slow if names[s["task"]] in ("handler", "callback")]
    assert [names[s["task"]] for s in slow] == ["handler", "callback"]
    assert slow[0]["location"] == seen.line("spawn handler")
    for poll, caller in zip(slow, ("called in the task", "called in the callback")):
        assert poll["length"] >= 100 * MS
        samples = seen.query(
            f"select * from samples where {{here}} and poll_started_at = {poll['start_at']} order by at"
        )
        assert samples, f"no stack was taken in {poll}"
        for sample in samples:
            # While it blocked, not afterwards.
            assert poll["start_at"] < sample["at"] < poll["start_at"] + poll["length"]
        stack = seen.stack(samples[0]["stack"])
        if how == "spin":
            # Any line of the loop may be running.
            assert stack[0].startswith(f"{function} {seen.program}:"), stack
        else:
            assert stack[0] == f"{function} {seen.line(marker)}", stack
        frames = [frame.rpartition(" ")[2] for frame in stack]
        assert seen.line(caller) in frames, stack
    # A slow callback is a slow poll, not a mark, also in debug mode, where asyncio says so itself.
    assert seen.checks() == []
    said = [line for line in seen.stderr.splitlines() if line.startswith("Executing ")]
    for who in ("coro=<handler()", " callback"):
        assert any(who in line for line in said) == (mode == "debug"), seen.stderr
    # The command says so, too.
    sites = [site for site in seen.collector.ask("slow") if site["function"] == function]
    assert sum(site["polls"] for site in sites) == 2, sites
    if how != "spin":
        assert sites[0]["location"].endswith(seen.line(marker).rpartition("/")[2])


@pytest.mark.parametrize(
    ("what", "check", "kind", "marker"),
    [
        ("transport", "unclosed_transport", "transport", "transport"),
        ("listening", "unclosed_server", "server", "server"),
        ("plain_socket", "unclosed_socket", "socket", "socket"),
        ("loop", "unclosed_loop", "event loop", "loop"),
    ],
)
def test_what_is_never_closed_is_a_mark_and_an_unclosed_resource(
    tutorial, flavor, what, check, kind, marker
):
    if flavor == "uvloop" and what == "loop":
        pytest.skip("a loop of uvloop that has run is never freed")
    seen = tutorial("unclosed", what)
    assert len(seen.marks(check)) == 1, seen.checks()
    assert all(mark["level"] in ("warn", "error") for mark in seen.marks(check))
    unclosed = seen.query("select * from resources where {here} and how = 'unclosed'")
    assert (kind, seen.line(marker)) in [(r["kind"], r["location"]) for r in unclosed], unclosed


def test_a_task_destroyed_while_it_waits_is_reported(tutorial):
    seen = tutorial("never", "destroyed")
    lost = seen.task("lost")
    assert (lost["outcome"], lost["location"]) == ("destroyed", seen.line("spawn lost"))
    (mark,) = seen.marks("task_destroyed_pending")
    assert mark["level"] == "error"
    assert "lost" in mark["message"] + json.dumps(mark["fields"])


def test_an_exception_that_nobody_retrieves_is_reported(tutorial):
    seen = tutorial("never", "exception")
    assert seen.task("unasked")["outcome"] == "raised"
    (mark,) = seen.marks("exception_never_retrieved")
    assert mark["level"] == "error"
    assert "nobody asks" in mark["message"] + json.dumps(mark["fields"])


def test_a_future_whose_exception_nobody_retrieves_is_reported(tutorial):
    seen = tutorial("never", "future")
    (mark,) = seen.marks("exception_never_retrieved")
    assert "nobody asks" in mark["message"] + json.dumps(mark["fields"])


def test_a_coroutine_that_nobody_awaits_is_reported(tutorial):
    seen = tutorial("never", "awaited")
    (mark,) = seen.marks("never_awaited")
    assert mark["level"] in ("warn", "error")
    assert "waits" in mark["message"] + json.dumps(mark["fields"])
    assert seen.tasks("waits") == []


def test_an_async_generator_that_begins_after_their_shutdown_is_reported(tutorial):
    seen = tutorial("never", "late_asyncgen")
    assert len(seen.checks()) == 1


def test_an_async_generator_left_in_the_middle_is_reported(tutorial):
    seen = tutorial("never", "asyncgen")
    (mark,) = seen.marks("asyncgen_finalized")
    assert "numbers" in mark["message"] + json.dumps(mark["fields"])


def test_an_exception_in_a_callback_is_reported(tutorial):
    seen = tutorial("never", "callback")
    (mark,) = seen.marks("callback_exception")
    assert mark["level"] == "error"
    assert "in a callback" in mark["message"] + json.dumps(mark["fields"])
    assert seen.task("callback.<locals>.broken")["polls"] == 1


@pytest.mark.parametrize("mode", ["plain", "debug"])
def test_scheduling_from_the_wrong_thread_is_reported(tutorial, mode):
    seen = tutorial("wrong_thread", mode)
    (mark,) = seen.marks("wrong_thread")
    assert mark["level"] in ("warn", "error")
    assert mark["location"] == seen.line("wrong thread")


def waits_of(seen, marker):
    """The waits at a line, with the names of who waits and who holds that up."""
    names = {t["task"]: t["name"] for t in seen.tasks()}
    waits = seen.query(
        f"select * from waits where {{here}} and location = '{seen.line(marker)}' order by began_at"
    )
    for wait in waits:
        holders = seen.query(f"select * from wait_holders where {{here}} and wait = {wait['wait']}")
        wait["who"] = names.get(wait["task"])
        wait["holder_names"] = sorted(names.get(h["task"]) for h in holders)
    return waits


def test_a_wait_for_a_lock_names_who_holds_it(tutorial):
    seen = tutorial("contention", "lock")
    (wait,) = waits_of(seen, "waiter waits")
    assert (wait["who"], wait["holder_names"]) == (
        "lock.<locals>.waiter",
        ["lock.<locals>.holder"],
    )
    assert wait["state"] == "ready" and wait["length"] >= 30 * MS
    resource = wait["resource"]
    (lock,) = seen.query(f"select * from resources where {{here}} and resource = {resource}")
    assert (lock["contended"], lock["acquired"]) == (1, 2)


def test_a_wait_for_a_semaphore_names_all_who_hold_it(tutorial):
    seen = tutorial("contention", "semaphore")
    (wait,) = waits_of(seen, "takes a seat")
    assert (wait["who"], wait["holder_names"]) == ("cem", ["ann", "bob"])
    assert wait["state"] == "ready" and wait["length"] >= 30 * MS


@pytest.mark.parametrize(
    ("what", "marker", "least"),
    [
        ("condition", "waits to be told", 30),
        ("queue", "put waits", 10),
        ("queue", "get waits", 50),
        ("event", "waits for the event", 30),
    ],
)
def test_a_wait_without_a_holder_is_seen(tutorial, what, marker, least):
    seen = tutorial("contention", what)
    waits = waits_of(seen, marker)
    assert waits and max(wait["length"] for wait in waits) >= least * MS
    assert all(wait["state"] == "ready" for wait in waits)


def test_a_wait_that_is_given_up_is_cancelled(tutorial):
    seen = tutorial("contention", "cancelled")
    (wait,) = waits_of(seen, "gives up")
    assert wait["state"] == "cancelled"


def test_loops_in_threads_have_their_own_tasks(tutorial, flavor):
    seen = tutorial("many_loops")
    loops = seen.query("select * from loops where {here} order by opened_at")
    assert len(loops) == 5
    for loop in loops:
        check_loop(loop, flavor)
    workers = seen.query("select * from workers where {here}")
    threads = {w["loop"]: w["thread_name"] for w in workers}
    assert {"loop-0", "loop-1", "loop-2"} < set(threads.values())
    for number in range(3):
        tasks = [t for t in seen.tasks() if (t["name"] or "").startswith(f"{number}.")]
        assert len(tasks) == 4
        (loop,) = {t["loop"] for t in tasks}
        assert threads[loop] == f"loop-{number}"
    check_books(seen)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
@pytest.mark.parametrize("flavor", ["asyncio"])
def test_eager_tasks_are_seen_even_if_they_never_wait(tutorial):
    seen = tutorial("eager", "factory")
    first, second, third = seen.task("at_once"), seen.task("later"), seen.task("fails")
    assert (first["outcome"], first["polls"]) == ("completed", 1)
    assert (second["outcome"], second["polls"]) == ("completed", 2)
    assert (third["outcome"], third["polls"]) == ("raised", 1)
    assert first["location"] == seen.line("spawn at_once")
    assert second["location"] == seen.line("spawn later")
    assert third["location"] == seen.line("spawn fails")
    parent = seen.task("factory")["task"]
    assert {t["parent"] for t in (first, second, third)} == {parent}
    check_books(seen)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_tasks_that_are_made_by_hand_may_be_eager(tutorial):
    seen = tutorial("eager", "by_hand")
    first, second = seen.task("eager"), seen.task("later")
    assert (first["outcome"], first["polls"]) == ("completed", 1)
    assert (second["outcome"], second["polls"]) == ("completed", 2)
    assert first["location"] == seen.line("spawn eager")
    assert second["location"] == seen.line("spawn by hand")
    check_books(seen)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="task groups are of Python 3.11")
def test_timeouts_races_and_groups_cancel_their_tasks(tutorial):
    seen = tutorial("groups")
    for name in ("timed out", "lost the race", "sibling"):
        assert seen.task(name)["outcome"] == "cancelled", name
    assert seen.task("fails")["outcome"] == "raised"
    assert seen.task("quick")["outcome"] == "completed"
    assert seen.checks() == []
    check_books(seen)


def test_signal_handlers_work_and_end_the_program_in_order(tutorial):
    seen = tutorial("signal_stop")
    assert seen.task("works")["outcome"] == "cancelled"
    assert seen.task("main")["outcome"] == "completed"
    check_books(seen)


def test_transports_servers_and_subprocesses_open_and_close(tutorial):
    seen = tutorial("echo")
    assert seen.checks() == []
    assert outcomes(seen.tasks("serve")) == [("serve", "completed")] * 10
    assert outcomes(seen.tasks("client")) == [("client", "completed")] * 10
    resources = seen.query("select * from resources where {here}")
    left = [(r["kind"], r["location"], r["how"]) for r in resources if r["how"] != "closed"]
    assert not [r for r in left if r[2] == "unclosed"], left
    # A server, and both ends of ten connections.
    assert len(resources) >= 21
    assert ("server", seen.line("server")) in {(r["kind"], r["location"]) for r in resources}
    assert {"transport", "subprocess"} < {r["kind"] for r in resources}
    check_books(seen)


def test_a_session_of_aiohttp_that_nobody_closes_is_reported(tutorial):
    seen = tutorial("forgotten_session")
    assert len(seen.marks("unclosed_session")) == 1, seen.checks()


FORKS = ["fork", "in_loop", "process", "exits", "silent", "pool"]


@pytest.mark.parametrize("how", FORKS)
def test_a_forked_child_is_a_process_of_its_own_or_none(tutorial, how):
    seen = tutorial("forks", how)
    collector = seen.collector
    # Most children leave without a goodbye, as forked children do.
    rows = collector.wait_until_ended(2 if how == "exits" else 1)
    parents = [r for r in rows if r["pid"] == seen.process["pid"]]
    children = [r for r in rows if r["pid"] != seen.process["pid"]]
    assert len(parents) == 1
    assert len({r["pid"] for r in rows}) == len(rows) == len({r["id"] for r in rows})
    # The parent goes on as if nothing had happened, and knows nothing of what its children did.
    names = sorted(t["name"] for t in seen.tasks() if t["kind"] == "async" and t["name"])
    times = 1 if how in ("in_loop", "pool") else 2
    for name in ("before", "after", "parent_main"):
        assert names.count(name) == times, names
    assert not {"of the child", "child_main", "child_task"} & set(names), names
    assert all(t["outcome"] == "completed" for t in seen.tasks() if t["kind"] == "async")
    check_books(seen)
    for child in children:
        tasks = collector.query(
            f"select name, kind, outcome from tasks where process = {child['process']}"
        )
        stray = {t["name"] for t in tasks} & {"before", "after", "parent_main", "parent_task"}
        assert not stray, f"the child has tasks of its parent: {stray}"
        of_the_child = [t for t in tasks if t["name"] == "of the child"]
        assert all(t["outcome"] in ("completed", None, "unknown") for t in of_the_child)
    if how == "exits":
        # It says goodbye as any program does, so all of it must be there.
        (child,) = children
        assert child["state"] == "ended"
        assert len([t for t in tasks if t["name"] == "of the child"]) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="only 3.12 and later warn")
def test_a_fork_is_not_warned_of_threads_that_are_loopds(tutorial):
    seen = tutorial("forks", "fork")
    assert "DeprecationWarning" not in seen.stderr
