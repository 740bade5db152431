from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch

from jamais.learning.threads import cpu_threads


@pytest.fixture(autouse=True)
def _three_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_number_holds_inside_and_is_restored_after_errors_too() -> None:
    with cpu_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), cpu_threads(2):
        _ = 1 / 0
    assert torch.get_num_threads() == 3


def test_holders_that_overlap_leave_the_first_setting_in_any_order() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(cpu_threads(2))
    second.enter_context(cpu_threads(1))
    assert torch.get_num_threads() == 1
    first.close()
    assert torch.get_num_threads() == 1
    second.close()
    assert torch.get_num_threads() == 3
