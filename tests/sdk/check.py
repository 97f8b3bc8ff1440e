"""The official SDKs of PyPI, each call made twice: directly with the real key, and through
Portcullis with a dummy key. `run` starts what is needed; the environment is check.mjs'."""

import asyncio
import contextlib
import io
import json
import os
import random
import re
import string
import sys
import time
import urllib.request
from types import SimpleNamespace

import anthropic
import openai

MIB = 1024 * 1024
DUMMY = "portcullis"
# A slow stream pauses for 60 ms: who takes longer than this for most events waits for the next one.
HELD_BACK_S = 0.03
# Of the connection, not of the request; Portcullis reads the answers, so their coding is its own choice.
HOP = {"host", "connection", "keep-alive", "accept-encoding"}

env = os.environ
only = sys.argv[1] if len(sys.argv) > 1 else None
totals = {"ok": 0, "not ok": 0}
added = set()


def side(control, anthropic_url, anthropic_key, openai_url, openai_key):
    options = {"max_retries": 0, "timeout": 60}
    to_anthropic = {"base_url": anthropic_url, "api_key": anthropic_key, **options}
    to_openai = {"base_url": openai_url, "api_key": openai_key, **options}
    return SimpleNamespace(
        control=control,
        anthropic=anthropic.Anthropic(**to_anthropic),
        openai=openai.OpenAI(**to_openai),
        # A client of its own for each event loop.
        async_clients=lambda: SimpleNamespace(
            anthropic=anthropic.AsyncAnthropic(**to_anthropic), openai=openai.AsyncOpenAI(**to_openai)
        ),
    )


direct = side(
    env["SDK_CONTROL"],
    *(env["SDK_DIRECT_ANTHROPIC"], env["CANARY_ANTHROPIC"]),
    *(env["SDK_DIRECT_OPENAI"], env["CANARY_OPENAI"]),
)
through = side(
    env.get("SDK_CONTROL_THROUGH", env["SDK_CONTROL"]),
    *(env["SDK_ANTHROPIC"], DUMMY),
    *(env["SDK_OPENAI"], DUMMY),
)


# --- What came of a call


def requests(it, since=0):
    with urllib.request.urlopen(f"{it.control}/control/requests?since={since}") as answer:
        return json.load(answer)


def plain(value):
    """Data without classes, for a comparison of what a caller would see."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", warnings=False)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def described(error):
    """What a program can tell of an SDK's error."""
    names = ["message", "status_code", "type", "code", "param", "body", "request_id"]
    told = {name: getattr(error, name, None) for name in names}
    response = getattr(error, "response", None)
    retry_after = response.headers.get("retry-after") if response is not None else None
    return {"class": type(error).__name__, "retry_after": retry_after, **plain(told)}


def events_of(call):
    """All events of a stream, and the error that ended it, where one did."""
    events = []
    try:
        for event in call():
            events.append(plain(event))
    except (anthropic.AnthropicError, openai.OpenAIError) as error:
        return {"events": events, "error": described(error)}
    return {"events": events, "error": None}


async def events_of_async(stream):
    return {"events": [plain(event) async for event in await stream], "error": None}


def wire_of(opened):
    """A streamed answer as it is on the wire, and when each of its events was there."""
    with opened as response:
        data, arrived_at = b"", []
        for chunk in response.iter_bytes():
            data += chunk
            arrived_at += [time.time()] * (data.count(b"\n\n") - len(arrived_at))
        return {"status": response.status_code, "type": response.headers["content-type"], "text": data.decode()}, arrived_at


# --- Checks


def check(name, body):
    if only and only not in f"PyPI {name}":
        return
    start = time.monotonic()
    verdict, why = "ok", ""
    try:
        detail = body()
    except Exception as error:  # noqa: BLE001 - any error is the check's failure
        verdict, detail = "not ok", None
        why = f"{type(error).__name__}: {error}"[:3000]
    totals[verdict] += 1
    print(f"{verdict} PyPI {name} ({f'{detail}, ' if detail else ''}{time.monotonic() - start:.1f} s)")
    if why:
        print("    " + why.replace("\n", "\n    "))
    sys.stdout.flush()


def equal(got, expected, what="got something else than directly"):
    if got == expected:
        return
    texts = [json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).splitlines() for value in (got, expected)]
    differing = [f"- {b}\n+ {a}" for a, b in zip(*texts) if a != b][:20]
    raise AssertionError(f"{what} ({len(texts[0])} lines against {len(texts[1])}):\n" + "\n".join(differing))


def run(it, call):
    before = len(requests(it))
    try:
        outcome = {"value": plain(call(it)), "error": None}
    except (anthropic.AnthropicError, openai.OpenAIError) as error:
        outcome = {"value": None, "error": described(error)}
    return SimpleNamespace(**outcome), requests(it, before)


def compare_requests(got, expected, same_body):
    names = ["api", "method", "url", "status", "credential"] + (["bodyHash", "bodyBytes"] if same_body else [])
    got, expected = ([*sorted(rows, key=lambda row: row["bodyHash"])] for rows in (got, expected))
    told = lambda rows: [{name: row.get(name) for name in names} for row in rows]  # noqa: E731
    equal(told(got), told(expected), "the provider was asked something else")
    for mine, its in zip(got, expected):
        for header, value in its["headers"].items():
            if header in HOP or (header == "content-type" and not same_body):
                continue
            # Answers are asked for uncompressed, to be looked through.
            if header == "accept-encoding" and mine["headers"].get(header) == "identity":
                continue
            equal(mine["headers"].get(header), value, f"the request's `{header}`")
        added.update(mine["headers"].keys() - its["headers"].keys() - HOP)


def same(name, call, look, same_body=True):
    """`look` sees what came of the direct call: two calls that fail alike would be the same as well."""

    def body():
        outcome, rows = run(direct, call)
        detail = look(outcome, rows)
        got, got_rows = run(through, call)
        equal(vars(got), vars(outcome))
        compare_requests(got_rows, rows, same_body)
        return detail if isinstance(detail, str) else None

    check(name, body)


def expect(truth, what=""):
    if not truth:
        raise AssertionError(f"expected otherwise: {str(what)[:2000]}")


# --- What each API is asked for


def user(content):
    return {"role": "user", "content": content}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
QUESTION = [user("How is the weather in Zürich? 🌦")]
LARGE = "".join(random.Random(1).choices(string.printable, k=10 * MIB))


def helper(opened, final):
    with opened as stream:
        for _ in stream:
            pass
        return getattr(stream, final)()


async def helper_async(opened, final):
    async with opened as stream:
        async for _ in stream:
            pass
        return await getattr(stream, final)()


MESSAGES = SimpleNamespace(
    api=lambda it: it.anthropic.messages,
    body=lambda **fields: {"model": "claude-large-1", "max_tokens": 100, "messages": QUESTION, **fields},
    final="get_final_message",
    large={"messages": [user(LARGE)]},
    tools={"tools": [{"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA}]},
    tool_of=lambda message: message["content"][1]["input"],
    text_of=lambda message: message["content"][0]["text"],
    last=lambda event: event["type"] == "message_stop",
    answered=lambda message: {
        "messages": [
            user("How is the weather?"),
            {"role": "assistant", "content": message.content},
            user([{"type": "tool_result", "tool_use_id": message.content[1].id, "content": "rain"}]),
        ]
    },
    errors=anthropic,
)
CHAT = SimpleNamespace(
    api=lambda it: it.openai.chat.completions,
    body=lambda **fields: {
        "model": "gpt-large-1",
        "messages": QUESTION,
        **({"stream_options": {"include_usage": True}} if fields.get("stream") else {}),
        **fields,
    },
    final="get_final_completion",
    large={"messages": [user(LARGE)]},
    tools={"tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]},
    tool_of=lambda answer: json.loads(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]),
    text_of=lambda answer: answer["choices"][0]["message"]["content"],
    last=lambda event: event["usage"]["completion_tokens"] > 0,
    answered=lambda answer: {
        "messages": [
            user("How is the weather?"),
            answer.choices[0].message,
            {"role": "tool", "tool_call_id": answer.choices[0].message.tool_calls[0].id, "content": "rain"},
        ]
    },
    errors=openai,
)
RESPONSES = SimpleNamespace(
    api=lambda it: it.openai.responses,
    body=lambda **fields: {"model": "gpt-large-1", "input": QUESTION, **fields},
    final="get_final_response",
    large={"input": [user(LARGE)]},
    tools={"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]},
    tool_of=lambda answer: json.loads(answer["output"][0]["arguments"]),
    text_of=lambda answer: answer["output"][0]["content"][0]["text"],
    last=lambda event: event["type"] == "response.completed",
    answered=lambda answer: {
        "input": [
            user("How is the weather?"),
            answer.output[0],
            {"type": "function_call_output", "call_id": answer.output[0].call_id, "output": "rain"},
        ]
    },
    errors=openai,
)
ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError|APIStatusError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    500: "InternalServerError",
    529: "OverloadedError|InternalServerError",
}


def is_text(text):
    expect(re.fullmatch("Grüße from 🦀 tok0 tok1 日本 tok2 request [0-9a-f]{16}", text), text)


def is_tool(arguments):
    expect(arguments == {"city": "Zürich", "days": 3, "near": ["Ægina", "🌋"]}, arguments)


def is_stream(value, last=lambda event: True):
    expect(value["error"] is None, value["error"])
    expect(len(value["events"]) >= 8 and last(value["events"][-1]), value["events"][-1:])
    return f"{len(value['events'])} events"


def check_api(name, ask):
    def send(it, **fields):
        return ask.api(it).create(**ask.body(**fields))

    def stream(**fields):
        return lambda it: events_of(lambda: send(it, stream=True, **fields))

    def opened(it, **fields):
        return ask.api(it).with_streaming_response.create(**ask.body(stream=True, **fields))

    def text(outcome, rows):
        is_text(ask.text_of(outcome.value))

    def tool(outcome, rows):
        is_tool(ask.tool_of(outcome.value))

    def whole(outcome, rows):
        return is_stream(outcome.value, ask.last)

    same(f"{name}: an answer", lambda it: send(it), text)
    same(
        f"{name}: the provider's request id",
        lambda it: send(it)._request_id,
        lambda o, _: expect(o.value.startswith("req_"), o),
    )
    same(f"{name}: a stream, event by event", stream(), whole)
    same(f"{name}: a stream through the SDK's helper", lambda it: helper(ask.api(it).stream(**ask.body()), ask.final), text)
    same(f"{name}: a stream, byte for byte", lambda it: wire_of(opened(it))[0], lambda o, _: f"{len(o.value['text'])} characters")

    def not_held_back():
        before = len(requests(through))
        _, arrived_at = wire_of(opened(through, model="slow-stream"))
        sent_at = requests(through, before)[0]["sentAt"]
        expect(len(arrived_at) == len(sent_at), (arrived_at, sent_at))
        lags = sorted(arrived - sent / 1000 for arrived, sent in zip(arrived_at, sent_at))
        median = lags[len(lags) // 2]
        expect(median < HELD_BACK_S and lags[-1] < 1, f"an event's way took {lags} s")
        return f"median {median * 1000:.0f} ms, slowest {lags[-1] * 1000:.0f} ms"

    check(f"{name}: a slow stream isn't held back", not_held_back)

    def large(outcome, rows):
        text(outcome, rows)
        expect(rows[0]["bodyBytes"] > 10 * MIB, rows[0]["bodyBytes"])

    same(f"{name}: a body of 10 MiB", lambda it: send(it, **ask.large), large)
    same(f"{name}: a body of 10 MiB, the answer streamed", stream(**ask.large), whole)
    same(f"{name}: a tool call", lambda it: send(it, **ask.tools), tool)
    same(f"{name}: a tool call, streamed", stream(**ask.tools), whole)
    same(
        f"{name}: a tool call through the SDK's helper",
        lambda it: helper(ask.api(it).stream(**ask.body(**ask.tools)), ask.final),
        tool,
    )
    same(f"{name}: the answer to a tool's result", lambda it: send(it, **ask.tools, **ask.answered(send(it, **ask.tools))), text)

    for status, kind in ERRORS.items():

        def error(outcome, rows, status=status, kind=kind):
            expect(outcome.error and outcome.error["status_code"] == status, outcome)
            expect(re.fullmatch(kind, outcome.error["class"]), outcome.error)
            return f"{outcome.error['class']} {outcome.error['type']}"

        same(f"{name}: an error {status}", lambda it, status=status: send(it, model=f"error-{status}"), error)

    def instead(outcome, rows):
        expect(not outcome.value["events"] and outcome.value["error"]["status_code"] == 400, outcome)

    same(f"{name}: an error instead of a stream", stream(model="error-400"), instead)

    if ask is not RESPONSES:
        same(
            f"{name}: a stream that ends with an error",
            stream(model="error-stream"),
            lambda o, _: expect(len(o.value["events"]) >= 8 and o.value["error"], o),
        )

    def broken(it):
        try:
            return {"failed": events_of(lambda: send(it, stream=True, model="cut-stream"))["error"] is not None}
        except Exception as error:  # noqa: BLE001 - the HTTP library's own
            return {"failed": "httpx" in type(error).__module__ or str(error)}

    same(f"{name}: a stream that breaks off is no whole one", broken, lambda o, _: expect(o.value["failed"] is True, o))

    def left(it):
        before = len(requests(it))
        with contextlib.closing(send(it, stream=True, model="slow-stream")) as events:
            next(iter(events))
        end = time.monotonic() + 10
        while not requests(it, before)[0]["abandoned"]:
            expect(time.monotonic() < end, "the provider still sends after 10 s")
            time.sleep(0.05)
        return "ended"

    same(f"{name}: a client that leaves a stream ends it at the provider", left, lambda o, _: expect(o.value == "ended", o))

    # The client for asyncio
    def asynchronous(call):
        async def with_clients(it):
            clients = it.async_clients()
            async with clients.anthropic, clients.openai:
                return plain(await call(clients))

        return lambda it: asyncio.run(with_clients(it))

    same(f"{name}: async, an answer", asynchronous(lambda it: send(it)), text)
    same(f"{name}: async, a stream, event by event", asynchronous(lambda it: events_of_async(send(it, stream=True))), whole)
    same(
        f"{name}: async, a stream through the SDK's helper",
        asynchronous(lambda it: helper_async(ask.api(it).stream(**ask.body()), ask.final)),
        text,
    )
    same(
        f"{name}: async, a tool call, streamed",
        asynchronous(lambda it: events_of_async(send(it, stream=True, **ask.tools))),
        whole,
    )
    same(f"{name}: async, a body of 10 MiB", asynchronous(lambda it: send(it, **ask.large)), large)
    same(
        f"{name}: async, an error 400",
        asynchronous(lambda it: send(it, model="error-400")),
        lambda o, _: expect(o.error["status_code"] == 400, o),
    )

    async def many(it):
        asked = "input" if ask is RESPONSES else "messages"
        return await asyncio.gather(*[
            events_of_async(send(it, stream=True, **{asked: [user(f"question {i}")]})) for i in range(20)
        ])

    def twenty(outcome, rows):
        for value in outcome.value:
            is_stream(value, ask.last)
        expect(len({json.dumps(value) for value in outcome.value}) == 20)

    same(f"{name}: async, 20 streams at a time", asynchronous(many), twenty)


def check_rest():
    same(
        "messages: tokens counted",
        lambda it: it.anthropic.messages.count_tokens(model="claude-large-1", messages=QUESTION),
        lambda o, _: expect(o.value["input_tokens"] > 10, o),
    )

    def pages(outcome, rows):
        expect(len(outcome.value) == 5 and len(rows) == 3, (outcome, len(rows)))

    same("messages: models, page by page", lambda it: list(it.anthropic.models.list(limit=2)), pages)
    same(
        "messages: an unknown model",
        lambda it: it.anthropic.models.retrieve("nobody"),
        lambda o, _: expect(o.error["class"] == "NotFoundError", o),
    )
    same("openai: models", lambda it: list(it.openai.models.list()), lambda o, _: expect(len(o.value) == 3, o))
    same(
        "openai: a model with colons",
        lambda it: it.openai.models.retrieve("ft:gpt-small-1:acme::7p4lURel"),
        lambda o, _: expect(o.value["object"] == "model", o),
    )
    same(
        "openai: an unknown model",
        lambda it: it.openai.models.retrieve("nobody"),
        lambda o, _: expect(o.error["code"] == "model_not_found", o),
    )
    same(
        "openai: embeddings",
        lambda it: it.openai.embeddings.create(model="embed-1", input=["a", "ü"]),
        lambda o, _: expect(len(o.value["data"][1]["embedding"]) == 8, o),
    )
    same(
        "openai: a file of 10 MiB",
        lambda it: it.openai.files.create(file=("Zürich.jsonl", io.BytesIO(LARGE.encode())), purpose="batch"),
        lambda o, _: expect(o.value["bytes"] == len(LARGE), o),
        same_body=False,
    )


def check_rate_limits():
    """The last of all: the provider's only key cools down for the second that it asked for."""
    for name, ask in [("messages", MESSAGES), ("chat", CHAT)]:
        same(
            f"{name}: a rate limit",
            lambda it, ask=ask: ask.api(it).create(**ask.body(model="limit-429")),
            lambda o, _: expect(o.error["class"] == "RateLimitError", o),
        )

    def serves():
        end = time.monotonic() + 10
        while True:
            try:
                MESSAGES.api(through).create(**MESSAGES.body())
                CHAT.api(through).create(**CHAT.body())
                return
            except (anthropic.RateLimitError, openai.RateLimitError):
                expect(time.monotonic() < end, "both providers serve: not within 10 s")
                time.sleep(0.2)

    check("after a rate limit's time the key serves again", serves)


for api in [("messages", MESSAGES), ("chat", CHAT), ("responses", RESPONSES)]:
    check_api(*api)
check_rest()
check_rate_limits()
if added:
    print(f"# headers that the provider got through Portcullis alone: {', '.join(sorted(added))}")
print(f"{totals['ok']} passed, {totals['not ok']} failed")
sys.exit(totals["not ok"] > 0 or totals["ok"] == 0)
