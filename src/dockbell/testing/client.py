"""A small client of Dockbell's API, for the demo, the command line and tests."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


class ApiError(Exception):
    """An answer other than 2xx, with its problem document."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(f"{status}: {document}")
        self.status = status
        self.document = document


class Client:
    """One connection to one Dockbell; not for several threads."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
        self._key = key

    def get(self, path: str) -> Any:
        return self._asked("GET", path, None)

    def post(self, path: str, document: Any = None) -> Any:
        return self._asked("POST", path, document)

    def put(self, path: str, document: Any = None) -> Any:
        return self._asked("PUT", path, document)

    def patch(self, path: str, document: Any) -> Any:
        return self._asked("PATCH", path, document)

    def delete(self, path: str) -> Any:
        return self._asked("DELETE", path, None)

    def close(self) -> None:
        self._connection.close()

    def _asked(self, method: str, path: str, document: Any) -> Any:
        body = None
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        if document is not None:
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, body=body, headers=headers)
            response = self._connection.getresponse()
            raw = response.read()
        except http.client.HTTPException:
            self._connection.close()
            raise
        answer = json.loads(raw) if raw else None
        if not 200 <= response.status <= 299:
            raise ApiError(response.status, answer)
        return answer
