"""The object methods of the XML API: whole objects, and uploads in parts.

Sources: Cloud Storage XML API, "GET Object", "HEAD Object", "PUT Object", "DELETE Object",
"Initiate a Multipart Upload", "Upload an Object Part", "Complete a Multipart Upload", "Abort a
Multipart Upload", and "HTTP headers and query string parameters".
"""

from functools import partial
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tf_dataflow_serving.services.storage.errors import InvalidArgument
from tf_dataflow_serving.services.storage.multipart import MultipartUploads
from tf_dataflow_serving.services.storage.objects import Objects
from tf_dataflow_serving.services.storage.protocol.bodies import incoming, stored
from tf_dataflow_serving.services.storage.protocol.downloads import download
from tf_dataflow_serving.services.storage.protocol.failures import is_json_api
from tf_dataflow_serving.services.storage.protocol.representation import hash_header
from tf_dataflow_serving.services.storage.protocol.requests import (
    bounded_body,
    header_checksums,
    integer,
    named_object,
    refuse_unsupported,
    xml_preconditions,
)
from tf_dataflow_serving.services.storage.resources import JsonObject, StoredObject
from tf_dataflow_serving.services.storage.uploads import Intent, Part

MAX_XML_BYTES = 2 << 20
"""10,000 parts of a hundred bytes or so each."""
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CUSTOM = "x-goog-meta-"
_ATTRIBUTES = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "content-type": "contentType",
    "x-goog-custom-time": "customTime",
    "x-goog-storage-class": "storageClass",
}


class XmlEndpoints:
    """Serves /{bucket}/{object}."""

    def __init__(self, objects: Objects, multipart: MultipartUploads):
        self._objects = objects
        self._multipart = multipart

    def routes(self) -> list[Route]:
        """Return the routes of all object methods; none hides a path of the JSON API."""
        path = "/{bucket}/{object:path}"
        return [
            Route(path, self.get, methods=["GET"]),
            Route(path, self.put, methods=["PUT"]),
            Route(path, self.post, methods=["POST"]),
            Route(path, self.delete, methods=["DELETE"]),
        ]

    async def get(self, request: Request) -> Response:
        """GET Object and HEAD Object."""
        _refuse_foreign(request)
        return await download(
            self._objects, named_object(request, xml_preconditions(request)), request
        )

    async def put(self, request: Request) -> Response:
        """PUT Object, or the upload of a part."""
        _refuse_foreign(request)
        upload_id = request.query_params.get("uploadId")
        if upload_id:
            return await self._add_part(request, upload_id)
        async with incoming(request) as pieces:
            intent = _intent(request)
            new, discard = self._objects.new_content, self._objects.discard
            async with stored(pieces, new, discard) as content:
                pass
        item = await run_in_threadpool(self._objects.commit, intent, content)
        return Response(headers=_object_headers(item))

    async def post(self, request: Request) -> Response:
        """Begin or complete a multipart upload."""
        _refuse_foreign(request)
        upload_id = request.query_params.get("uploadId")
        if upload_id:
            return await self._complete(request, upload_id)
        if "uploads" not in request.query_params:
            raise InvalidArgument("Expected the parameter uploads or uploadId.")
        intent = _intent(request)
        upload_id = await run_in_threadpool(self._multipart.start, intent)
        return _document(
            "InitiateMultipartUploadResult",
            {"Bucket": intent.bucket, "Key": intent.name, "UploadId": upload_id},
        )

    async def delete(self, request: Request) -> Response:
        """DELETE Object, or give up a multipart upload."""
        _refuse_foreign(request)
        upload_id = request.query_params.get("uploadId")
        if upload_id:
            await run_in_threadpool(self._multipart.cancel, upload_id)
        else:
            source = named_object(request, xml_preconditions(request))
            await run_in_threadpool(self._objects.delete, source)
        return Response(status_code=204)

    async def _add_part(self, request: Request, upload_id: str) -> Response:
        async with incoming(request) as pieces:
            number = integer(request.query_params, "partNumber") or 0
            checksums = header_checksums(request)
            new = partial(self._multipart.new_part, upload_id, number)
            async with stored(pieces, new, self._multipart.discard) as content:
                part = Part(number, content)
        await run_in_threadpool(self._multipart.add_part, upload_id, part, checksums)
        headers = {"ETag": f'"{part.etag}"', "x-goog-hash": hash_header(content.digest)}
        return Response(headers=headers)

    async def _complete(self, request: Request, upload_id: str) -> Response:
        body = await bounded_body(request, "The list of parts", MAX_XML_BYTES)
        item = await run_in_threadpool(self._multipart.complete, upload_id, wanted_parts(body))
        response = _document(
            "CompleteMultipartUploadResult",
            {"Bucket": item.bucket, "Key": item.name, "ETag": f'"{item.etag}"'},
        )
        response.headers.update(_object_headers(item))
        return response


def wanted_parts(body: bytes) -> list[tuple[int, str]]:
    """Return number and ETag of each part in a CompleteMultipartUpload document.

    Its elements may be in a namespace or in none. Raises InvalidArgument.
    """
    if b"<!" in body:
        # Entities, which could grow beyond all bounds, are declared there.
        raise InvalidArgument("Document type declarations are not accepted.")
    try:
        document = ElementTree.fromstring(body)  # noqa: S314 - has no declarations, see above
    except ElementTree.ParseError as error:
        raise InvalidArgument(f"Not an XML document: {error}") from error
    return [_wanted_part(part) for part in document.iterfind("{*}Part")]


def _wanted_part(part: Element) -> tuple[int, str]:
    texts = {name: part.findtext(f"{{*}}{name}", "").strip() for name in ("PartNumber", "ETag")}
    return integer(texts, "PartNumber") or 0, texts["ETag"].strip('"')


def _refuse_foreign(request: Request) -> None:
    """Refuse paths of the JSON API that it does not have, and features that are not emulated."""
    if is_json_api(request):
        raise HTTPException(404)
    refuse_unsupported(request)


def _intent(request: Request) -> Intent:
    named = named_object(request, xml_preconditions(request))
    return Intent(
        named.bucket,
        named.name,
        _attributes(request),
        named.preconditions,
        header_checksums(request),
    )


def _attributes(request: Request) -> JsonObject:
    headers = request.headers
    attributes = {field: headers[name] for name, field in _ATTRIBUTES.items() if name in headers}
    custom = {
        name.removeprefix(_CUSTOM): value
        for name, value in headers.items()
        if name.startswith(_CUSTOM)
    }
    return {**attributes, "metadata": custom} if custom else attributes


def _object_headers(item: StoredObject) -> dict[str, str]:
    return {
        "ETag": f'"{item.etag}"',
        "x-goog-generation": str(item.generation),
        "x-goog-metageneration": str(item.metageneration),
        "x-goog-hash": hash_header(item.content.digest),
    }


def _document(name: str, texts: dict[str, str]) -> Response:
    root = Element(name, xmlns=_NAMESPACE)
    for tag, text in texts.items():
        SubElement(root, tag).text = text
    return Response(
        ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True),
        media_type="application/xml",
    )
