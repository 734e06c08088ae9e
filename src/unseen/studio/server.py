"""A server of the page for this machine alone: one port of 127.0.0.1, one temporary folder, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from ..core.errors import UserError
from ..core.html_page import shared_text
from ..core.installation import install_command
from ..core.interruption import interruptible
from ..core.terminal import show
from ..models.loading import Model
from ..restoration.tiles import Tiling, tiling_for
from .folder import delete_old_files, private_folder
from .gate import MAX_UPLOAD, AsgiApp, Gate

HOST = "127.0.0.1"
FIRST_PORT, PORTS, LAST_PORT = 7860, 100, 65535
TILE_SIDE = 256
"""Side of a tile in pixels."""
SHUTDOWN_TIMEOUT, ENDING_TIMEOUT = 1, 1.2
"""Seconds that the browser's connections may take to end, and the whole server."""
MAX_VISITORS = 50
"""The number of visitors whose photographs are kept in memory; the one who came first is forgotten for the next."""
FONTS = ("Segoe UI", "Helvetica Neue", "Arial", "sans-serif")
"""Fonts of the visitor's computer, so that none is fetched."""


def in_small_tiles(model: Model) -> Tiling:
    """Choose small tiles for photographs, so that the page shows progress."""
    return tiling_for(model, memory=0, tile=TILE_SIDE)


def serve(
    models: Mapping[str, Model],
    port: int = 0,
    open_browser: bool = True,
    tiling_of: Callable[[Model], Tiling] = in_small_tiles,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; then delete uploads and results, and return within two seconds.

    A network that is still at work then ends at its next tile; its thread keeps the process alive until then.

    Args:
        models: the models by the names to show, at least one.
        port: port of 127.0.0.1; 0 takes the first free port from 7860 on.
        open_browser: whether to open the page in the user's browser.
        tiling_of: function that chooses the tiles for a model.

    Raises:
        UserError: gradio is missing, or the port is taken or out of range.
    """
    with listening(port) as listener, interruptible() as stop, private_folder() as folder:
        url = f"http://{HOST}:{listener.getsockname()[1]}"

        def ready() -> None:
            show(f"{url}  (Ctrl-C ends it)")
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # a text browser would block

        threading.Thread(target=delete_old_files, args=(folder, stop), daemon=True).start()

        def work() -> None:
            run(application(models, tiling_of, folder, stop), listener, ready, stop)

        try:
            in_background(work, stop)
        finally:
            stop.set()


def in_background(work: Callable[[], None], stop: threading.Event) -> None:
    """Run a function in a thread, so that a signal is obeyed whatever runs; return soon after `stop` is set.

    Raises:
        Exception: the exception of `work`.
    """
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    while thread.is_alive() and not stop.wait(0.1):
        pass
    thread.join(ENDING_TIMEOUT if stop.is_set() else None)
    if errors and not stop.is_set():
        raise errors[0]


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


def application(
    models: Mapping[str, Model], tiling_of: Callable[[Model], Tiling], folder: Path, stop: threading.Event
) -> AsgiApp:
    """Make the web application of the page, for the arguments of `serve`. Raises UserError if gradio is missing."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read at gradio's import, as no argument turns all analytics off
    try:
        import gradio as gr
        from fastapi import FastAPI
    except ImportError as error:
        raise UserError(f"studio: needs gradio: {install_command('studio')} ({error})") from error
    from .page import build_page

    results = folder / "results"
    results.mkdir()
    fonts = [gr.themes.Font(name) for name in FONTS]
    page = build_page(models, tiling_of, results, stop)
    page.state_session_capacity = MAX_VISITORS
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
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
        css=shared_text("divider.css") + resources.files(__package__).joinpath("style.css").read_text("utf-8"),
    )
    return Gate(app, folder, results)


def run(app: AsgiApp, listener: socket.socket, ready: Callable[[], None], stop: threading.Event) -> None:
    """Serve until `stop` is set.

    Args:
        app: the page.
        listener: the socket to serve on.
        ready: function called once the page can be visited.
        stop: event that ends the server.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start as usual, then call `ready`."""
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            """Whether the server is to end; asked ten times a second."""
            return await super().on_tick(counter) or stop.is_set()

    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=SHUTDOWN_TIMEOUT)
    Server(config).run(sockets=[listener])
