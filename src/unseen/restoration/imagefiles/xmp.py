"""XMP that stays true of a restored picture (Adobe, XMP Specification Parts 1 to 3, 2012 to 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.dom import minidom
from xml.parsers import expat

MOST_BYTES = 2**24
"""Bytes of XMP above which it counts as broken."""
_MOST_NODES, _DEEPEST = 50_000, 100
"""Elements with attributes, and nested elements, above which XMP counts as broken: its tree would fill the memory."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_PEOPLE = "http://ns.microsoft.com/photo/1.2/"
_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_EXTENSION = (_NOTE, "HasExtendedXMP")
_WIDTHS = ((_EXIF, "PixelXDimension"), (_TIFF, "ImageWidth"))
_HEIGHTS = ((_EXIF, "PixelYDimension"), (_TIFF, "ImageLength"))
_PANORAMA_SIZES = (
    "FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels",
    "CroppedAreaLeftPixels", "CroppedAreaTopPixels", "LargestValidInteriorRectLeft", "LargestValidInteriorRectTop",
    "LargestValidInteriorRectWidth", "LargestValidInteriorRectHeight",
)  # fmt: skip
_GAIN_MAPS = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.apple.com/pixeldatainfo/1.0/",
)
_CONTAINERS = ("http://ns.google.com/photos/1.0/container/", _ITEM, "http://ns.google.com/photos/dd/1.0/")
"""Namespaces of properties that list what follows the picture in its file: Google's container and dynamic depth."""
_FILMS = ("MotionPhoto", "MicroVideo", "OLivePhoto")
"""How names of properties begin that tell of a film behind the picture, whatever their namespace."""

HDR_GONE = "its HDR gain map is left out: the output is the picture that ordinary screens show"
FILM_GONE = "its film (motion photo) is left out"
CONTAINER_GONE = "pictures behind the first are left out"

Node = minidom.Element | minidom.Attr


class BrokenXmp(Exception):  # noqa: N818 (a state of affairs)
    """Signal for XMP that is not well-formed XML, has declarations of its own, or is too large."""


@dataclass(frozen=True)
class XmpTarget:
    """The picture that XMP is to be true of.

    Attributes:
        width: width in pixels.
        height: height in pixels.
        scale: factor by which the picture is larger than the one that the XMP was written for.
        turned: whether the picture is turned or mirrored against the one that the XMP was written for.
        media_type: the media type of its file, such as image/png.
    """

    width: int
    height: int
    scale: int
    turned: bool
    media_type: str


@dataclass
class _Findings:
    """What was changed in XMP.

    Attributes:
        remarks: what is not in the output any more, in the order in which it was met; each once.
        changed: whether anything was changed.
    """

    remarks: dict[str, None] = field(default_factory=dict)
    changed: bool = False


def mended_xmp(
    packet: bytes, target: XmpTarget, extensions: Mapping[str, bytes] | None = None
) -> tuple[bytes, list[str]]:
    """Make XMP say what is true of a restored picture; unchanged to the byte where it does so already.

    Sizes and orientation follow the picture. What XMP says of gain maps, films and pictures elsewhere in the file is
    taken out, thumbnails too, and areas of faces if the picture is turned. Extended parts are joined to the packet.

    Args:
        packet: XMP as the file holds it; may be empty.
        target: the picture.
        extensions: the parts of extended XMP in a JPEG, by their digests.

    Returns:
        The XMP, empty if it is broken; and remarks on what was left out.
    """
    packet = packet.rstrip(b"\0")
    if not packet.strip():
        return b"", []
    try:
        document = _parsed(packet)
    except BrokenXmp:
        return b"", ["its XMP is broken and left out"]
    findings = _Findings()
    _join(document, extensions or {}, findings)
    for node in list(_properties(document)):
        _mend(node, target, findings)
    if not findings.changed:
        return packet, list(findings.remarks)
    _forget_namespaces(document)
    return "".join(node.toxml() for node in document.childNodes).encode(), list(findings.remarks)


def reference_to_extension(digest: str) -> bytes:
    """The packet that stands for one too large for a segment of JPEG: it says that all of it is in extended parts."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:xmpNote="{_NOTE}" xmpNote:HasExtendedXMP="{digest}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def _parsed(packet: bytes) -> minidom.Document:
    """Parse XMP, after a look at its size that keeps none of it. Raises BrokenXmp."""
    _require_harmless(packet)
    try:
        return minidom.parseString(packet)
    except Exception as error:  # minidom raises what its builder does not foresee, as for undeclared prefixes
        raise BrokenXmp from error


def _require_harmless(packet: bytes) -> None:
    """Raise BrokenXmp for declarations (of entities, above all), and for more nodes than a tree should hold."""
    if len(packet) > MOST_BYTES:
        raise BrokenXmp
    nodes = depth = 0

    def start(_name: str, attributes: list[str]) -> None:
        nonlocal nodes, depth
        nodes, depth = nodes + 1 + len(attributes) // 2, depth + 1
        if nodes > _MOST_NODES or depth > _DEEPEST:
            raise BrokenXmp

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise BrokenXmp

    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BrokenXmp from error


def _properties(node: minidom.Node) -> Iterator[Node]:
    """Yield every element below a node, and every attribute but the declarations of namespaces."""
    for child in node.childNodes:
        if isinstance(child, minidom.Element):
            yield child
            for attribute in child.attributes.values():
                if attribute.namespaceURI != _XMLNS:
                    yield attribute
            yield from _properties(child)


def _mend(node: Node, target: XmpTarget, findings: _Findings) -> None:
    """Change or take out one property, if it is not true of the picture."""
    space, name = node.namespaceURI or "", node.localName or ""
    remark = _remark_on(node, space, name, target)
    if remark is not None:
        if remark:
            findings.remarks[remark] = None
        _take_out(node)
        findings.changed = True
        return
    old = _text(node)
    new = _true_value(node, space, name, old, target)
    if new != old:
        _set_text(node, new)
        findings.changed = True


def _remark_on(node: Node, space: str, name: str, target: XmpTarget) -> str | None:
    """The remark on a property that is to be taken out, "" for one not worth a remark; None if it may stay."""
    if space in _GAIN_MAPS:
        return HDR_GONE
    if name.startswith(_FILMS):
        return FILM_GONE
    if space.startswith(_CONTAINERS):
        semantic = _text(node) if (space, name) == (_ITEM, "Semantic") else ""
        return {"GainMap": HDR_GONE, "MotionPhoto": FILM_GONE, "Primary": "", "": ""}.get(semantic, CONTAINER_GONE)
    if (space, name) == ("http://ns.adobe.com/xap/1.0/", "Thumbnails"):
        return ""
    if target.turned and (space, name) in ((_REGIONS, "Regions"), (_PEOPLE, "RegionInfo")):
        return "areas of faces in its XMP are left out, since the picture was turned"
    return None


def _true_value(node: Node, space: str, name: str, old: str, target: XmpTarget) -> str:
    """The value of a property that is true of the picture."""
    if (space, name) == (_TIFF, "Orientation"):
        return "1"
    if (space, name) in _WIDTHS:
        return str(target.width)
    if (space, name) in _HEIGHTS:
        return str(target.height)
    if (space, name) == ("http://purl.org/dc/elements/1.1/", "format"):
        return target.media_type
    is_region_size = space == _DIMENSIONS and name in ("w", "h") and "AppliedToDimensions" in _names_above(node)
    if is_region_size or (space == _PANORAMA and name in _PANORAMA_SIZES):
        try:
            return old if target.scale == 1 else f"{float(old) * target.scale:.15g}"
        except ValueError:
            return old
    return old


def _names_above(node: Node) -> list[str]:
    """The names of the element that holds a node, and of the next two above."""
    names: list[str] = []
    above = node.ownerElement if isinstance(node, minidom.Attr) else node.parentNode
    while isinstance(above, minidom.Element) and len(names) < 3:
        names.append(above.localName or "")
        above = above.parentNode
    return names


def _text(node: Node) -> str:
    """The value of a simple property."""
    if isinstance(node, minidom.Attr):
        return node.value
    return "".join(child.data for child in node.childNodes if isinstance(child, minidom.Text)).strip()


def _set_text(node: Node, text: str) -> None:
    if isinstance(node, minidom.Attr):
        node.value = text
        return
    for child in list(node.childNodes):
        node.removeChild(child)
    document = node.ownerDocument
    assert document is not None
    node.appendChild(document.createTextNode(text))


def _take_out(node: Node) -> None:
    if isinstance(node, minidom.Attr):
        if node.ownerElement is not None:
            node.ownerElement.removeAttributeNode(node)
    elif node.parentNode is not None:
        node.parentNode.removeChild(node)


def _join(document: minidom.Document, extensions: Mapping[str, bytes], findings: _Findings) -> None:
    """Take out the references to extended XMP, and put the properties of the extended part in their place.

    A packet has one reference; where it has several, the first counts, or many would ask for the work of one again.
    """
    references = [node for node in _properties(document) if (node.namespaceURI, node.localName) == _EXTENSION]
    if not references:
        return
    digest = _text(references[0])
    for reference in references:
        _take_out(reference)
    findings.changed = True
    try:
        extension = _parsed(extensions[digest])
        [rdf] = document.getElementsByTagNameNS(_RDF, "RDF")
    except (KeyError, BrokenXmp, ValueError):
        findings.remarks["the extended part of its XMP is missing or broken"] = None
        return
    for description in extension.getElementsByTagNameNS(_RDF, "Description"):
        if description.parentNode is not None and description.parentNode.localName == "RDF":
            _declare_namespaces(description)
            rdf.appendChild(document.importNode(description, True))


def _forget_namespaces(document: minidom.Document) -> None:
    """Take out the declarations of namespaces of which nothing is left: programs look for them to find a gain map."""
    for element in document.getElementsByTagName("*"):
        for attribute in list(element.attributes.values()):
            if attribute.namespaceURI == _XMLNS and attribute.value.startswith((*_GAIN_MAPS, *_CONTAINERS)):
                element.removeAttributeNode(attribute)


def _declare_namespaces(element: minidom.Element) -> None:
    """Repeat on an element the namespaces that are declared above it, so that it may be moved."""
    above = element.parentNode
    while isinstance(above, minidom.Element):
        for attribute in above.attributes.values():
            if attribute.namespaceURI == _XMLNS and not element.hasAttribute(attribute.name):
                element.setAttributeNS(_XMLNS, attribute.name, attribute.value)
        above = above.parentNode
