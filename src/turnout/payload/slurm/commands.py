"""Slurm's commands and what they print. Nothing here decides anything.

Only options that Slurm 20.11 has already; `-o` formats instead of JSON, which comes and goes with
versions and plugins.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import NamedTuple

#: Seconds that a command may take: Slurm's own messages time out after 10 s by default.
COMMAND_S = 30.0
#: Begins the comment of what we hand over; the batch's name follows.
MARK = "turnout:"
#: Array indices are written out whole instead of being cut at 64 characters.
UNCUT = {"SLURM_BITSTR_LEN": "0", "LC_ALL": "C", "SLURM_TIME_FORMAT": "standard"}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Row(NamedTuple):
    """One run, as Slurm's queue shows it."""

    #: Slurm's number: "17", or "17_3" for one of an array.
    number: str
    #: "PENDING", "RUNNING", …
    state: str
    #: The nodes that it has, as Slurm writes them: "n[1-3]".
    nodes: str
    partition: str
    batch: str
    #: Which one of its batch.
    task: int
    #: Why it waits or how it ended, as Slurm names it; "" for no reason.
    reason: str


def call(
    argv: list[str],
    text: str = "",
    timeout_s: float = COMMAND_S,
    env: dict[str, str] = UNCUT,
) -> Done:
    """Run a command of Slurm to its end, with `env` beside our own variables: what sbatch has, a
    run has too. What cannot be started is an answer too."""
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Done(-1, "", "%s did not answer within %g s" % (argv[0], timeout_s))
    except OSError as e:
        return Done(127, "", "%s: %s" % (argv[0], e.strerror))
    return Done(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def said(done: Done) -> str:
    """What a command that failed has to say, in one line and without its own prefixes.

    >>> said(Done(1, "", "sbatch: error: Batch job submission failed: Invalid account\\n"))
    'Invalid account'
    """
    lines: list[str] = []
    for line in (done.err or done.out).splitlines():
        text = re.sub(r"^(\w+: )?((fatal|error): )*", "", line.strip())
        text = re.sub(r"^Batch job submission failed: ", "", text)
        if text and text not in lines:
            lines.append(text)
    return "; ".join(lines[-2:]) or "exit code %d" % done.code


# -- the queue ---------------------------------------------------------------------------------

QUEUE_FORMAT = "%i|%T|%N|%P|%k|%r"


def queue_command(user: str) -> list[str]:
    """Asks for all that the user has in Slurm's queue, also what ended lately."""
    return ["squeue", "-h", "-u", user, "-t", "all", "-o", QUEUE_FORMAT]


def queue_rows(text: str) -> list[Row]:
    """Our runs in what `queue_command` printed; an array that waits is one line of many runs.

    >>> [row.task for row in queue_rows("7_[0,2-3%4]|PENDING||main|turnout:ab|Resources")]
    [0, 2, 3]
    """
    found: list[Row] = []
    for line in text.splitlines():
        parts = line.split("|", 5)
        if len(parts) != 6 or not parts[4].startswith(MARK):
            continue
        number, state, nodes, partition, comment, reason = parts
        base, _, tail = number.partition("_")
        why = "" if reason in ("None", "N/A", "(null)") else reason
        where = "" if nodes in ("N/A", "(null)") else nodes
        for index in indices(tail):
            one = "%s_%d" % (base, index) if tail else base
            found.append(Row(one, state, where, partition, comment[len(MARK) :], index, why))
    return found


def indices(text: str) -> list[int]:
    """
    >>> indices(""), indices("5"), indices("[0-2,7%2]"), indices("[0-4:2]")
    ([0], [5], [0, 1, 2, 7], [0, 2, 4])
    """
    found: list[int] = []
    for part in text.strip("[]").partition("%")[0].split(","):
        match = re.match(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if match:
            first = int(match.group(1))
            found += range(first, int(match.group(2) or first) + 1, int(match.group(3) or 1))
    return found or [0]


def hosts(text: str) -> list[str]:
    """
    >>> hosts("n[08-10,12],gpu1"), hosts("")
    (['n08', 'n09', 'n10', 'n12', 'gpu1'], [])
    """
    found: list[str] = []
    for name in re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", text):
        match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", name)
        if not match:
            found.append(name)
            continue
        for part in match.group(2).split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                one = "%s%0*d%s" % (match.group(1), len(first), number, match.group(3))
                found += hosts(one)
    return found


# -- records in the form NAME=VALUE ------------------------------------------------------------


def fields(line: str) -> dict[str, str]:
    """One line of `scontrol -o show …`. Values may hold blanks: a name ends what came before.

    >>> fields("NodeName=n1 OS=Linux 6.1 #1 State=IDLE")["OS"]
    'Linux 6.1 #1'
    """
    pieces = re.split(r"(?:^|\s)([A-Za-z][\w/:]*)=", line)
    return {name: value.strip() for name, value in zip(pieces[1::2], pieces[2::2])}


def whole(text: str) -> int:
    """The number that `text` begins with; 0 for none ("UNLIMITED", "N/A")."""
    match = re.match(r"\d+", text)
    return int(match.group()) if match else 0


def duration_s(text: str) -> int:
    """Seconds of Slurm's "days-hours:minutes:seconds"; 0 for no limit.

    >>> duration_s("1-00:10:00"), duration_s("10:00"), duration_s("infinite")
    (87000, 600, 0)
    """
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]):
        return 0
    numbers = [int(part) for part in parts]
    if days:
        numbers = [*numbers, 0, 0][:3]
    elif len(numbers) == 1:
        numbers = [numbers[0], 0]
    seconds = 0
    for number in numbers:
        seconds = seconds * 60 + number
    return seconds + int(days or 0) * 86400


def gpus_of(gres: str) -> int:
    """GPUs in a node's Gres.

    >>> gpus_of("gpu:a100:2(S:0),gpu:1"), gpus_of("(null)")
    (3, 0)
    """
    return sum(int(n) for n in re.findall(r"(?:^|,)gpu(?::[^:,(]+)?:(\d+)", gres))


def exit_code(number: str) -> int:
    """What Slurm says of the script's exit code; 0 where it does not."""
    done = call(["scontrol", "-o", "show", "job", number], timeout_s=5.0)
    for line in done.out.splitlines():
        code = fields(line).get("ExitCode", "")
        if code:
            return whole(code)
    return 0
