"""What `mkdocs build` does beyond its configuration (mkdocs.yml): the same Markdown serves a Git host and the site.

On a Git host a page links to files of the repository; a site holds its own pages alone. So README.md, CONTRIBUTING.md
and CHANGELOG.md become pages, and so does every other file that a page links to, with its text highlighted. Formulas
become MathML, which browsers show without a script.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path, PurePosixPath
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
DOCS = "docs"

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Pages that lie outside of docs/, and what they are called on the site."""

CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s:#]+)(#[^)\s]*)?(?=\))")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside of docs/, and a page for every file of the repository that a page links to."""
    from mkdocs.structure.files import File

    pages = [*(ROOT / DOCS).rglob("*.md"), *(ROOT / name for name in OUTSIDE)]
    linked = {target for path in pages for target in targets(path)}
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for target in sorted(linked):
        if site_page(target).startswith("source/"):
            files.append(File.generated(config, site_page(target), content=source_page(target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    source = next((name for name, known in OUTSIDE.items() if known == uri), f"{DOCS}/{uri}")
    start = PurePosixPath(uri).parent

    def on_the_site(target: str) -> str:
        return PurePosixPath(os.path.relpath(site_page(in_repository(target, source)), start)).as_posix()

    return rewritten(markdown, on_the_site)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Turn formulas into MathML, with the number of an equation behind it."""

    def mathml(match: re.Match[str]) -> str:
        formula = re.sub(r"\\tag\{(.*?)\}", r"\\qquad (\1)", unescape(match[2]))
        return str(convert(formula, display="block" if match[1] == "div" else "inline"))

    return FORMULA.sub(mathml, html)


def rewritten(markdown: str, replacement: Callable[[str], str]) -> str:
    """Markdown with the target of every relative link replaced, outside of blocks of code."""

    def outside_code(text: str) -> str:
        return LINK.sub(lambda m: f"{replacement(m[1])}{m[2] or ''}", text)

    pieces, end = [], 0
    for block in CODE.finditer(markdown):
        pieces += [outside_code(markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*pieces, outside_code(markdown[end:])])


def targets(path: Path) -> set[str]:
    """The files of the repository that a page links to, by their paths from its root."""
    source = path.relative_to(ROOT).as_posix()
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    return {in_repository(link[1], source) for link in LINK.finditer(text)}


def in_repository(target: str, source: str) -> str:
    """The path from the repository's root of what `source`, a file of the repository, links to."""
    return os.path.relpath((ROOT / source).parent / target, ROOT)


def site_page(path: str) -> str:
    """The name on the site of a file of the repository."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    inside = PurePosixPath(path)
    if inside.parts[0] == DOCS and inside.suffix in (".md", ".svg", ".png", ".jpg"):
        return inside.relative_to(DOCS).as_posix()
    return f"source/{path}.md"


def source_page(path: str) -> str:
    """A file of the repository, or the names in a folder of it, as a page that the search leaves out."""
    file = ROOT / path
    if file.is_dir():
        text, language = "\n".join(sorted(item.name for item in file.iterdir())), "text"
    else:
        text, language = file.read_text(encoding="utf-8")[:100_000], LANGUAGES.get(file.suffix, "text")
    return f"---\nsearch:\n  exclude: true\nhide: [navigation, toc]\n---\n# `{path}`\n\n````{language}\n{text}\n````\n"
