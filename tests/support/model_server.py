"""A model's endpoint as real servers are: real HTTP on loopback, their answers, error shapes, streams and bad manners."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.contract.platform_double import filled


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """All that the user's messages say."""
        contents = [message["content"] for message in self.body["messages"]]
        parts = [[{"text": each}] if isinstance(each, str) else each for each in contents]
        return "\n".join(part.get("text", "") for content in parts for part in content)

    @property
    def pictures(self) -> int:
        """How many pictures it brought."""
        contents = (message["content"] for message in self.body["messages"])
        return sum(part["type"] == "image_url" for each in contents if isinstance(each, list) for part in each)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back; ``hang``: nothing ever."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    hang: bool = False


def said(content: Any, *, finish: str = "stop", usage: tuple[int, int] | None = (1200, 80), **message: Any) -> Reply:
    """Return a chat completion as OpenAI, vLLM and Ollama write it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    used = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {}
    return Reply(json.dumps({"id": "c-1", "object": "chat.completion", "choices": [choice], **used}).encode())


def streamed(text: str, usage: tuple[int, int] = (1200, 80)) -> Reply:
    """Return the same as a stream of events, as servers do that overlook ``stream``."""
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    events: list[Any] = [{"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
    events += [{"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}})
    lines = ": warming up\n\n" + "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return Reply(lines.encode(), headers={"content-type": "text/event-stream"})


def error(status: int, message: str, form: str = "openai", **headers: str) -> Reply:
    """Return an error in the form of a server: openai, ollama, vllm, fastapi, llama.cpp, or a proxy's page."""
    forms: dict[str, Any] = {
        "openai": {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}},
        "ollama": {"error": message},
        "vllm": {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status},
        "fastapi": {"detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]},
        "llama.cpp": {"error": {"code": status, "message": message, "type": "invalid_request_error"}},
    }
    if form == "page":
        return Reply(f"<html><body>{message}</body></html>".encode(), status, {"content-type": "text/html", **headers})
    return Reply(json.dumps(forms[form]).encode(), status, {"content-type": "application/json", **headers})


def obedient(asked: Asked) -> Reply:
    """Answer as a good model does: the schema that stands in the request, filled."""
    form = asked.body.get("response_format", {})
    schema = form.get("json_schema", {}).get("schema") or schema_in(asked.text)
    return said(json.dumps(filled(schema, 4.0)) if schema is not None else "It is about bees.")


def looking(shows: str, logos: str = "") -> Callable[[Asked], Reply]:
    """Return an answer that says the same of each picture, and obeys where nothing but pictures is asked about."""

    def answer(asked: Asked) -> Reply:
        times = [float(at) for at in re.findall(r"^The picture at ([\d.]+) s:$", asked.text, re.MULTILINE)]
        if '"shows"' not in asked.text:
            return obedient(asked)
        return said(json.dumps({"pictures": [{"at": at, "shows": shows, "logos": logos} for at in times]}))

    return answer


def schema_in(text: str) -> Any:
    """Return the schema that the question ends with, or None."""
    _, found, schema = text.rpartition("and nothing else: ")
    return json.loads(schema.partition("\n")[0]) if found else None


Script = Sequence[Reply | Callable[[Asked], Reply]]


class ModelServer:
    """``with ModelServer([...]) as server``: answers in order, then obediently; ``asked`` has every request."""

    def __init__(self, script: Script = (), models: Sequence[str] = ("writer",)) -> None:
        self.asked: list[Asked] = []
        self.looked: list[str] = []  #: paths of GET requests
        self._script = iter(script)
        self._models = models
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> ModelServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.looked.append(self.path)
                server.send(self, Reply(json.dumps({"data": [{"id": name} for name in server._models]}).encode()))

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                asked = Asked(
                    self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(self.rfile.read(length))
                )
                server.send(self, server.answer(asked))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients give up on purpose
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base(self) -> str:
        """The address to configure."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def script(self, replies: Script) -> None:
        """Answer so from now on."""
        with self._lock:
            self._script = iter(replies)

    def answer(self, asked: Asked) -> Reply:
        """Note a request and return what it gets."""
        with self._lock:
            self.asked.append(asked)
            scripted = next(self._script, obedient)
        return scripted(asked) if callable(scripted) else scripted

    def send(self, request: BaseHTTPRequestHandler, reply: Reply) -> None:
        """Send a reply, or keep the client waiting."""
        if reply.hang:
            self._closing.wait(60)
            return
        request.send_response(reply.status)
        for name, value in {**reply.headers, "content-length": str(len(reply.body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(reply.body)


def pictures_of(asked: Asked) -> Iterator[str]:
    """Yield the addresses of the pictures in a request."""
    for message in asked.body["messages"]:
        if isinstance(message["content"], list):
            yield from (part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url")
