"""Sizes of nodes: a name for cores, memory and GPUs. v1's names are all accepted.

The well-known v1 names carry their published numbers; for any other one the letters and the
number give a guess, as scripts name sizes that they do not need. Our own form says it outright.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace

from turnout.spec.errors import UserError

#: The quota family of sizes in our own form.
CUSTOM = "custom"
#: More cores than the largest published size has; a longer number is a slip.
MOST_CORES = 1024

OWN = re.compile(r"([0-9]{1,4})c([0-9]{1,5})g(?:([0-9]{1,2})gpus?)?", re.IGNORECASE)
V1 = re.compile(r"standard_[a-z0-9_-]{1,64}", re.IGNORECASE)
#: Letters, number, number of cores that are switched on, features; what follows is cut at "_".
V1_PARTS = re.compile(r"([A-Z]+)([0-9]{0,4})(?:-([0-9]{1,4}))?([A-Z]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """What a node of this size has."""

    name: str
    cores: int
    memory_mb: int
    gpus: int = 0
    #: v1's quota family, such as "standardDv2Family"; "custom" for our own form.
    family: str = CUSTOM

    def __str__(self) -> str:
        return _words(self.cores, self.memory_mb, self.gpus)


@dataclass(frozen=True)
class Machine:
    """What one machine has for all of its nodes together."""

    cores: int
    memory_mb: int
    gpus: int = 0
    #: In words.
    where: str = "this machine"


#: By family: name, cores, memory in GiB and GPUs, as published for Azure's virtual machines.
PUBLISHED = {
    "standardA0_A7Family": "A0 1 0.75, A1 1 1.75, A2 2 3.5, A3 4 7, A4 8 14, A5 2 14, A6 4 28, "
    "A7 8 56",
    "standardA8_A11Family": "A8 8 56, A9 16 112, A10 8 56, A11 16 112",
    "standardAv2Family": "A1_v2 1 2, A2_v2 2 4, A4_v2 4 8, A8_v2 8 16, A2m_v2 2 16, "
    "A4m_v2 4 32, A8m_v2 8 64",
    "standardBSFamily": "B1s 1 1, B1ms 1 2, B2s 2 4, B2ms 2 8, B4ms 4 16, B8ms 8 32",
    "standardDFamily": "D1 1 3.5, D2 2 7, D3 4 14, D4 8 28, D11 2 14, D12 4 28, D13 8 56, "
    "D14 16 112",
    "standardDSFamily": "DS1 1 3.5, DS2 2 7, DS3 4 14, DS4 8 28, DS11 2 14, DS12 4 28, "
    "DS13 8 56, DS14 16 112",
    "standardDv2Family": "D1_v2 1 3.5, D2_v2 2 7, D3_v2 4 14, D4_v2 8 28, D5_v2 16 56, "
    "D11_v2 2 14, D12_v2 4 28, D13_v2 8 56, D14_v2 16 112, D15_v2 20 140",
    "standardDSv2Family": "DS1_v2 1 3.5, DS2_v2 2 7, DS3_v2 4 14, DS4_v2 8 28, DS5_v2 16 56, "
    "DS11_v2 2 14, DS12_v2 4 28, DS13_v2 8 56, DS14_v2 16 112, DS15_v2 20 140",
    "standardDv3Family": "D2_v3 2 8, D4_v3 4 16, D8_v3 8 32, D16_v3 16 64, D32_v3 32 128, "
    "D48_v3 48 192, D64_v3 64 256",
    "standardDSv3Family": "D2s_v3 2 8, D4s_v3 4 16, D8s_v3 8 32, D16s_v3 16 64, D32s_v3 32 128, "
    "D48s_v3 48 192, D64s_v3 64 256",
    "standardEv3Family": "E2_v3 2 16, E4_v3 4 32, E8_v3 8 64, E16_v3 16 128, E20_v3 20 160, "
    "E32_v3 32 256, E48_v3 48 384, E64_v3 64 432",
    "standardESv3Family": "E2s_v3 2 16, E4s_v3 4 32, E8s_v3 8 64, E16s_v3 16 128, "
    "E20s_v3 20 160, E32s_v3 32 256, E48s_v3 48 384, E64s_v3 64 432",
    "standardFFamily": "F1 1 2, F2 2 4, F4 4 8, F8 8 16, F16 16 32",
    "standardFSv2Family": "F2s_v2 2 4, F4s_v2 4 8, F8s_v2 8 16, F16s_v2 16 32, F32s_v2 32 64, "
    "F48s_v2 48 96, F64s_v2 64 128, F72s_v2 72 144",
    "standardGFamily": "G1 2 28, G2 4 56, G3 8 112, G4 16 224, G5 32 448",
    "standardGSFamily": "GS1 2 28, GS2 4 56, GS3 8 112, GS4 16 224, GS5 32 448",
    "standardHFamily": "H8 8 56, H8m 8 112, H16 16 112, H16m 16 224, H16r 16 112, H16mr 16 224",
    "standardLSv2Family": "L8s_v2 8 64, L16s_v2 16 128, L32s_v2 32 256, L48s_v2 48 384, "
    "L64s_v2 64 512, L80s_v2 80 640",
    "standardNCFamily": "NC6 6 56 1, NC12 12 112 2, NC24 24 224 4, NC24r 24 224 4",
    "standardNCSv2Family": "NC6s_v2 6 112 1, NC12s_v2 12 224 2, NC24s_v2 24 448 4, "
    "NC24rs_v2 24 448 4",
    "standardNCSv3Family": "NC6s_v3 6 112 1, NC12s_v3 12 224 2, NC24s_v3 24 448 4, "
    "NC24rs_v3 24 448 4",
    "standardNCAST4v3Family": "NC4as_T4_v3 4 28 1, NC8as_T4_v3 8 56 1, NC16as_T4_v3 16 110 1, "
    "NC64as_T4_v3 64 440 4",
    "standardNCADSA100v4Family": "NC24ads_A100_v4 24 220 1, NC48ads_A100_v4 48 440 2, "
    "NC96ads_A100_v4 96 880 4",
    "standardNDSFamily": "ND6s 6 112 1, ND12s 12 224 2, ND24s 24 448 4, ND24rs 24 448 4",
    "standardNDRSv2Family": "ND40rs_v2 40 672 8",
    "standardNDASRv4Family": "ND96asr_v4 96 900 8",
    "standardNVFamily": "NV6 6 56 1, NV12 12 112 2, NV24 24 224 4",
    "standardNVSv3Family": "NV12s_v3 12 112 1, NV24s_v3 24 224 2, NV48s_v3 48 448 4",
}

#: Memory in GiB to a core, by the letters that a name begins with; the longest match counts.
GB_A_CORE = {"A": 2, "B": 4, "D": 4, "E": 8, "F": 2, "G": 14}
GB_A_CORE.update({"H": 7, "HB": 4, "HC": 8, "L": 8, "M": 16, "N": 7})
#: A guess takes one GPU for so many cores; the "ND" ones have more.
CORES_A_GPU = 24
CORES_A_GPU_ND = 12


def _published() -> dict[str, Size]:
    found: dict[str, Size] = {}
    for family, row in PUBLISHED.items():
        for entry in row.split(", "):
            short, cores, gb, *gpus = entry.split()
            size = Size(
                name=f"Standard_{short}",
                cores=int(cores),
                memory_mb=int(float(gb) * 1024),
                gpus=int(gpus[0]) if gpus else 0,
                family=family,
            )
            found[size.name.casefold()] = size
    return found


KNOWN = _published()


def supported() -> list[Size]:
    """The v1 sizes whose numbers are known, smallest first (v1: `supported_vmsizes`)."""
    return sorted(KNOWN.values(), key=lambda size: (size.gpus, size.cores, size.memory_mb))


def families() -> list[str]:
    """The families of the sizes whose numbers are known, and that of our own form."""
    return [*PUBLISHED, CUSTOM]


def size_of(name: str) -> Size:
    """The size that `name` means; raise `UserError` when it is neither v1's nor our form."""
    wanted = name.strip()
    known = KNOWN.get(wanted.casefold())
    if known is not None:
        return known
    if V1.fullmatch(wanted):
        return _guessed(wanted)
    own = OWN.fullmatch(wanted)
    if own is not None:
        return _own(wanted, int(own[1]), int(own[2]), int(own[3] or 0))
    raise UserError(
        f"'{name}' is not a size. Use a name such as 'STANDARD_D2_V2' or 'STANDARD_NC6', or say "
        f"what a node has: '2c4g' (2 cores, 4 GB) or '2c4g1gpu'.{_nearest(wanted)}"
    )


def fitted(size: Size, machine: Machine) -> tuple[Size, str]:
    """`size` as this machine can give it, and a sentence when that is less than its name says.

    v1's names are often mere names, so they are cut to the machine. Our own form says what is
    really needed: more than the machine has raises `UserError`.
    """
    fits = replace(
        size,
        cores=min(size.cores, machine.cores),
        memory_mb=min(size.memory_mb, machine.memory_mb),
        gpus=min(size.gpus, machine.gpus),
    )
    if fits == size:
        return size, ""
    less_gpus = fits.gpus < size.gpus
    has = _words(machine.cores, machine.memory_mb, machine.gpus, say_no_gpu=less_gpus)
    if size.family == CUSTOM:
        raise UserError(
            f"Size '{size.name}' is larger than {machine.where}: it asks for {size}, and "
            f"{machine.where} has {has}. Ask for at most that, or use another machine."
        )
    gives = _words(fits.cores, fits.memory_mb, fits.gpus, say_no_gpu=less_gpus)
    return fits, (
        f"{size.name} means {size}; {machine.where} has {has}, so its nodes have {gives}."
    )


def _own(name: str, cores: int, memory_gb: int, gpus: int) -> Size:
    if not cores or not memory_gb:
        raise UserError(
            f"Size '{name}' has no {'memory' if cores else 'cores'}: a node needs at least one "
            "core and 1 GB, as in '1c1g'."
        )
    suffix = f"{gpus}gpu" if gpus else ""
    return Size(f"{cores}c{memory_gb}g{suffix}", cores, memory_gb * 1024, gpus, CUSTOM)


def _guessed(name: str) -> Size:
    """What a v1 name that is not in the table probably means; never an error."""
    short = name[len("standard_") :]
    if short.casefold().endswith("_promo"):
        base = KNOWN.get(name.casefold().removesuffix("_promo"))
        if base is not None:
            family = base.family.removesuffix("Family") + "PromoFamily"
            return replace(base, name=f"{base.name}_Promo", family=family)
    first, *rest = short.split("_")
    parts = V1_PARTS.match(first)
    letters, number, switched_on, features = parts.groups("") if parts else ("", "", "", "")
    letters, features = letters.upper(), features.upper()
    whole = min(max(int(number or 1), 1), MOST_CORES)
    # "M64-16ms" has the memory of 64 cores and 16 of them switched on.
    cores = min(max(int(switched_on or whole), 1), whole)
    a_gpu = CORES_A_GPU_ND if letters.startswith("ND") else CORES_A_GPU
    gpus = max(1, whole // a_gpu) if letters.startswith("N") else 0
    return Size(
        name=f"Standard_{short}",
        cores=cores,
        memory_mb=int(whole * _gb_a_core(letters, features) * 1024),
        gpus=gpus,
        family=f"standard{letters}{features}{''.join(_suffix(one) for one in rest)}Family",
    )


def _gb_a_core(letters: str, features: str) -> float:
    for length in range(len(letters), 0, -1):
        if letters[:length] in GB_A_CORE:
            ratio = float(GB_A_CORE[letters[:length]])
            break
    else:
        ratio = 4.0
    # v1's features: "l" is a size with little memory, "m" one with much.
    return ratio * (2 if "M" in features else 0.5 if "L" in features else 1)


def _suffix(part: str) -> str:
    """ "V3" of a name is "v3" in its family; an accelerator's name stays in capitals."""
    return part.lower() if re.fullmatch(r"v[0-9]+", part, re.IGNORECASE) else part.upper()


def _nearest(wanted: str) -> str:
    """The known name that is most like `wanted`, whose "Standard_" may be missing or misspelt."""
    text = re.sub(r"^st[a-z]*[ _-]", "", wanted.casefold()).replace(" ", "_")
    shorts = {size.name.removeprefix("Standard_").casefold(): size.name for size in supported()}
    close = difflib.get_close_matches(text, shorts, n=1, cutoff=0.75)
    return f" Did you mean '{shorts[close[0]]}'?" if close else ""


def _words(cores: int, memory_mb: int, gpus: int, *, say_no_gpu: bool = False) -> str:
    gb = f"{memory_mb / 1024:.2f}".rstrip("0").removesuffix(".")
    words = f"{cores} core{'' if cores == 1 else 's'}, {gb} GB"
    if gpus:
        return f"{words}, {gpus} GPU{'' if gpus == 1 else 's'}"
    return f"{words}, no GPU" if say_no_gpu else words
