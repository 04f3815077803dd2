import pytest

from turnout.service.runs.events import whole_characters


@pytest.mark.parametrize("text", ["", "a", "é", "€", "𝄞", "aé€𝄞", "x" * 10])
def test_text_is_cut_between_characters(text: str) -> None:
    data = text.encode()
    for end in range(len(data) + 1):
        taken = whole_characters(data[:end])
        assert taken <= end
        data[:taken].decode()
        assert end - taken < 4


def test_bytes_that_are_no_text_do_not_wait() -> None:
    assert whole_characters(b"\x80\x80\x80\x80") == 4
    assert whole_characters(b"\xff") in (0, 1)
    assert whole_characters(b"ok\xe9\n") == 4
