"""Damaged pictures and hostile names, through the commands that read pictures."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from support.commandline import MACHINE, RECIPE, photographs

from .oracle import Allowance, MiB
from .pictures import damaged, seed_pictures
from .workshop import Sandbox, Workshop

AT_ONCE = 6
"""Pictures in a folder: a command takes less time for six than six commands for one each."""

SHORT = [
    word
    for name, value in (RECIPE | {"budget": 4, "patch": 8, "validations": 1}).items()
    for word in (f"--{name}", str(value))
]
"""Options of a training of four steps."""

PICTURES = Allowance(memory=640 * MiB, lines=4 * AT_ONCE + 4)


def damage_pictures(workshop: Workshop, seed: int) -> None:
    """Give damaged pictures to a command that reads pictures."""
    random = Random(seed)
    with workshop.sandbox(f"pictures-{seed}") as sandbox:
        folder = sandbox.work / "photos"
        folder.mkdir()
        for i in range(AT_ONCE):
            name = random.choice(list(seed_pictures()))
            (folder / f"{i}-{name}").write_bytes(damaged(name, random))
        shutil.copy(workshop.model, sandbox.work / "model.safetensors")
        kind = random.choice(("restore", "restore", "restore", "degrade", "train", "check-data", "evaluate"))
        if kind in ("train", "evaluate"):
            photographs(sandbox.work / "intact", "x.png", "y.png")
            for path in (sandbox.work / "intact").iterdir():
                shutil.move(path, folder)
        sandbox.run(*command(kind, random), allowance=PICTURES)


def command(kind: str, random: Random) -> list[str]:
    """A command that reads the folder `photos`."""
    if kind == "restore":
        more = random.choice(
            (
                [],
                ["--pages"],
                ["--no-harm-check"],
                ["--keep-colours"],
                ["--keep-times"],
                ["--format", random.choice(("png", "jpeg", "tiff", "webp"))],
            )
        )
        return ["restore", "photos", "--model", "model.safetensors", "--memory", "64MiB", *MACHINE, "-o", "out", *more]
    return {
        "degrade": ["degrade", "photos", "--distortion", "gaussian_noise:30", "--out", "out"],
        "grid": ["degrade", "photos", "--grid", "--distortion", "gaussian_noise:30", "--out", "out"],
        "train": ["train", *MACHINE, *SHORT, "--method", "erm", "--data", "photos", "--out", "out"],
        "evaluate": ["evaluate", "model.safetensors", *MACHINE, "--test", "q=photos", "--out", "out"],
        "compare": [
            "compare",
            *MACHINE,
            *SHORT,
            "--methods",
            "erm",
            "--data",
            "photos",
            "--test",
            "q=photos",
            "--out",
            "out",
        ],
        "check-data": ["check-data", "set5=photos"],
    }[kind]


# ------------------------------------------------------------------------------------------------ names

PIECES = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\n",
    "\r",
    "\t",
    "\x00"[:0],
    "\u202egnp",
    "\u2028",
    "\x7f",
    "\x9b31m",
    "é",
    "名",
    "😀",
    "\udcff",
    "\udc80\udcfe",
    " ",
    "  ",
    "%s",
    "{}",
    "{0.__class__}",
    "$(touch ran)",
    "`touch ran`",
    ";touch ran",
    "|",
    "&",
    "<b>",
    "'",
    '"',
    "\\",
    "*",
    "?",
    "[a]",
    "-",
    "--out",
    "~",
    "=",
    ":",
    "@",
    "#",
    "a" * 60,
    "con",
    "..",
    "[bold]",
    "[/]",
)
"""Of what hostile names are made: what terminals, shells, patterns and markup take for more than text."""


def hostile_text(random: Random, longest: int = 200) -> str:
    """A text that is no path, of at most so many bytes."""
    text = "".join(random.choice(PIECES) for _ in range(random.choice((1, 2, 3, 6))))
    while len(text.encode(errors="surrogateescape")) > longest:
        text = text[:-1]
    return text.replace("/", "").strip(".") or "x"


def hostile_names(workshop: Workshop, seed: int) -> None:
    """Give files, folders and options with hostile names to any command, at a terminal or not."""
    random = Random(seed)
    with workshop.sandbox(f"names-{seed}") as sandbox:
        photos = photographs(sandbox.work / "photos", "x.png", "y.png", "z.png")
        for i, path in enumerate(sorted(photos.iterdir())[:2]):
            path.rename(photos / (hostile_text(random) + f"{i}.png"))
        (photos / (hostile_text(random) + ".png")).write_bytes(random.choice((b"", b"no picture", b"\x89PNG")))
        shutil.copy(workshop.model, sandbox.work / "model.safetensors")
        terminal = random.random() < 0.4
        if random.random() < 0.5:
            kind = random.choice(("restore", "degrade", "grid", "train", "evaluate", "check-data", "compare"))
            words = command(kind, random)
            allowance = Allowance(lines=30)
            sandbox.run(*words, allowance=allowance, terminal=terminal)
            _require_nothing_ran(sandbox)
            return
        words = _with_hostile_word(sandbox, random)
        sandbox.run(*words, allowance=Allowance(lines=30), terminal=terminal, writable=[sandbox.work])
        _require_nothing_ran(sandbox)


def _with_hostile_word(sandbox: Sandbox, random: Random) -> list[str]:
    """A command of which one word is hostile; what it names may be there."""
    text = hostile_text(random)
    suffix = random.choice(("", ".yaml", ".png", ".onnx", ".safetensors", ".pth", ".jsonl"))
    named = Path(sandbox.work / (text + suffix))
    if random.random() < 0.5 and "\0" not in text:
        named.write_bytes(random.choice((b"", b"a: [", b"{}", b"name: \x1b[31m", b"\xff\xfe")))
    words = random.choice(
        (
            ["describe", "WORD"],
            ["card", "WORD"],
            ["rank", "WORD"],
            ["check-data", "WORD"],
            ["check-data", "set5=WORD"],
            ["list", "methods", "WORD"],
            ["WORD"],
            ["restore", "WORD", "-o", "out"],
            ["restore", "photos", "-o", "out", "--model", "WORD"],
            ["restore", "photos", "-o", "out", "--memory", "WORD"],
            ["train", "--config", "WORD"],
            ["train", "--method", "WORD", "--out", "out"],
            ["train", "--method", "erm:WORD", "--out", "out"],
            ["train", "--protocol", "WORD", "--out", "out"],
            ["train", "--backbone", "WORD", "--out", "out"],
            ["train", "--data", "WORD", "--out", "out"],
            ["train", "--budget", "WORD", "--out", "out"],
            ["degrade", "photos", "--distortion", "WORD", "--out", "out"],
            ["degrade", "photos", "--replay", "WORD", "--out", "out"],
            ["evaluate", "WORD", "--test", "q=photos", "--out", "out"],
            ["evaluate", "model.safetensors", "--test", "WORD", "--out", "out"],
            ["compare", "--methods", "WORD", "--out", "out"],
            ["export", "WORD", "out/x.onnx"],
            ["export", "model.safetensors", "WORD"],
            ["train", "--device", "WORD", "--out", "out"],
            ["train", "--WORD", "--out", "out"],
            ["evaluate", "model.safetensors", "--test", "q=photos", *MACHINE, "--out", "WORD"],
        )
    )
    return [word.replace("WORD", text + suffix if word == "WORD" else text) for word in words]


def _require_nothing_ran(sandbox: Sandbox) -> None:
    if any(path.name == "ran" for path in sandbox.root.rglob("*")):
        raise AssertionError("a hostile name was run")
