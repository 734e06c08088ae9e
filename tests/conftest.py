"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and two pools on two cores lose a lot."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def real_images() -> Path:
    """The folder of real image sets that UNSEEN_TEST_DATA names."""
    folder = os.environ.get("UNSEEN_TEST_DATA")
    if not folder:
        pytest.skip("UNSEEN_TEST_DATA names no folder of real images")
    return Path(folder)
