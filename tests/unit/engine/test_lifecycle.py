import itertools

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
