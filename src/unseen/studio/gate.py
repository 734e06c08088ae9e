"""The gate before the page: which requests reach gradio, and which files they may name.

gradio checks no path on a page that is mounted in a web application: a request could name any file of this machine,
or an address on the network. So everything that the page itself does not ask for is refused before gradio sees it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""A web application by the ASGI specification."""
Receive = Callable[[], Awaitable[Any]]
"""The function of the ASGI specification that returns the next piece of a request."""

HOSTS = ("127.0.0.1", "localhost")
"""The names of this machine under which the page is served."""
API = "/gradio_api"
PICTURES = f"{API}/file="
"""Start of the addresses of files; the file's path follows."""
UPLOAD = f"{API}/upload"
PAGE_PATHS = {
    "/",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/theme.css",
    f"{API}/queue/data",
    f"{API}/upload_progress",
}
"""What the page reads by GET, besides what is below `PAGE_FOLDERS`."""
PAGE_FOLDERS = ("/assets/", "/static/", f"{API}/heartbeat/")
"""Starts of addresses under which the page reads anything by GET."""
ACTIONS = (f"{API}/queue/join", f"{API}/cancel", f"{API}/reset")
"""What the page sends JSON to."""
MAX_JSON = 64 * 2**10
"""The largest number of bytes of an action: it holds names and numbers, and paths of uploads."""
MAX_DEPTH = 16
"""The deepest nesting of an action."""
MAX_UPLOAD = 200 * 2**20
"""The largest number of bytes of an upload."""
MAX_STORED = 2 * 2**30
"""The largest number of bytes of all uploads and results together."""
WORDS_AROUND = 64 * 2**10
"""Bytes that an upload may need besides its file, for the names of its fields."""

NOT_UPLOADED = "only files that were uploaded to this page can be used"


class Refusal(Exception):  # noqa: N818 (an answer)
    """Signal that a request is not passed on.

    Attributes:
        status: status code of HTTP.
        reason: one line for whoever sent the request.
    """

    def __init__(self, status: int, reason: str) -> None:
        """Refuse with this status and reason."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Gate:
    """A web application that passes on to gradio only what gradio's own page asks for.

    Attributes:
        app: gradio's application.
        folder: the folder of uploads and results, its links resolved; no other file is read.
        results: the folder within `folder` that holds what the page made; files in it can be fetched, but not used.
    """

    def __init__(self, app: AsgiApp, folder: Path, results: Path) -> None:
        """Put the gate before `app`."""
        self.app = app
        self.folder = folder
        self.results = results
        self._arriving = 0  # bytes of uploads under way

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        """Answer one request, by the ASGI specification."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # the page needs no websocket
            try:
                await self._pass_on(scope, receive, send)
            except Refusal as refusal:
                headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
                await send({"type": "http.response.body", "body": f"{refusal.reason}\n".encode()})

    async def _pass_on(self, scope: Any, receive: Receive, send: Any) -> None:
        """Check a request and pass it on. Raises Refusal."""
        headers, method, path = dict(scope["headers"]), scope["method"], scope["path"]
        if not is_local_request(headers, scope["server"][1]):
            raise Refusal(403, "for pages of this machine only")
        if method in ("GET", "HEAD") and path.startswith(PICTURES):
            if not is_file_in(self.folder, path.removeprefix(PICTURES)):
                raise Refusal(403, NOT_UPLOADED)
            await self.app(scope, receive, send)
        elif method in ("GET", "HEAD") and (path in PAGE_PATHS or path.startswith(PAGE_FOLDERS)):
            await self.app(scope, receive, send)
        elif method == "POST" and path == UPLOAD:
            size = declared_size(headers, MAX_UPLOAD + WORDS_AROUND)
            self._require_room(size)
            self._arriving += size
            try:
                await self.app(scope, receive, send)
            finally:
                self._arriving -= size
        elif method == "POST" and path in ACTIONS:
            declared_size(headers, MAX_JSON)
            self._require_room(0)
            body = self._checked_action(await whole_body(receive), f"http://{headers[b'host'].decode()}")
            length = (b"content-length", str(len(body)).encode())
            scope = {**scope, "headers": [*(pair for pair in scope["headers"] if pair[0] != length[0]), length]}
            await self.app(scope, replayed(body, receive), send)
        else:
            raise Refusal(404, "the page has nothing of this name")

    def _require_room(self, size: int) -> None:
        """Raise Refusal where `size` more bytes are too many beside those that are stored already."""
        stored = sum(file.lstat().st_size for file in self.folder.rglob("*") if not file.is_dir())
        if stored + self._arriving + size > MAX_STORED:
            raise Refusal(507, "the page holds as many files as it may; it deletes them after an hour")

    def _checked_action(self, body: bytes, origin: str) -> bytes:
        """Read an action's JSON, check every file in it, and write it again: gradio reads exactly what was checked.

        Args:
            body: the body of the request.
            origin: start of the page's own addresses.

        Raises:
            Refusal: the body is not JSON as the page writes it, or names a file that was not uploaded.
        """
        try:
            action = json.loads(body, parse_constant=refuse_constant)
            for item in objects_of(action):
                self._require_upload(item, origin)
            return json.dumps(action).encode()
        except (ValueError, RecursionError) as error:
            raise Refusal(400, "not an action of this page") from error

    def _require_upload(self, item: Mapping[str, Any], origin: str) -> None:
        """Raise Refusal where a JSON object names a file that is no upload, or an address that is not of this page."""
        path, url = item.get("path"), item.get("url")
        if path is not None and (not is_file_in(self.folder, path) or is_file_in(self.results, path)):
            raise Refusal(403, NOT_UPLOADED)
        if url is not None and not str(url).removeprefix(origin).startswith(PICTURES):
            raise Refusal(403, NOT_UPLOADED)


def is_local_request(headers: Mapping[bytes, bytes], port: int) -> bool:
    """Whether a request is for one of this machine's names, and from no other page than ours.

    A foreign page that is open in the browser can send requests to 127.0.0.1, and can read the answers if the page's
    host name resolves to 127.0.0.1 (DNS rebinding): such requests carry another host, or another origin. Requests for
    pictures and frames carry no origin: browsers say there that they are cross-site. A link to the page is answered.

    Args:
        headers: headers of the request, names in lower case.
        port: port of the server.
    """
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    if host not in [f"{name}:{port}".encode() for name in HOSTS] or origin not in (None, b"http://" + host):
        return False
    from_link = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    return from_link or headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin")


def is_file_in(folder: Path, name: object) -> bool:
    """Whether a text is the absolute path of a regular file in a folder, also after all links are followed."""
    if not isinstance(name, str) or "\0" in name or not Path(name).is_relative_to(folder) or ".." in Path(name).parts:
        return False  # before the disk is asked, which may take long for a device or a network folder
    try:
        path = Path(name).resolve(strict=True)
        return path.is_relative_to(folder) and path.is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def declared_size(headers: Mapping[bytes, bytes], most: int) -> int:
    """The size of a request's body, as its header says. Raises Refusal where that is missing, or more than `most`."""
    text = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not text.isdigit():
        raise Refusal(411, "an upload must say its size")
    if len(text) > 12 or int(text) > most:  # the server reads no more than what is declared
        raise Refusal(413, f"more than {most} bytes")
    return int(text)


async def whole_body(receive: Receive) -> bytes:
    """Read the whole body of a request; it is empty if the visitor has gone."""
    pieces, more = list[bytes](), True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The function that returns a body which was read already, and then whatever follows it."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Any:
        return pending.pop() if pending else await receive()

    return receive_again


def objects_of(document: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every JSON object of a document. Raises ValueError where it is nested deeper than `MAX_DEPTH`."""
    level = [document]
    for _ in range(MAX_DEPTH):
        objects = [item for item in level if isinstance(item, dict)]
        yield from objects
        level = [value for item in objects for value in item.values()] + [
            value for item in level if isinstance(item, list) for value in item
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH}")


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN and infinities, which Python reads and JSON has not."""
    raise ValueError(name)
