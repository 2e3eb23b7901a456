"""Takes apart the bodies of multipart uploads: metadata first, then the content.

Sources: Cloud Storage JSON API, "Multipart uploads"; RFC 2387; RFC 2046, section 5.1. Some clients
end lines with LF alone, so the first line decides.
"""

from email.message import Message
from email.parser import BytesHeaderParser

from tf_dataflow_serving.services.storage.errors import (
    ContentTooLarge,
    InvalidArgument,
    Unsupported,
)

MAX_HEAD_BYTES = 1 << 20


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a multipart/* content type names; raises InvalidArgument."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or not boundary:
        raise InvalidArgument(f"Expected multipart/related with a boundary, not {content_type!r}")
    return boundary.encode()


class RelatedParser:
    """Is fed a body of two parts piece by piece and gives out the second part's content."""

    def __init__(self, boundary: bytes):
        self._marker = b"--" + boundary
        self._delimiter = b""
        self._buffer = bytearray()
        self._ended = False
        # The head's last line end stays in the buffer until content follows: where the content
        # is empty, it is the beginning of the closing boundary.
        self._newline = 0
        self.metadata = b""
        """The first part's content, once `has_head`."""
        self.content_type: str | None = None
        """The second part's type, if it states one, once `has_head`."""

    @property
    def has_head(self) -> bool:
        """Whether everything before the content has been seen."""
        return bool(self._delimiter)

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; returns the next bytes of the content, perhaps none."""
        if self._ended:
            return b""
        self._buffer += data
        if not self.has_head and not self._take_head():
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise ContentTooLarge("The metadata part", MAX_HEAD_BYTES)
            return b""
        return self._take_content()

    def finish(self) -> None:
        """Raise InvalidArgument if the body ended before its closing boundary."""
        if not self._ended:
            raise InvalidArgument("The multipart body ends before its closing boundary.")

    def _take_head(self) -> bool:
        line_end = self._buffer.find(b"\n")
        if line_end < 0:
            return False
        if self._buffer[:line_end].rstrip() != self._marker:
            raise InvalidArgument("The multipart body does not begin with its boundary.")
        newline = b"\r\n" if self._buffer[line_end - 1 : line_end] == b"\r" else b"\n"
        blank, delimiter = newline * 2, newline + self._marker
        # A part without headers has its blank line right behind the boundary.
        metadata_start = self._buffer.find(blank, line_end + 1 - len(newline))
        metadata_end = self._buffer.find(delimiter, metadata_start + len(blank))
        headers_start = metadata_end + len(delimiter)
        headers_end = self._buffer.find(blank, headers_start)
        if min(metadata_start, metadata_end, headers_end) < 0:
            return False
        self.metadata = bytes(self._buffer[metadata_start + len(blank) : metadata_end])
        self._read_headers(bytes(self._buffer[headers_start:headers_end]).lstrip())
        del self._buffer[: headers_end + len(blank) - len(newline)]
        self._delimiter, self._newline = delimiter, len(newline)
        return True

    def _read_headers(self, text: bytes) -> None:
        headers = BytesHeaderParser().parsebytes(text)
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in {"binary", "7bit", "8bit"}:
            raise Unsupported(f"content transfer encoding {encoding}")
        self.content_type = headers.get("content-type")

    def _take_content(self) -> bytes:
        """Give out what cannot be part of the closing boundary any more."""
        end = self._buffer.find(self._delimiter)
        if end >= 0:
            self._ended = True
        else:
            end = len(self._buffer) - len(self._delimiter) + 1
        if end < self._newline:
            return b""
        content = bytes(self._buffer[self._newline : end])
        del self._buffer[:end]
        self._newline = 0
        return content
