"""What comes from receivers and is shown on pages."""

import pytest

from dockbell.web.ui.render import laid_out


def test_json_is_laid_out_and_anything_else_stays():
    assert laid_out(b'{"a": [1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert laid_out("no JSON {") == "no JSON {"


@pytest.mark.parametrize("text", ["[" * 850 + "]" * 850, "[" * 60_000, '{"a":' * 40 + "1" + "}" * 40])
def test_what_indenting_would_make_huge_stays_as_it_came(text: str):
    assert laid_out(text) == text


@pytest.mark.parametrize("text", ['"\\ud800"', '{"a": "\\udc00"}', "\ud800"])
def test_half_a_surrogate_pair_can_be_shown(text: str):
    laid_out(text).encode()


def test_a_long_flat_answer_grows_by_less_than_a_hundred_times():
    text = "[" * 30 + ",".join("1" * 20_000) + "]" * 30
    assert len(laid_out(text)) < 100 * len(text)
