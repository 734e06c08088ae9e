"""Which devices multiply in bfloat16 by themselves."""

from __future__ import annotations

import pytest
import torch

from unseen.core.precision import CPU_FEATURES, native_bf16


@pytest.mark.parametrize("feature", CPU_FEATURES)
def test_a_processor_is_native_by_any_of_its_instructions(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, feature: True}, raising=False)
    assert native_bf16("cpu")


def test_a_processor_without_such_instructions_or_a_pytorch_that_cannot_tell_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "amx_bf16": False}, raising=False)
    assert not native_bf16("cpu")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not native_bf16("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_native_from_its_capability_on() -> None:
    assert native_bf16("cuda:0") == (torch.cuda.get_device_capability(0) >= (8, 0))
