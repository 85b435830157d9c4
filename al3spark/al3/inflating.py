"""The bytes inside one .gz, or of one member of a zip, piece by piece.

In: pieces of a .gz, or an open zip and an entry of it. Out: expanded pieces of at most 256 KiB, so memory is
bounded whatever they expand to; or windows of one size. Raises UnreadableError for damage, with a reason.
Leaves to others: what an archive may expand to, and where its pieces come from.
Source: FORMAT.md, Character set; PKWARE's APPNOTE.TXT; RFC 1952.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator

PIECE = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31  # zlib's wbits: a gzip header and trailer, whose CRC and length zlib checks
_ENCRYPTED = 0x01 | 0x40  # flag bits 0 and 6
# Python expands bzip2 and LZMA members without a bound on what 4 KiB of them become, so they are left alone.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What the zipfile of one Python or another raises for headers without sense; OSError is then one of
# a seek, never of a disk.
ZIP_DAMAGE = (zipfile.BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError, OSError)


class UnreadableError(ValueError):
    """A member cannot be read (on); the text is a short reason without payload.

    A fault in the data (FILE_UNREADABLE), not an error that stops the run: whoever reads the windows makes it
    a row of `errors` and drops what the member gave before.
    """


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Expand gzip members one after another (RFC 1952, 2.2), and zero padding after them."""
    decoder = None
    members = 0
    for piece in pieces:
        rest = piece
        while rest:
            if decoder is None:
                rest = rest.lstrip(b"\0") if members else rest
                if not _GZIP_MAGIC.startswith(rest[:2]):
                    raise UnreadableError("bytes after the gzip data" if members else "not a gzip file")
                if not rest:
                    break
                decoder = zlib.decompressobj(_GZIP_FORMAT)
            try:
                expanded = decoder.decompress(rest, PIECE)
            except zlib.error as error:
                raise UnreadableError("gzip data damaged") from error
            if expanded:
                yield expanded
            rest = decoder.unconsumed_tail
            if decoder.eof:
                rest, decoder, members = decoder.unused_data, None, members + 1
    if decoder is not None or not members:
        raise UnreadableError("gzip data cut short")


def inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Expand one member of a zip. Raises UnreadableError for damage."""
    try:
        with archive.open(info) as member:
            while piece := member.read(PIECE):
                yield piece
    except EOFError as error:
        raise UnreadableError("zip member cut short") from error
    except (*ZIP_DAMAGE, zlib.error) as error:
        raise UnreadableError("zip member damaged") from error


def find_obstacle(info: zipfile.ZipInfo) -> str:
    """Say why a member cannot be expanded, as far as its entry tells; empty if it can."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in _METHODS:
        return f"compression method {info.compress_type} not supported"
    return ""


def cut_windows(pieces: Iterable[bytes], window: int) -> Iterator[bytes]:
    """Cut pieces of any size into windows of `window` bytes; the last is shorter, and none is empty."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        rest = piece
        while size + len(rest) >= window:
            cut = window - size
            yield b"".join((*held, rest[:cut]))
            held, size, rest = [], 0, rest[cut:]
        if rest:
            held.append(rest)
            size += len(rest)
    if held:
        yield b"".join(held)
