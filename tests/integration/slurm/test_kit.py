"""The Slurm of the test kit does what a Slurm does; tests of clusters build on that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from turnout.testing.dockerd import Unavailable
from turnout.testing.missing import missing
from turnout.testing.slurm import Slurm
from turnout.testing.waiting import is_running, wait_until


def made(**options: object) -> Slurm:
    try:
        return Slurm(**options)  # type: ignore[arg-type]
    except Unavailable as e:
        missing(e)


def mentions(slurm: Slurm) -> list[str]:
    """What still runs with this Slurm's configuration or files."""
    found: list[str] = []
    for place in Path("/proc").glob("[0-9]*"):
        if place.name == str(os.getpid()):
            continue
        try:
            words = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue
        if str(slurm.folder).encode() in words:
            found.append((place / "cmdline").read_text())
    return found


class TestPlain:
    def test_a_run_ends_with_its_exit_code(self, slurm: Slurm, tmp_path: Path) -> None:
        number = slurm.submit(f"hostname > {tmp_path}/out; exit 42")
        assert slurm.reaches(number, "FAILED")["ExitCode"] == "42:0"
        assert (tmp_path / "out").read_text()

    def test_runs_take_several_nodes(self, slurm: Slurm, tmp_path: Path) -> None:
        script = f"srun --output={tmp_path}/out printenv SLURMD_NODENAME"
        slurm.reaches(slurm.submit(script, "-N3", "-n3"), "COMPLETED")
        assert sorted((tmp_path / "out").read_text().split()) == ["n1", "n2", "n3"]

    def test_a_dead_node_fails_what_may_not_start_again(
        self, slurm: Slurm, tmp_path: Path
    ) -> None:
        up = tmp_path / "up"
        number = slurm.submit(f"touch {up}; sleep 600", "--no-requeue", "-w", "n3")
        # Slurm says that it runs before it does, and starts again what a node never began.
        wait_until(up.exists, "the script to begin")
        slurm.node_kill("n3")
        assert "n3" not in slurm.ours().values()
        assert {"n1", "n2"} <= set(slurm.ours().values())
        slurm.reaches(number, "NODE_FAIL")
        slurm.node_start("n3")
        slurm.becomes("n3", ["idle"])

    def test_runs_outlive_the_daemon_of_their_node(self, slurm: Slurm, tmp_path: Path) -> None:
        number = slurm.submit(f"until test -e {tmp_path}/go; do sleep 0.1; done; exit 3")
        node = slurm.reaches(number, "RUNNING")["NodeList"]
        slurm.slurmd_kill(node)
        slurm.node_start(node)
        (tmp_path / "go").touch()
        assert slurm.reaches(number, "FAILED")["ExitCode"] == "3:0"

    @pytest.mark.parametrize("end", [Slurm.controller_stop, Slurm.controller_kill])
    def test_runs_outlive_the_controller(
        self, slurm: Slurm, tmp_path: Path, end: Callable[[Slurm], None]
    ) -> None:
        number = slurm.submit(f"until test -e {tmp_path}/go; do sleep 0.1; done; exit 3")
        slurm.reaches(number, "RUNNING")
        # Killed, it forgets what it had not written yet.
        mark = f"written {tmp_path}"
        slurm.run("scontrol", "update", f"JobId={number}", f"Comment={mark}")
        state = slurm.folder / "state" / "job_state"
        wait_until(lambda: mark.encode() in state.read_bytes(), "its state to be written")
        end(slurm)
        assert not slurm.answers()
        slurm.controller_start()
        (tmp_path / "go").touch()
        assert slurm.reaches(number, "FAILED")["ExitCode"] == "3:0"


class TestForms:
    def test_starts_in_seconds_and_leaves_nothing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        begun = time.monotonic()
        with made(nodes=2) as slurm:
            with capsys.disabled():
                print(f"\nSlurm with 2 nodes: up after {time.monotonic() - begun:.2f} s")
            number = slurm.submit("env -i setsid sleep 600 & exec sleep 600")
            slurm.reaches(number, "RUNNING")
            wait_until(lambda: len(slurm.ours()) >= 5, "the script to start its child")
            pids = slurm.ours()
            assert mentions(slurm)
        assert not any(map(is_running, pids))
        assert not mentions(slurm)
        assert not slurm.folder.exists()

    def test_nodes_are_powered_on_and_off(self) -> None:
        with made(nodes=1, power_saving=True) as slurm:
            assert slurm.states() == {"n1": "idle~"}
            slurm.reaches(slurm.submit("true"), "COMPLETED")
            assert set(slurm.ours().values()) == {"n1"}
            slurm.becomes("n1", ["idle~"])
            wait_until(lambda: not slurm.ours(), "the node to be off")

    def test_fake_gpus_are_given_out(self, tmp_path: Path) -> None:
        with made(nodes=1, gpus=2) as slurm:
            script = f"echo $CUDA_VISIBLE_DEVICES > {tmp_path}/"
            wait = f"until test -e {tmp_path}/go; do sleep 0.1; done; "
            first = slurm.submit(f"{script}a; {wait}", "--gres=gpu:1", "--mem=100")
            slurm.reaches(first, "RUNNING")
            second = slurm.submit(f"{script}b", "--gres=gpu:1", "--mem=100")
            slurm.reaches(second, "COMPLETED")
            (tmp_path / "go").touch()
            slurm.reaches(first, "COMPLETED")
            assert [(tmp_path / name).read_text() for name in "ab"] == ["0\n", "1\n"]

    def test_memory_is_held(self) -> None:
        with made(nodes=1, memory=True) as slurm:
            number = slurm.submit("exec head -c 400M /dev/zero | tail", "--mem=100")
            slurm.reaches(number, "OUT_OF_MEMORY")

    def test_a_partition_takes_nodes_back(self) -> None:
        partitions = {"low": "PriorityTier=1 PreemptMode=REQUEUE", "high": "PriorityTier=2"}
        with made(nodes=1, partitions=partitions, preemption=True) as slurm:
            low = slurm.submit("sleep 600", "--partition=low", "--exclusive")
            slurm.reaches(low, "RUNNING")
            high = slurm.submit("true", "--partition=high", "--exclusive")
            slurm.reaches(high, "COMPLETED")
            assert slurm.reaches(low, "PENDING", "RUNNING")["Restarts"] == "1"

    def test_nodes_are_hosts_of_their_own(self, tmp_path: Path) -> None:
        with made(nodes=3, memory=True, namespaces=True) as slurm:
            script = f"srun --output={tmp_path}/names hostname; getent hosts n2 > {tmp_path}/n2"
            slurm.reaches(slurm.submit(script, "-N2", "-n2", "--mem=100"), "COMPLETED")
            assert sorted((tmp_path / "names").read_text().split()) == ["n1", "n2"]
            assert "n2" in (tmp_path / "n2").read_text()
            assert "127." not in (tmp_path / "n2").read_text()

            beside = slurm.submit("exec sleep 6543", "-w", "n1", "--mem=100")
            slurm.reaches(beside, "RUNNING")
            for node in ("n1", "n2"):
                script = r"cat /proc/[0-9]*/cmdline | tr '\0' ' ' | grep -c 'sleep 654[3]'"
                look = slurm.submit(f"{script} > {tmp_path}/{node}", "-w", node, "--mem=100")
                slurm.reaches(look, "COMPLETED", "FAILED")
            assert [(tmp_path / node).read_text() for node in ("n1", "n2")] == ["1\n", "0\n"]

    def test_accounts_are_kept_and_limits_held(self) -> None:
        with made(nodes=1, gpus=1, accounting=True) as slurm:
            number = slurm.submit("exit 7", "--mem=100")
            slurm.reaches(number, "FAILED")
            asked = ("sacct", "-n", "-P", "-X", "-j", number, "-o", "State,ExitCode,User")
            wait_until(lambda: slurm.run(*asked) == "FAILED|7:0|root", "sacct to know it")

            limits = ("MaxJobs=1", "MaxSubmitJobs=2")
            slurm.run("sacctmgr", "-i", "modify", "user", "root", "set", *limits)
            first, second = (slurm.submit("sleep 600", "--mem=100") for _ in range(2))
            slurm.reaches(first, "RUNNING")
            assert "AssocMaxSubmitJobLimit" in slurm.call("sbatch", "--wrap", "true").stderr
            held = "AssocMaxJobsLimit"
            wait_until(lambda: slurm.job(second)["Reason"] == held, "the second to be held back")
