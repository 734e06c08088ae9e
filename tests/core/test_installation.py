"""The command that adds an extra fits the way in which the package was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from unseen.core.installation import PROJECT, install_command


class Installed:
    """A distribution as importlib.metadata knows it."""

    def __init__(self, record: str | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        return self.record if name == "direct_url.json" else None


def test_the_command_fits_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my unseen"
    folder.mkdir()
    url = folder.as_uri()
    for record, command in (
        (None, "pip install 'unseen[onnx]'"),
        (f'{{"url": "{url}", "dir_info": {{"editable": true}}}}', f"pip install -e '{folder}[onnx]'"),
        (f'{{"url": "{url}", "dir_info": {{}}}}', f"pip install '{folder}[onnx]'"),
        ('{"url": "file:///gone", "dir_info": {}}', "pip install '.[onnx]'"),
        ('{"url": "https://example.org/u.zip"}', "pip install 'unseen[onnx] @ https://example.org/u.zip'"),
    ):
        monkeypatch.setattr("unseen.core.installation.distribution", lambda name, r=record: Installed(r))
        assert install_command("onnx") == command


def test_without_an_installation_the_folder_of_the_project_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("unseen.core.installation.distribution", absent)
    assert install_command("zoo") == f"pip install -e '{PROJECT}[zoo]'"
    assert (PROJECT / "pyproject.toml").exists()
