"""A server of the page for this machine alone: one port of 127.0.0.1, one temporary folder, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

from ..core.errors import UserError
from ..core.interruption import interruptible
from ..core.terminal import show
from ..models.loading import Model
from ..restoration.tiles import Tiling, tiling_for

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""A web application by the ASGI specification."""

HOST = "127.0.0.1"
FIRST_PORT, PORTS, LAST_PORT = 7860, 100, 65535
MAX_UPLOAD = 200 * 2**20
"""The largest number of bytes of an upload."""
TILE_SIDE = 256
"""Side of a tile in pixels."""
SHUTDOWN_TIMEOUT = 1
"""Seconds that the browser's connections may take to end."""
FONTS = ("Segoe UI", "Helvetica Neue", "Arial", "sans-serif")
"""Fonts of the visitor's computer, so that none is fetched."""
GRADIO_MISSING = "studio: needs gradio; pip install 'unseen[studio]'"


def in_small_tiles(model: Model) -> Tiling:
    """Choose small tiles for photographs, so that the page shows progress."""
    return tiling_for(model, memory=0, tile=TILE_SIDE)


def serve(
    models: Mapping[str, Model],
    port: int = 0,
    open_browser: bool = True,
    tiling_of: Callable[[Model], Tiling] = in_small_tiles,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; then delete uploads and results, and return.

    Args:
        models: the models by the names to show, at least one.
        port: port of 127.0.0.1; 0 takes the first free port from 7860 on.
        open_browser: whether to open the page in the user's browser.
        tiling_of: function that chooses the tiles for a model.

    Raises:
        UserError: gradio is missing, or the port is taken or out of range.
    """
    stop = threading.Event()
    # The server raises its signal once more when it has ended: `interruptible` handles this second one.
    with listening(port) as listener, private_folder() as folder, interruptible():
        app = application(models, tiling_of, folder, stop)
        url = f"http://{HOST}:{listener.getsockname()[1]}"

        def ready() -> None:
            show(f"{url}  (Ctrl-C ends it)")
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # a text browser would block

        run(app, listener, stop, ready)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Yield a socket that holds the port, so that no other program takes it before the server does.

    Args:
        port: port of 127.0.0.1; 0 takes the first free port from 7860 on.

    Raises:
        UserError: the port is taken or out of range.
    """
    if not 0 <= port <= LAST_PORT:
        raise UserError(f"port: {port} is not within 0 to {LAST_PORT}")
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for number in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen()  # else another program could still bind the port
        except OSError as error:
            listener.close()
            reason = error
            continue
        with listener:
            yield listener
        return
    which = f"port {port}" if port else f"ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1}"
    raise UserError(f"port: {HOST}, {which}: {reason.strerror}; give another --port") from reason


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a temporary folder that only this user can open, for all temporary files, and delete it afterwards."""
    before = {name: os.environ.get(name) for name in ("GRADIO_TEMP_DIR", "TMPDIR")}
    with tempfile.TemporaryDirectory(prefix="unseen-studio-", ignore_cleanup_errors=True) as folder:
        os.environ.update(dict.fromkeys(before, folder))
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def application(
    models: Mapping[str, Model], tiling_of: Callable[[Model], Tiling], folder: Path, stop: threading.Event
) -> AsgiApp:
    """Make the web application of the page, for the arguments of `serve`. Raises UserError if gradio is missing."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read at gradio's import, as no argument turns all analytics off
    try:
        import gradio as gr
        from fastapi import FastAPI
    except ImportError as error:
        raise UserError(GRADIO_MISSING) from error
    from .page import build_page

    results = folder / "results"
    results.mkdir()
    fonts = [gr.themes.Font(name) for name in FONTS]
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        build_page(models, tiling_of, results, stop),
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(primary_hue="blue", font=fonts, font_mono=fonts),
        css=resources.files(__package__).joinpath("style.css").read_text("utf-8"),
    )
    return LocalOnly(app)


class LocalOnly:
    """A web application that answers only requests from this machine's own pages.

    A foreign page that is open in the browser can send requests to 127.0.0.1, and can read the answers if the page's
    host name resolves to 127.0.0.1 (DNS rebinding): such requests carry another host, or another origin.
    """

    def __init__(self, app: AsgiApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, by the ASGI specification."""
        if scope["type"] == "http" and not is_local_request(dict(scope["headers"]), scope["server"][1]):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"for pages of this machine only\n"})
        elif scope["type"] != "websocket":  # the page needs none
            await self.app(scope, receive, send)


def is_local_request(headers: Mapping[bytes, bytes], port: int) -> bool:
    """Whether a request is for one of this machine's names, and from no other page than ours.

    Args:
        headers: headers of the request, names in lower case.
        port: port of the server.
    """
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    own = [f"{name}:{port}".encode() for name in (HOST, "localhost")]
    return host in own and origin in (None, b"http://" + host)


def run(app: AsgiApp, listener: socket.socket, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve until a signal, which sets `stop`; raise the signal again when everything has ended.

    Args:
        app: the page.
        listener: the socket to serve on.
        stop: event that the signal sets.
        ready: function called once the page can be visited.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start as usual, then call `ready`."""
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Set `stop`, so that all work ends, then exit as usual."""
            stop.set()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=SHUTDOWN_TIMEOUT)
    Server(config).run(sockets=[listener])
