"""The server's side of a connection: uvicorn's, but for what is no HTTP."""

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tf_dataflow_serving.services.prediction.http_json import error_response


class JsonHTTPProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type] # a class all the same
    """Answers bytes that are no HTTP request with JSON, as all other mistakes."""

    def send_400_response(self, message: str) -> None:
        """Answer, and end the connection: where the next request begins nobody knows."""
        response = error_response(400, "INVALID_ARGUMENT", message)
        response.headers["Connection"] = "close"
        lines = [b"%b: %b\r\n" % header for header in response.raw_headers]
        self.transport.writelines(
            [b"HTTP/1.1 400 Bad Request\r\n", *lines, b"\r\n", bytes(response.body)]
        )
        self.transport.close()
