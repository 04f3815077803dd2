import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.engine.lifecycle import Act, Decision, RunFacts, decide, outcome, signal_name
from turnout.spec.runs import RunState
from turnout.spec.targets import Exit, Observation, ObservedState

QUEUED = RunFacts(RunState.QUEUED, launched=False, cancel_requested=False)
PREPARING = RunFacts(RunState.PREPARING, launched=True, cancel_requested=False)
RUNNING = RunFacts(RunState.RUNNING, launched=True, cancel_requested=False)
CANCELING = RunFacts(RunState.RUNNING, launched=True, cancel_requested=True)


def seen(state: ObservedState, exit: Exit | None = None) -> Observation:
    return Observation(state, exit=exit)


def ended(reason: str = "exited", code: int | None = 0, signal: int | None = None) -> Observation:
    return seen(ObservedState.ENDED, Exit(reason, code, signal))


@pytest.mark.parametrize(
    ("run", "look", "act", "state"),
    [
        (QUEUED, None, Act.LAUNCH, RunState.PREPARING),
        (RunFacts(RunState.QUEUED, False, True), None, Act.NONE, RunState.CANCELED),
        (PREPARING, None, Act.NONE, None),
        (PREPARING, seen(ObservedState.PREPARING), Act.NONE, None),
        (PREPARING, seen(ObservedState.RUNNING), Act.NONE, RunState.RUNNING),
        (RUNNING, seen(ObservedState.PREPARING), Act.NONE, None),
        (RUNNING, ended(), Act.COLLECT, RunState.COMPLETED),
        (RUNNING, ended(code=3), Act.COLLECT, RunState.FAILED),
        (RUNNING, ended("signaled", None, 9), Act.COLLECT, RunState.FAILED),
        (RUNNING, ended("timeout", None), Act.COLLECT, RunState.FAILED),
        (RUNNING, ended("stopped", None), Act.COLLECT, RunState.CANCELED),
        (RUNNING, seen(ObservedState.LOST), Act.COLLECT, RunState.FAILED),
        (RUNNING, seen(ObservedState.ABSENT), Act.COLLECT, RunState.FAILED),
        (CANCELING, seen(ObservedState.RUNNING), Act.STOP, None),
        (CANCELING, None, Act.STOP, None),
        (CANCELING, ended("signaled", None, 15), Act.COLLECT, RunState.CANCELED),
        # The script ended well before the stop reached it: that is a success.
        (CANCELING, ended(), Act.COLLECT, RunState.COMPLETED),
        (CANCELING, seen(ObservedState.LOST), Act.COLLECT, RunState.CANCELED),
    ],
)
def test_what_comes_next(
    run: RunFacts, look: Observation | None, act: Act, state: RunState | None
) -> None:
    decision = decide(run, look)
    assert (decision.act, decision.state) == (act, state)


def test_a_stop_is_sent_once() -> None:
    sent = RunFacts(RunState.RUNNING, True, True, stop_sent=True)
    assert decide(sent, seen(ObservedState.RUNNING)).act is Act.NONE


@pytest.mark.parametrize("state", [s for s in RunState if s.is_final])
@pytest.mark.parametrize("look", [None, *map(seen, ObservedState), ended()])
def test_the_end_is_the_end(state: RunState, look: Observation | None) -> None:
    for launched, cancel in itertools.product((True, False), repeat=2):
        assert decide(RunFacts(state, launched, cancel), look) == Decision(Act.NONE)


@pytest.mark.parametrize("reason", ["exited", "signaled", "timeout", "prepare", "supervisor", "?"])
def test_every_failure_has_a_reason(reason: str) -> None:
    state, error = outcome(Exit(reason, 1, 9), cancel_requested=False)
    assert state is RunState.FAILED
    assert error is not None
    assert error.message
    assert error.code


def test_an_unknown_signal_has_a_number() -> None:
    assert signal_name(9999) == "signal 9999"


looks = st.one_of(
    st.none(),
    st.sampled_from([seen(s) for s in ObservedState if s is not ObservedState.ENDED]),
    st.builds(
        ended,
        st.sampled_from(["exited", "signaled", "stopped", "timeout", "prepare", "supervisor"]),
        st.integers(0, 255),
        st.integers(1, 64),
    ),
)


@given(st.lists(st.tuples(looks, st.booleans()), max_size=40))
def test_no_sequence_goes_back_or_launches_twice(
    steps: list[tuple[Observation | None, bool]],
) -> None:
    state, launched, cancel, sent, launches = RunState.QUEUED, False, False, False, 0
    for look, cancel_now in steps:
        cancel = cancel or cancel_now
        decision = decide(RunFacts(state, launched, cancel, sent), look)
        was = state
        if decision.act is Act.LAUNCH:
            launches, launched = launches + 1, True
        sent = sent or decision.act is Act.STOP
        state = decision.state or state
        assert state.order >= was.order
        if was.is_final:
            assert state is was
        if decision.error is not None:
            assert state is RunState.FAILED
    assert launches <= 1


# -- further attempts

ON_NODES = RunFacts(RunState.RUNNING, True, False, may_restart=True, restarts_left=1)
USED_UP = RunFacts(RunState.RUNNING, True, False, may_restart=True, restarts_left=0)
NEVER = RunFacts(RunState.RUNNING, True, False)
TAKEN = RunFacts(RunState.RUNNING, True, False, taken_back=True, may_restart=True)


@pytest.mark.parametrize(
    ("run", "look", "act", "state", "code"),
    [
        (ON_NODES, seen(ObservedState.LOST), Act.RESTART, None, "lost"),
        (ON_NODES, seen(ObservedState.ABSENT), Act.RESTART, None, "gone"),
        (ON_NODES, ended("node", None), Act.RESTART, None, "node_lost"),
        (ON_NODES, ended("preempted", None), Act.RESTART, None, "preempted"),
        (USED_UP, ended("node", None), Act.COLLECT, RunState.FAILED, "node_lost"),
        # Being taken back is nobody's fault: it does not count.
        (USED_UP, ended("preempted", None), Act.RESTART, None, "preempted"),
        (NEVER, ended("preempted", None), Act.COLLECT, RunState.FAILED, "preempted"),
        # What the script does itself is no reason.
        (ON_NODES, ended(code=3), Act.COLLECT, RunState.FAILED, "script_failed"),
        (ON_NODES, ended("signaled", None, 9), Act.COLLECT, RunState.FAILED, "script_killed"),
        (TAKEN, seen(ObservedState.RUNNING), Act.STOP, None, None),
        (TAKEN, ended("stopped", None), Act.RESTART, None, "preempted"),
        (TAKEN, ended(), Act.COLLECT, RunState.COMPLETED, None),
    ],
)
def test_when_there_is_another_attempt(
    run: RunFacts, look: Observation, act: Act, state: RunState | None, code: str | None
) -> None:
    decision = decide(run, look)
    assert (decision.act, decision.state) == (act, state)
    assert (decision.error.code if decision.error else None) == code


def test_a_run_that_is_not_tried_again_says_how_often_it_was() -> None:
    facts = RunFacts(RunState.RUNNING, True, False, may_restart=True, attempt=4)
    error = decide(facts, ended("node", None)).error
    assert error is not None
    assert error.message == "A node of the run was lost. It was tried 4 times."
    once = decide(NEVER, ended("node", None)).error
    assert once is not None
    assert once.message == "A node of the run was lost."


REASONS = (
    "exited",
    "signaled",
    "stopped",
    "timeout",
    "prepare",
    "supervisor",
    "node",
    "preempted",
)


@given(
    st.sampled_from([s for s in RunState if not s.is_final]),
    st.tuples(*[st.booleans()] * 5),
    st.integers(0, 3),
    st.sampled_from(ObservedState),
    st.sampled_from(REASONS),
    st.integers(0, 2),
)
def test_a_wish_to_cancel_and_a_limit_come_before_another_attempt(
    state: RunState,
    flags: tuple[bool, ...],
    left: int,
    there: ObservedState,
    reason: str,
    code: int,
) -> None:
    launched, cancel, stop_sent, taken_back, may = flags
    run = RunFacts(state, launched, cancel, False, stop_sent, taken_back, may, left)
    end = Exit(reason, code) if there is ObservedState.ENDED else None
    decision = decide(run, Observation(there, exit=end))
    if decision.act is Act.RESTART:
        assert launched
        assert may
        assert not cancel
        assert decision.error is not None
        assert left > 0 or decision.error.code == "preempted"
    if cancel and launched and decision.state is not None and decision.state.is_final:
        assert decision.state in (RunState.CANCELED, RunState.COMPLETED)


#: What may come to pass with a run on a cluster: a look, a wish to cancel, nodes taken back.
EVENTS = st.tuples(
    st.one_of(
        st.sampled_from([seen(s) for s in ObservedState if s is not ObservedState.ENDED]),
        st.builds(ended, st.sampled_from(REASONS), st.integers(0, 2), st.integers(1, 64)),
    ),
    st.sampled_from(["", "", "", "", "cancel", "take back"]),
)


@given(st.integers(0, 3), st.lists(EVENTS, max_size=60))
def test_a_life_of_many_attempts(restarts: int, events: list[tuple[Observation, str]]) -> None:
    """Never more attempts than allowed, forward only within one, none after a wish to cancel."""
    run = RunFacts(RunState.QUEUED, False, False, may_restart=restarts > 0, restarts_left=restarts)
    losses = takings = 0
    for look, event in events:
        run = replace(
            run,
            cancel_requested=run.cancel_requested or event == "cancel",
            taken_back=run.taken_back or (event == "take back" and run.launched),
        )
        decision = decide(run, look)
        if run.state.is_final:
            assert decision == Decision(Act.NONE)
        elif decision.act is Act.RESTART:
            assert decision.error is not None
            assert not run.cancel_requested
            assert decision.state is None
            lost = decision.error.code != "preempted"
            losses, takings = losses + lost, takings + (not lost)
            run = replace(
                run,
                state=RunState.QUEUED,
                launched=False,
                stop_sent=False,
                taken_back=False,
                restarts_left=run.restarts_left - lost,
                attempt=run.attempt + 1,
            )
        else:
            state = decision.state or run.state
            assert state.order >= run.state.order
            run = replace(
                run,
                state=state,
                launched=run.launched or decision.act is Act.LAUNCH,
                stop_sent=run.stop_sent or decision.act is Act.STOP,
            )
        assert losses <= restarts
        assert run.attempt == 1 + losses + takings
        assert run.attempt == 1 or restarts > 0
