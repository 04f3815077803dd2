import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.spec import sizes
from turnout.spec.errors import UserError
from turnout.spec.sizes import CUSTOM, Machine, Size, fitted, size_of

SMALL = Machine(cores=2, memory_mb=24 * 1024)
GPUS = Machine(cores=64, memory_mb=512 * 1024, gpus=4)


@pytest.mark.parametrize(
    ("name", "canonical", "cores", "memory_gb", "gpus", "family"),
    [
        ("STANDARD_D2_V2", "Standard_D2_v2", 2, 7, 0, "standardDv2Family"),
        ("standard_d2_v2", "Standard_D2_v2", 2, 7, 0, "standardDv2Family"),
        (" Standard_NC6\n", "Standard_NC6", 6, 56, 1, "standardNCFamily"),
        ("STANDARD_NC24RS_V3", "Standard_NC24rs_v3", 24, 448, 4, "standardNCSv3Family"),
        ("Standard_DS3_v2", "Standard_DS3_v2", 4, 14, 0, "standardDSv2Family"),
        ("STANDARD_A1", "Standard_A1", 1, 1.75, 0, "standardA0_A7Family"),
        ("standard_d3_v2_promo", "Standard_D3_v2_Promo", 4, 14, 0, "standardDv2PromoFamily"),
        # Not in the table: from letters and number.
        ("STANDARD_D8ads_v5", "Standard_D8ads_v5", 8, 32, 0, "standardDADSv5Family"),
        ("STANDARD_E4_V4", "Standard_E4_V4", 4, 32, 0, "standardEv4Family"),
        ("Standard_M64-16ms", "Standard_M64-16ms", 16, 2048, 0, "standardMMSFamily"),
        ("Standard_E8-9s", "Standard_E8-9s", 8, 64, 0, "standardESFamily"),
        ("Standard_NC96ads_H9", "Standard_NC96ads_H9", 96, 672, 4, "standardNCADSH9Family"),
        ("Standard_ND96isr_v5", "Standard_ND96isr_v5", 96, 672, 8, "standardNDISRv5Family"),
        ("Standard_NV6s", "Standard_NV6s", 6, 42, 1, "standardNVSFamily"),
        ("Standard_D4ls_v5", "Standard_D4ls_v5", 4, 8, 0, "standardDLSv5Family"),
        ("Standard_HB60rs", "Standard_HB60rs", 60, 240, 0, "standardHBRSFamily"),
        ("Standard_Huge", "Standard_Huge", 1, 7, 0, "standardHUGEFamily"),
        ("Standard_Z0_Promo", "Standard_Z0_Promo", 1, 4, 0, "standardZPROMOFamily"),
        ("Standard_D9999", "Standard_D9999", 1024, 4096, 0, "standardDFamily"),
        ("STANDARD_-", "Standard_-", 1, 4, 0, "standardFamily"),
        # Our own form.
        ("2c4g", "2c4g", 2, 4, 0, CUSTOM),
        ("2C4G1GPU", "2c4g1gpu", 2, 4, 1, CUSTOM),
        ("08c16g2gpus", "8c16g2gpu", 8, 16, 2, CUSTOM),
        ("1c1g0gpu", "1c1g", 1, 1, 0, CUSTOM),
    ],
)
def test_what_a_name_means(
    name: str, canonical: str, cores: int, memory_gb: float, gpus: int, family: str
) -> None:
    assert size_of(name) == Size(canonical, cores, int(memory_gb * 1024), gpus, family)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("D2_v2", "Did you mean 'Standard_D2_v2'?"),
        ("STANDRD_D2_V2", "Did you mean 'Standard_D2_v2'?"),
        ("Standard D2 v2", "Did you mean 'Standard_D2_v2'?"),
        ("nc6", "Did you mean 'Standard_NC6'?"),
        ("", "'' is not a size. Use a name such as 'STANDARD_D2_V2'"),
        ("standard_", "or say what a node has: '2c4g' (2 cores, 4 GB) or '2c4g1gpu'"),
        ("Standard_D2; reboot", "is not a size"),
        ("4 cores", "is not a size"),
        ("2c", "is not a size"),
        ("4g", "is not a size"),
        ("99999c1g", "is not a size"),
        ("-1c4g", "is not a size"),
        ("٢c٤g", "is not a size"),
        ("0c4g", "has no cores: a node needs at least one core and 1 GB"),
        ("2c0g", "has no memory"),
    ],
)
def test_what_is_not_a_size_says_what_is(name: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        size_of(name)
    assert says in str(caught.value)


def test_far_from_every_name_suggests_none() -> None:
    with pytest.raises(UserError) as caught:
        size_of("large")
    assert "Did you mean" not in str(caught.value)


@given(st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64))
def test_no_v1_name_is_refused(rest: str) -> None:
    size = size_of(f"STANDARD_{rest}")
    assert size.cores >= 1
    assert size.memory_mb >= 512
    assert size.gpus >= 0
    assert size.family.startswith("standard")
    assert size.family.endswith("Family")
    assert size_of(size.name) == size
    fits, _ = fitted(size, SMALL)
    assert (fits.cores, fits.gpus) == (min(size.cores, 2), 0)


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_a_users_mistake(text: str) -> None:
    with contextlib.suppress(UserError):
        assert size_of(text).cores >= 1


@pytest.mark.parametrize(
    ("name", "machine", "cores", "memory_gb", "gpus", "says"),
    [
        ("Standard_D2_v2", SMALL, 2, 7, 0, ""),
        ("Standard_NC6", GPUS, 6, 56, 1, ""),
        ("2c24g", SMALL, 2, 24, 0, ""),
        ("Standard_D3_v2", SMALL, 2, 14, 0, "Standard_D3_v2 means 4 cores, 14 GB; this machine "
         "has 2 cores, 24 GB, so its nodes have 2 cores, 14 GB."),
        ("Standard_NC6", SMALL, 2, 24, 0, "Standard_NC6 means 6 cores, 56 GB, 1 GPU; this machine "
         "has 2 cores, 24 GB, no GPU, so its nodes have 2 cores, 24 GB, no GPU."),
        ("Standard_ND40rs_v2", GPUS, 40, 512, 4, "Standard_ND40rs_v2 means 40 cores, 672 GB, "
         "8 GPUs; this machine has 64 cores, 512 GB, 4 GPUs, so its nodes have 40 cores, 512 GB, "
         "4 GPUs."),
    ],
)  # fmt: skip
def test_v1_sizes_are_cut_to_the_machine(
    name: str, machine: Machine, cores: int, memory_gb: int, gpus: int, says: str
) -> None:
    size, sentence = fitted(size_of(name), machine)
    assert (size.cores, size.memory_mb, size.gpus) == (cores, memory_gb * 1024, gpus)
    assert size.name == name
    assert sentence == says


@pytest.mark.parametrize(
    ("name", "asks", "has"),
    [
        ("64c4g", "asks for 64 cores, 4 GB", "machine has 2 cores, 24 GB."),
        ("1c99g", "asks for 1 core, 99 GB", "machine has 2 cores, 24 GB."),
        ("1c1g1gpu", "asks for 1 core, 1 GB, 1 GPU", "machine has 2 cores, 24 GB, no GPU."),
    ],
)
def test_our_own_form_larger_than_the_machine_is_refused(name: str, asks: str, has: str) -> None:
    with pytest.raises(UserError) as caught:
        fitted(size_of(name), SMALL)
    assert asks in str(caught.value)
    assert has in str(caught.value)


def test_a_cut_size_fits_and_is_not_cut_again() -> None:
    cut, _ = fitted(size_of("Standard_NC24"), SMALL)
    assert fitted(cut, SMALL) == (cut, "")


def test_supported_sizes_are_each_named_once_smallest_first() -> None:
    listed = sizes.supported()
    names = [size.name for size in listed]
    assert len(names) == len(set(names)) == len(sizes.KNOWN)
    assert {"Standard_D2_v2", "Standard_NC6"} <= set(names)
    assert listed[0].cores == 1
    assert all(size_of(size.name.upper()) == size for size in listed)
