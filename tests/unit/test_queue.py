"""Who starts next: caps of a job, turns of a sequence, slots of the host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from procsched.core.queue import SLACK, Place, Queue


def place(
    run_id: str,
    job: str = "",
    *,
    at_once: int | None = 1,
    sequence: str | None = None,
    priority: int = 0,
    memory: int = 0,
) -> Place:
    return Place(run_id, job or run_id, at_once, sequence, priority, memory)


def queue(slots: int, *places: Place, budget: int | None = None) -> Queue:
    made = Queue(slots, budget)
    for each in places:
        made.put(each)
    return made


def popped(waiting: Queue) -> list[str]:
    found = []
    while (run_id := waiting.pop()) is not None:
        found.append(run_id)
    return found


def test_runs_start_in_the_order_they_came() -> None:
    assert popped(queue(9, *map(place, "abc"))) == ["a", "b", "c"]


def test_no_more_than_the_slots_are_taken() -> None:
    waiting = queue(2, *map(place, "abc"))

    assert popped(waiting) == ["a", "b"]
    waiting.release("a")
    assert popped(waiting) == ["c"]


def test_higher_priority_goes_first_and_equals_keep_their_order() -> None:
    waiting = queue(
        9, place("low", priority=-1), place("a"), place("high", priority=7), place("b")
    )

    assert popped(waiting) == ["high", "a", "b", "low"]


def test_a_job_has_no_more_runs_at_once_than_its_cap() -> None:
    waiting = queue(9, *(place(each, "job", at_once=2) for each in "abc"))

    assert popped(waiting) == ["a", "b"]
    waiting.release("b")
    assert popped(waiting) == ["c"]


def test_without_a_cap_only_the_slots_count() -> None:
    waiting = queue(3, *(place(each, "job", at_once=None) for each in "abcd"))

    assert popped(waiting) == ["a", "b", "c"]


def test_a_sequence_takes_one_at_a_time_in_order_whatever_the_priority() -> None:
    waiting = queue(
        9,
        place("a", sequence="s"),
        place("b", sequence="s"),
        place("c", sequence="s", priority=9),
        place("other"),
    )

    assert popped(waiting) == ["a", "other"]
    waiting.release("a")
    assert popped(waiting) == ["b"]
    waiting.release("b")
    assert popped(waiting) == ["c"]


def test_a_run_dropped_behind_its_jobs_door_leaves_the_order() -> None:
    places = [place(each, "job") for each in "abc"]
    waiting = queue(9, *places)

    assert popped(waiting) == ["a"]
    waiting.drop(places[1])
    waiting.release("a")
    assert popped(waiting) == ["c"]


def test_a_run_dropped_before_its_turn_lets_its_job_go_on() -> None:
    first = place("a", sequence="s")
    second, third = place("b", "job", sequence="s"), place("c", "job", sequence="s")
    waiting = queue(9, first, second, third)

    assert popped(waiting) == ["a"]
    waiting.drop(second)
    waiting.release("a")
    assert popped(waiting) == ["c"]


def test_a_ready_run_that_is_dropped_never_starts_and_holds_no_door() -> None:
    first, second = place("a", "job"), place("b", "job")
    waiting = queue(1, place("x"), first, second)

    assert popped(waiting) == ["x"]
    waiting.drop(first)
    waiting.release("x")
    assert popped(waiting) == ["b"]


def test_a_ready_run_of_a_sequence_that_is_dropped_gives_its_turn_away() -> None:
    first, second = place("a", sequence="s"), place("b", sequence="s")
    waiting = queue(1, place("x"), first, second)

    assert popped(waiting) == ["x"]
    waiting.drop(first)
    waiting.release("x")
    assert popped(waiting) == ["b"]


def test_dropping_a_run_behind_the_door_lets_in_one_of_a_wider_cap() -> None:
    """A job cancelled and scheduled anew may have another cap."""
    narrow = place("b", "job", at_once=1)
    waiting = queue(9, place("a", "job"), narrow, place("c", "job", at_once=2))

    assert popped(waiting) == ["a"]
    waiting.drop(narrow)
    assert popped(waiting) == ["c"]


def test_memory_is_reserved_with_the_slot_and_given_back_with_it() -> None:
    waiting = queue(9, *(place(each, memory=3) for each in "abc"), budget=7)

    assert popped(waiting) == ["a", "b"]
    assert waiting.left_bytes == 1
    waiting.release("a")
    assert popped(waiting) == ["c"]


def test_who_does_not_fit_lets_nobody_past() -> None:
    """Neither a smaller one nor one that reserves nothing, unless it ranks higher."""
    first, large = place("a", memory=3), place("large", memory=3)
    waiting = queue(9, first, large, place("small", memory=1), place("free"), budget=4)

    assert popped(waiting) == ["a"]
    waiting.put(place("urgent", priority=1, memory=1))
    assert popped(waiting) == ["urgent"]
    waiting.release("a")
    assert popped(waiting) == ["large"]
    waiting.release("urgent")
    assert popped(waiting) == ["small", "free"]


def test_dropping_who_does_not_fit_lets_the_next_one_in() -> None:
    large = place("large", memory=3)
    waiting = queue(9, place("a", memory=3), large, place("b", memory=1), budget=4)

    assert popped(waiting) == ["a"]
    waiting.drop(large)
    assert popped(waiting) == ["b"]


def test_newcomers_are_those_who_wait_at_the_hosts_door_and_told_of_once() -> None:
    gone = place("gone")
    waiting = queue(1, *map(place, "ab"), gone, place("a2", "b"))

    assert popped(waiting) == ["a"]
    waiting.drop(gone)
    assert [each.run_id for each in waiting.take_newcomers()] == ["b"]
    assert waiting.take_newcomers() == []


def test_an_idle_queue_remembers_no_job_and_no_sequence() -> None:
    places = [place(f"r{n}", f"j{n % 7}", sequence="s") for n in range(50)]
    waiting = queue(3, *places)
    for each in places[::3]:
        waiting.drop(each)
    while (run_id := waiting.pop()) is not None:
        waiting.release(run_id)

    assert (waiting._jobs, waiting._sequences, waiting._taken) == ({}, {}, {})
    assert (waiting._ready, waiting._gone) == ([], set())
    assert (waiting._newcomers, waiting._reserved) == ({}, 0)


def test_dropped_runs_do_not_pile_up_while_no_slot_is_free() -> None:
    """A job that replaces its waiting run each second, behind a run of a day."""
    waiting = queue(1, place("x"))
    assert waiting.pop() == "x"
    for number in range(10_000):
        run = place(f"r{number}", "job")
        waiting.put(run)
        waiting.drop(run)

    assert len(waiting._ready) <= 2 * SLACK + 1
    assert len(waiting._gone) <= 2 * SLACK + 1


def test_clearing_dropped_runs_away_keeps_the_others_in_order() -> None:
    waiting = queue(1, place("x"))
    assert waiting.pop() == "x"
    kept = [f"keep{number}" for number in range(20)]
    for number in range(200):
        if number % 10 == 0:
            waiting.put(place(kept[number // 10]))
        run = place(f"r{number}")
        waiting.put(run)
        waiting.drop(run)
    waiting.release("x")

    started = []
    while (run_id := waiting.pop()) is not None:
        started.append(run_id)
        waiting.release(run_id)
    assert started == kept


@given(
    slots=st.integers(1, 4),
    acts=st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "pop", "drop", "release"]),
            st.integers(0, 4),
            st.sampled_from([None, 1, 2]),
            st.sampled_from([None, None, "s", "t"]),
            st.integers(0, 4),
        ),
        max_size=60,
    ),
)
def test_whatever_comes_and_goes_each_run_starts_once_and_within_its_caps(
    slots: int, acts: list[tuple[str, int, int | None, str | None, int]]
) -> None:
    waiting, behind, inside = Queue(slots, budget_bytes=5), {}, {}
    for number, (act, pick, at_once, sequence, memory) in enumerate(acts):
        if act == "put":
            # A job's cap is its own.
            run = Place(f"r{number}", f"j{at_once}", at_once, sequence, 0, memory)
            behind[run.run_id] = run
            waiting.put(run)
        elif act == "pop" and (run_id := waiting.pop()) is not None:
            inside[run_id] = behind.pop(run_id)
        elif act == "drop" and behind:
            waiting.drop(behind.pop(sorted(behind)[pick % len(behind)]))
        elif act == "release" and inside:
            run_id = sorted(inside)[pick % len(inside)]
            waiting.release(run_id)
            del inside[run_id]
        assert len(inside) <= slots
        assert sum(run.memory_bytes for run in inside.values()) <= 5
        jobs = [run.job for run in inside.values()]
        assert all(jobs.count(f"j{cap}") <= cap for cap in (1, 2))
        turns = [run.sequence for run in inside.values() if run.sequence]
        assert len(set(turns)) == len(turns)
    while behind or inside:
        for run_id in inside:
            waiting.release(run_id)
        inside.clear()
        while (started := waiting.pop()) is not None:
            inside[started] = behind.pop(started)
        assert inside or not behind, "a run waits for nothing"
