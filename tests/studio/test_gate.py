"""What the studio answers to requests that its page does not make: raw ones, to a server in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.studio_server import PATIENCE, Server, started

from unseen.studio import gate

pytestmark = [  # gradio takes seconds to import, and its server to start
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]

JOIN, UPLOAD, FILE = "/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/file="


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """After all tests it still answers, has printed no error, and has kept nothing outside of its folder."""
    server = started(tmp_path_factory)
    yield server
    assert ask(server, "/").status == 200
    assert server.errors == ""
    assert len(list(server.folder.iterdir())) == 1
    server.end(signal.SIGINT)
    assert list(server.folder.iterdir()) == []


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    body: bytes


def ask(server: Server, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a request: POST where there is a body, which is JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    try:
        request = urllib.request.Request(server.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())


def upload(server: Server, name: str, content: bytes) -> Answer:
    """Upload a file as a browser does."""
    field = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = field.encode() + content + b"\r\n--edge--\r\n"
    return ask(server, UPLOAD, body, Content_Type="multipart/form-data; boundary=edge")


def action(server: Server, name: str, *inputs: Any, event: Any = None) -> Answer:
    """Ask for an action of the page, and wait for its last message."""
    config = json.loads(ask(server, "/config").body)
    number = next(one["id"] for one in config["dependencies"] if one["api_name"] == name)
    joined = ask(server, JOIN, {"data": inputs, "fn_index": number, "session_hash": name, "event_data": event})
    if joined.status != 200:
        return joined
    messages = ask(server, f"/gradio_api/queue/data?session_hash={name}").body.decode().split("\n\n")
    return Answer(200, next(text for text in messages if "process_completed" in text).encode())


def file_field(path: object, **others: Any) -> dict[str, Any]:
    """What the page sends for a file that was dropped on it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **others}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph that was not uploaded."""
    path = tmp_path_factory.mktemp("photos") / "private.png"
    Image.fromarray(np.full((40, 50, 3), 99, np.uint8)).save(path)
    return path


def test_a_picture_that_was_uploaded_is_used(server: Server, photo: Path) -> None:
    (path,) = json.loads(upload(server, "../../sent.png", photo.read_bytes()).body)
    assert Path(path).is_relative_to(server.folder)
    assert ask(server, FILE + path).body == photo.read_bytes()
    about = action(server, "accept", file_field(path, url=FILE + path)).body.decode()
    assert "sent.png</b> 50×40 pixels" in about


@pytest.mark.parametrize(
    "name", ["..", ".", "../../..", "a/../../../b.png", "/etc/cron.d/x.png", "x" * 3000, "\\..\\x", "é.png"]
)
def test_an_upload_is_stored_in_its_folder_whatever_its_name(server: Server, name: str) -> None:
    answer = upload(server, name, b"no picture")
    assert answer.status in (200, 400)
    if answer.status == 200:
        (path,) = json.loads(answer.body)
        assert Path(path).resolve().is_relative_to(server.folder)


@pytest.mark.parametrize("action_name", ["accept", "accept_1"])
def test_no_other_file_is_used(server: Server, photo: Path, action_name: str) -> None:
    (sent,) = json.loads(upload(server, "sent.png", photo.read_bytes()).body)
    (folder,) = server.folder.iterdir()
    (folder / "results" / "made.png").write_bytes(photo.read_bytes())
    (folder / "link.png").unlink(missing_ok=True)
    (folder / "link.png").symlink_to(photo)
    for path in (
        photo,
        f"{folder}/../../photos/private.png",
        f"{folder}/{'../' * 30}etc/passwd",
        folder / "link.png",
        folder / "results" / "made.png",
        folder,
        "/etc/passwd",
        "etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "http://[::1]/x",
        f"{sent}\0.png",
        "",
        "x" * 10_000,
        7,
        [sent],
        {"path": sent},
    ):
        answer = action(server, action_name, file_field(str(path) if isinstance(path, Path) else path), "")
        assert (answer.status, answer.body) == (403, f"{gate.NOT_UPLOADED}\n".encode()), path
    for url in ("http://127.0.0.1:1/", "https://example.org/x.png", "file:///etc/passwd", f"{FILE}/etc/passwd@", 5):
        answer = action(server, action_name, file_field(sent, url=url), "")
        assert answer.status == (200 if str(url).startswith(FILE) else 403), url  # the page reads the path alone
    for nested in (
        {"a": [file_field("/etc/passwd")]},
        [[[file_field("/etc/passwd")]]],
        {"value": {"path": "/etc/passwd"}},
    ):
        assert action(server, action_name, nested, "").status == 403
    assert photo.exists()


def test_no_other_file_is_sent(server: Server, photo: Path) -> None:
    (folder,) = server.folder.iterdir()
    (folder / "other.png").unlink(missing_ok=True)
    (folder / "other.png").symlink_to(photo)
    for path in (
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "/dev/zero",
        photo,
        Path(__file__),
        Path.cwd() / "README.md",
        "README.md",
        f"{folder}/../../photos/private.png",
        folder,
        folder / "other.png",
        "http://127.0.0.1:1/",
        "https://example.org/",
        "file:///etc/passwd",
    ):
        assert ask(server, f"{FILE}{path}").status == 403, path


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/accept",
        "/gradio_api/api/accept",
        "/gradio_api/call/accept",
        "/gradio_api/call/v2/accept",
        "/gradio_api/component_server",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-edit",
        "/gradio_api/stream/1",
        "/gradio_api/queue/join/",
        "//gradio_api/queue/join",
        "/gradio_api/upload/",
        "/login",
    ],
)
def test_no_other_way_in_takes_a_file(server: Server, photo: Path, path: str) -> None:
    assert ask(server, path, {"data": [file_field(str(photo))]}).status == 404


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/file//etc/passwd", "/docs", "/openapi.json", "/monitoring"],
)
def test_what_the_page_does_not_read_is_not_there(server: Server, path: str) -> None:
    assert ask(server, path).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 60_000,
        b'{"a":' * 9_000,
        b"9" * 6_000,
        b'{"data": [NaN]}',
        b"\xff\xfe{}",
        b"\x80",
        b'{"data": ' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
def test_what_is_no_action_is_refused(server: Server, body: bytes) -> None:
    assert ask(server, JOIN, body).status == 400


def test_an_action_that_does_not_fit_the_page_is_an_error_of_the_page(server: Server) -> None:
    for inputs in ([], [5], ["/etc/passwd"], [{"data": "x"}], [1, 2, 3]):
        assert b'"success":false' in action(server, "accept", *inputs).body
    for kind, strength, left in (("nothing", 5, 1), ("jpeg", 1e308, 1), ("jpeg", "\33[2J", 1), ("jpeg", 5, -9)):
        assert b'"success":false' in action(server, "show_strength", None, kind, strength, left, 1, None).body
    events: list[Any] = [None, [], "x", {"x": 0.5}, {"x": "nan", "y": 0}, {"x": 0, "y": 1e308}, {"x": {}, "y": []}]
    for event in events:
        assert b'"success":false' in action(server, "choose_place", event=event).body
    assert ask(server, JOIN, {"data": [], "fn_index": "x", "session_hash": "s"}).status == 422


def test_sizes_are_bounded_by_what_the_request_says_before_it_is_read(server: Server) -> None:
    assert ask(server, JOIN, b" " * (gate.MAX_JSON + 1)).status == 413
    host, port = server.url.removeprefix("http://").split(":")
    for length, status in (
        (f"Content-Length: {gate.MAX_UPLOAD * 2}", 413),
        (f"Content-Length: {'9' * 18}", 413),
        ("Transfer-Encoding: chunked", 411),
        ("X-None: 0", 411),
    ):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            request = f"POST {UPLOAD} HTTP/1.1\r\nHost: {host}:{port}\r\n{length}\r\n"
            connection.sendall(f"{request}Content-Type: multipart/form-data; boundary=edge\r\n\r\n".encode())
            assert int(connection.recv(100).split()[1]) == status, length


def test_a_full_folder_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_STORED", 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "picture.png").write_bytes(bytes(800))
    guarded = gate.Gate(lambda *_: None, tmp_path, tmp_path / "results")  # type: ignore[arg-type]
    guarded._require_room(200)
    with pytest.raises(gate.Refusal, match="as many files as it may"):
        guarded._require_room(201)


def test_only_its_own_pages_are_answered(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    own = f"localhost:{port}"
    assert ask(server, "/", Host=own, Origin=f"http://{own}").status == 200
    assert ask(server, "/", Origin=server.url, Sec_Fetch_Site="same-origin").status == 200
    assert ask(server, "/", Sec_Fetch_Site="none").status == 200
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(server, "/", **link, Sec_Fetch_Dest="document").status == 200
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": f"https://127.0.0.1:{port}"},
        {"Origin": f"http://{own}"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {**link, "Sec_Fetch_Dest": "iframe"},
    ):
        assert ask(server, "/", **headers).status == 403, headers
        assert ask(server, JOIN, {"data": []}, **headers).status == 403, headers
        assert ask(server, UPLOAD, b"", **headers).status == 403, headers
    with pytest.raises(ConnectionRefusedError):  # as any address but the one
        socket.create_connection(("127.0.0.2", int(port)), timeout=PATIENCE)
