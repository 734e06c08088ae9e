"""The content of an image file beside its pixels, made true of a restored picture and fit for its format."""

from __future__ import annotations

from dataclasses import dataclass, field

from .decode import FileFormat
from .exif import MARK, USER_COMMENT, comment_entry, has_comment, mended_exif, text_entry, tree_of, with_entries
from .geotiff import geo_entries
from .icc import colour_space, is_whole_profile
from .ifd import Directory
from .image_file import ImageFile
from .jpeg_segments import exif_fits, profile_fits
from .photoshop import write_resources
from .png_chunks import Chunk, Text, profile_chunk, raw_profile_chunk, resolution_chunk, text_chunk, xmp_chunk
from .png_colours import profile_of_chunks
from .png_exif import EXIF_CHUNK
from .resolution import X_RESOLUTION, Resolution, entries_of_resolution
from .source_metadata import SourceMetadata, read_metadata
from .xmp import XmpTarget, mended_xmp

_TAGS_OF_KEYWORDS = {"Title": 269, "Description": 270, "Software": 305, "Author": 315, "Copyright": 33432}
"""The tags of TIFF and EXIF for what PNG's keywords mean."""
_COMMENT = "Comment"
"""PNG's keyword for what a JPEG has as its comment."""
_COPIES = ("date:", "exif:", "icc:", "jpeg:", "tiff:")
"""How keywords begin under which ImageMagick repeats what it read elsewhere: file times, EXIF and the like."""
_MEDIA_TYPES: dict[FileFormat, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff", "webp": "image/webp", "bmp": "image/bmp",
}  # fmt: skip


@dataclass
class Metadata:
    """The content of an image file beside its pixels, all of which its format can hold.

    Attributes:
        profile: an ICC profile of the pixels; empty for none.
        exif: EXIF without its mark; empty for none.
        xmp: a packet of XMP; empty for none.
        iptc: records of IPTC; empty for none.
        resources: Photoshop's image resources, in JPEG with IPTC among them; empty for none.
        comments: comments of a JPEG.
        chunks: chunks of a PNG, of which everything above is written, too.
        geography: entries of a TIFF that say where the picture lies, in little-endian order.
        resolution: the resolution; None if it is not known.
        remarks: what the input has and the output has not, each in a short sentence.
    """

    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    resources: bytes = b""
    comments: list[bytes] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    geography: Directory = field(default_factory=dict)
    resolution: Resolution | None = None
    remarks: list[str] = field(default_factory=list)


def metadata_for(source: ImageFile, format: FileFormat, scale: int = 1) -> Metadata:
    """Read the content of an image file beside its pixels that is true of the restored picture, which is upright.

    Args:
        source: the input.
        format: the format of the output.
        scale: factor by which the output is larger than the input.

    Raises:
        UnreadableImage: the file is missing or broken.
    """
    original = read_metadata(source)
    metadata = Metadata(resolution=original.resolution, remarks=list(original.remarks))
    width, height = scale * source.width, scale * source.height
    moved = original.turned or scale > 1
    metadata.profile, colour_remark = _profile_for(source, original, format)
    metadata.exif, exif_remark = mended_exif(original.exif, width, height, moved=moved)
    target = XmpTarget(width, height, scale, original.turned, _MEDIA_TYPES[format])
    metadata.xmp, xmp_remarks = mended_xmp(original.xmp, target, original.extended_xmp)
    metadata.remarks += [remark for remark in (colour_remark, exif_remark, *xmp_remarks) if remark]
    metadata.iptc = original.iptc
    # JPEG has IPTC among these resources, and TIFF and PNG beside them.
    metadata.resources = write_resources(original.resources, original.iptc if format == "jpeg" else b"")
    homeless = _place(original, metadata, format, scale)
    if homeless:
        name = "WebP" if format == "webp" else format.upper()
        metadata.remarks.append(f"{name} has no place for {_listed(homeless)}")
    metadata.remarks = list(dict.fromkeys(metadata.remarks))
    return metadata


def _profile_for(source: ImageFile, original: SourceMetadata, format: FileFormat) -> tuple[bytes, str]:
    """The profile of the output's pixels, and a remark if the input's colours cannot be stated."""
    gray = source.gray and format != "webp"  # WebP has no gray
    if format != "png" and any(chunk.type == b"cICP" for chunk in original.colours):
        stated, remark = profile_of_chunks(original.colours, gray=gray)
        if not remark:  # cICP counts before iCCP
            return stated, ""
    wanted = "GRAY" if gray else "RGB"
    profile = original.profile
    lost = not profile and any(chunk.type == b"iCCP" for chunk in original.colours)
    if lost or (profile and not is_whole_profile(profile)):
        return b"", "its profile is broken, and left out"
    if profile and (format == "bmp" or colour_space(profile) == wanted):
        return profile, ""
    if profile:
        return b"", f"its profile is not one of {'gray' if gray else 'RGB'} pixels, and is left out"
    # In PNG the chunks themselves go along.
    return profile_of_chunks(original.colours, gray=gray) if format != "png" else (b"", "")


def _place(original: SourceMetadata, metadata: Metadata, format: FileFormat, scale: int) -> list[str]:
    """Put what has no place of its own in `format` where it is understood, and name what has none."""
    homeless = []
    geography = geo_entries(original.page.entries, original.layout, scale)
    if geography and format == "tiff" and not original.turned:
        metadata.geography = geography
    elif geography:
        homeless.append("its place on the earth (GeoTIFF)")
    match format:
        case "png":
            _place_in_png(original, metadata)
        case "bmp":
            homeless += _nothing_but_pixels(original, metadata)
        case _:
            homeless += _place_texts(original, metadata, format)
            if original.chunks:
                homeless.append("chunks of its PNG")
            if format == "webp":
                homeless += _place_in_webp(metadata)
            elif format == "jpeg":
                homeless += _shed_excess_of_jpeg(metadata)
    return homeless


def _place_in_png(original: SourceMetadata, metadata: Metadata) -> None:
    """Make chunks of everything."""
    fits = metadata.profile or b"iCCP" not in {chunk.type for chunk in original.colours}
    chunks = [chunk for chunk in original.colours if fits or chunk.type != b"iCCP"]
    if metadata.profile and b"iCCP" not in {chunk.type for chunk in chunks}:
        chunks.append(profile_chunk(metadata.profile))
    if metadata.resolution:
        chunks.append(resolution_chunk(metadata.resolution))
    chunks += original.chunks + [chunk for chunk, _ in original.texts]
    chunks += [text_chunk(Text(_COMMENT, comment)) for comment in original.comments]
    if metadata.exif:
        raw = next((type for type in original.raw_profiles if type != "xmp"), "")
        chunks.append(raw_profile_chunk(raw, MARK + metadata.exif) if raw else Chunk(EXIF_CHUNK, metadata.exif))
    if metadata.xmp:
        as_raw = "xmp" in original.raw_profiles
        chunks.append(raw_profile_chunk("xmp", metadata.xmp) if as_raw else xmp_chunk(metadata.xmp))
    if metadata.iptc:
        chunks.append(raw_profile_chunk("iptc", metadata.iptc))
    if metadata.resources:
        chunks.append(raw_profile_chunk("8bim", metadata.resources))
    metadata.chunks = chunks


def _place_texts(original: SourceMetadata, metadata: Metadata, format: FileFormat) -> list[str]:
    """Put PNG's texts into EXIF, and comments where the format has them; returned are those without a place."""
    comments, keywords, homeless = list(original.comments), list[str](), list[str]()
    _, layout = tree_of(metadata.exif)
    first: Directory = {}
    detail: Directory = {}
    for _, text in original.texts:
        tag = _TAGS_OF_KEYWORDS.get(text.keyword)
        if text.keyword == _COMMENT:
            comments.append(text.text)
        elif tag and tag not in first:
            first[tag] = text_entry(text.text)
        elif not text.keyword.startswith(_COPIES):
            keywords.append(f"“{text.keyword}”")
    if format == "jpeg":
        metadata.comments = [comment.encode() for comment in comments]
    elif comments and not has_comment(metadata.exif):
        detail[USER_COMMENT] = comment_entry("\n".join(comments), layout)
    elif comments:
        homeless.append("its comment")
    metadata.exif = with_entries(metadata.exif, first, detail)
    return homeless + ([f"its text{'s' * (len(keywords) > 1)} {_listed(keywords)}"] if keywords else [])


def _shed_excess_of_jpeg(metadata: Metadata) -> list[str]:
    """Drop what is too large for the segments of JPEG, and name it."""
    names = []
    if not exif_fits(metadata.exif):
        metadata.exif = b""
        names.append("its EXIF of over 64 kilobytes")
    if not profile_fits(metadata.profile):
        metadata.profile = b""
        names.append("its profile of over 16 megabytes")
    return names


def _place_in_webp(metadata: Metadata) -> list[str]:
    """Put the resolution into EXIF; returned is what WebP has no place for."""
    tree, layout = tree_of(metadata.exif)
    if metadata.resolution and metadata.resolution.unit != "none" and X_RESOLUTION not in tree.entries:
        metadata.exif = with_entries(metadata.exif, entries_of_resolution(metadata.resolution, layout), {})
    names = [("its IPTC", metadata.iptc), ("its Photoshop resources", metadata.resources)]
    return [name for name, content in names if content]


def _nothing_but_pixels(original: SourceMetadata, metadata: Metadata) -> list[str]:
    """Everything that BMP has no place for."""
    names = {
        "its profile": metadata.profile,
        "its EXIF": metadata.exif,
        "its XMP": metadata.xmp,
        "its IPTC": metadata.iptc,
        "its Photoshop resources": original.resources,
        "its texts": original.comments or original.texts,
    }
    return [name for name, content in names.items() if content]


def _listed(names: list[str]) -> str:
    """Names in one line; of many the first four, and the number of the others."""
    *some, last = names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} more"]
    return f"{', '.join(some)} and {last}" if some else last
