"""The page on this machine alone: one port of 127.0.0.1, one temporary folder, until Ctrl-C or SIGTERM."""

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
from ..models.loading import Model
from ..restoration.tiles import Tiling, tiling_for

Program = Callable[[Any, Any, Any], Awaitable[None]]
"""What a server runs, by the ASGI specification."""

HOST = "127.0.0.1"
FIRST_PORT, PORTS, LAST_PORT = 7860, 100, 65535
LARGEST = 200 * 2**20
"""Bytes of an upload."""
TILE = 256
"""Pixels along a tile."""
PATIENCE = 1
"""Seconds that the browser's connections may take to end."""
FONTS = ("Segoe UI", "Helvetica Neue", "Arial", "sans-serif")
"""The reader's own: none is fetched."""
NEEDED = "studio: needs gradio; pip install 'unseen[studio]'"


def in_small_tiles(model: Model) -> Tiling:
    """For photographs of a page any tile will do: small ones, so that progress is seen."""
    return tiling_for(model, memory=0, tile=TILE)


def serve(
    models: Mapping[str, Model],
    port: int = 0,
    open_browser: bool = True,
    tiling_of: Callable[[Model], Tiling] = in_small_tiles,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; returns then, and nothing is left of uploads and results.

    models: at least one, by the name to show. port: of 127.0.0.1; 0 takes the first that is free from 7860 on.
    tiling_of: how photographs are cut for a model.
    Raises UserError where gradio is missing, or the port is taken or none.
    """
    stop = threading.Event()
    # The server raises its signal once more when it has ended: interruptible takes that one.
    with listening(port) as listener, temporary_folder() as folder, interruptible():
        app = application(models, tiling_of, folder, stop)
        url = f"http://{HOST}:{listener.getsockname()[1]}"

        def ready() -> None:
            print(f"{url}  (Ctrl-C ends it)", flush=True)
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # a text browser would block

        run(app, listener, stop, ready)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that holds the port, so that nobody takes it before the server does."""
    if not 0 <= port <= LAST_PORT:
        raise UserError(f"port: {port} is not within 0 to {LAST_PORT}")
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for number in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen()  # or else another might yet bind it
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
def temporary_folder() -> Iterator[Path]:
    """A folder that only this user can look into, for gradio and for all else that needs one; gone at the end."""
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
) -> Program:
    """The page as a program for a server. Raises UserError where gradio is missing."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported, for what no argument turns off
    try:
        import gradio as gr
        from fastapi import FastAPI
    except ImportError as error:
        raise UserError(NEEDED) from error
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
        max_file_size=LARGEST,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(primary_hue="blue", font=fonts, font_mono=fonts),
        css=resources.files(__package__).joinpath("style.css").read_text("utf-8"),
    )
    return Guarded(app)


class Guarded:
    """A program for a server that answers this machine's own pages alone.

    A page from elsewhere that a browser has open can send requests to 127.0.0.1, and read the answers where its name
    has been made to mean 127.0.0.1 (DNS rebinding): such requests carry another host, or another origin.
    """

    def __init__(self, app: Program) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not is_own(dict(scope["headers"]), scope["server"][1]):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"for pages of this machine only\n"})
        elif scope["type"] != "websocket":  # the page needs none
            await self.app(scope, receive, send)


def is_own(headers: Mapping[bytes, bytes], port: int) -> bool:
    """Whether a request is for one of this machine's names, and from no page but ours."""
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    own = [f"{name}:{port}".encode() for name in (HOST, "localhost")]
    return host in own and origin in (None, b"http://" + host)


def run(app: Program, listener: socket.socket, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve until a signal asks to end: sets `stop` then. The signal is raised again when all has ended."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            stop.set()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=PATIENCE)
    Server(config).run(sockets=[listener])
