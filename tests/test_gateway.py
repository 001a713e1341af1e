"""The gateway keeps the OTLP specification: what it takes, what it answers, and what a client may send again."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import zstandard
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipeline.auth import new_token
from pipeline.errors import LogFull, SettingsError, SinkUnavailable
from tests import otlp
from tests.running import RunningGateway, gateway

PROTOBUF, JSON = "application/x-protobuf", "application/json"
CANARY = "canary-value-that-must-not-appear"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningGateway]:
    """One gateway for the tests that leave nothing behind but spans."""
    with gateway(max_body_bytes=2**20) as running:
        yield running


@pytest.fixture
def open_gateway(shared: RunningGateway) -> RunningGateway:
    shared.intake.spans.clear()
    shared.intake.dead_letters.clear()
    shared.intake.refuse = None
    shared.reasons.clear()
    return shared


def post(client: httpx.Client, url: str, body: Any, kind: str = PROTOBUF, **headers: str) -> httpx.Response:
    return client.post(url, content=body, headers={"Content-Type": kind} | headers)


def status(response: httpx.Response) -> status_pb2.Status:
    """The google.rpc.Status of an error, in either type."""
    if response.headers["content-type"] == JSON:
        return status_pb2.Status(**response.json())
    assert response.headers["content-type"] == PROTOBUF
    return status_pb2.Status.FromString(response.content)


class TestHttp:
    def test_protobuf_is_answered_in_protobuf(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Full success: an empty ExportTraceServiceResponse, and the spans are with the intake."""
        response = post(client, open_gateway.url + "/v1/traces", otlp.traces(3))
        assert (response.status_code, response.headers["content-type"]) == (200, PROTOBUF)
        assert ExportTraceServiceResponse.FromString(response.content) == ExportTraceServiceResponse()
        assert [s.session_id for s in open_gateway.intake.spans] == ["s1"] * 3
        assert {s.tenant for s in open_gateway.intake.spans} == {"default"}

    def test_json_is_answered_in_json(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Also with parameters behind the type, and in capitals."""
        for kind in (JSON, "application/json; charset=utf-8", "Application/JSON"):
            response = post(client, open_gateway.url + "/v1/traces", otlp.traces_json(2), kind)
            assert (response.status_code, response.headers["content-type"]) == (200, JSON)
            assert response.json() == {}
        assert len(open_gateway.intake.spans) == 6

    def test_logs_are_taken(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """The second signal on its own path."""
        response = post(client, open_gateway.url + "/v1/logs", otlp.logs(2))
        assert response.status_code == 200
        assert ExportLogsServiceResponse.FromString(response.content) == ExportLogsServiceResponse()
        assert [s.signal for s in open_gateway.intake.spans] == ["log", "log"]

    def test_metrics_are_counted_and_dropped(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Nothing reaches the intake; malformed ones are still told so."""
        before = open_gateway.value("spanwatch_points_dropped_total")
        assert post(client, open_gateway.url + "/v1/metrics", otlp.metrics()).status_code == 200
        assert post(client, open_gateway.url + "/v1/metrics", otlp.metrics_json(), JSON).json() == {}
        assert open_gateway.value("spanwatch_points_dropped_total") == before + 3 + 4
        assert post(client, open_gateway.url + "/v1/metrics", b"\xff\xff").status_code == 400
        assert post(client, open_gateway.url + "/v1/metrics", b"{", JSON).status_code == 400
        assert not open_gateway.intake.spans
        assert not open_gateway.intake.dead_letters

    def test_null_is_no_points(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """JSON's null stands for an absent field, on this path as on the others."""
        bodies = (b'{"resourceMetrics":null}', b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":null}]}]}]}')
        for body in bodies:
            assert post(client, open_gateway.url + "/v1/metrics", body, JSON).status_code == 200

    def test_a_head_without_end_is_given_up(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Headers are read before anybody is asked for a token, so their size is bounded; others are served on."""
        port = int(open_gateway.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as endless:
            endless.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Long: ")
            with pytest.raises(ConnectionError):
                endless.sendall(b"a" * 50_000_000)
        for _ in range(3):  # one connection, many heads
            assert post(client, open_gateway.url + "/v1/traces", otlp.traces(300)).status_code == 200

    def test_no_answer_quotes_the_url(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """A token in a query is not sent round again by a redirect."""
        response = post(client, f"{open_gateway.url}/v1/traces/?key={CANARY}", b"")
        assert response.status_code == 404
        assert CANARY not in response.text + str(response.headers)

    @pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
    def test_an_empty_request_is_a_success(self, client: httpx.Client, open_gateway: RunningGateway, path: str) -> None:
        """Zero bytes of protobuf are a valid empty message; so is {}."""
        assert post(client, open_gateway.url + path, b"").status_code == 200
        assert post(client, open_gateway.url + path, b"{}", JSON).status_code == 200
        assert not open_gateway.intake.spans

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "zstd", "identity"])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_compressed_and_chunked_bodies(
        self, client: httpx.Client, open_gateway: RunningGateway, encoding: str, chunked: bool
    ) -> None:
        """Each compression, with and without Content-Length."""
        body = otlp.traces(50)
        packed = {"gzip": gzip.compress, "zstd": zstandard.compress}.get(encoding.lower(), bytes)(body)
        content = iter([packed[:10], packed[10:500], packed[500:]]) if chunked else packed
        response = post(client, open_gateway.url + "/v1/traces", content, **{"Content-Encoding": encoding})
        assert ("transfer-encoding" in response.request.headers) == chunked
        assert response.status_code == 200
        assert len(open_gateway.intake.spans) == 50

    @pytest.mark.parametrize("kind", ["text/plain", "", "application/protobuf-but-not", "application/json2"])
    def test_another_content_type_is_415(self, client: httpx.Client, open_gateway: RunningGateway, kind: str) -> None:
        """Answered in JSON, which anyone can read."""
        response = post(client, open_gateway.url + "/v1/traces", otlp.traces(), kind)
        assert response.status_code == 415
        assert "Content-Type" in status(response).message

    @pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
    def test_another_content_encoding_is_415(
        self, client: httpx.Client, open_gateway: RunningGateway, encoding: str
    ) -> None:
        """In the request's type; no dead letter, the body may be fine."""
        response = post(client, open_gateway.url + "/v1/traces", otlp.traces(), **{"Content-Encoding": encoding})
        assert response.status_code == 415
        assert response.headers["content-type"] == PROTOBUF
        assert status(response).code == 12
        assert not open_gateway.intake.dead_letters

    @pytest.mark.parametrize(
        ("body", "kind", "encoding"),
        [
            (b"\xff\xff\xff", PROTOBUF, ""),
            (otlp.traces(5)[:-7], PROTOBUF, ""),
            (b'{"resourceSpans": [', JSON, ""),
            (b"", JSON, ""),
            (b"[1, 2]", JSON, ""),
            (b'{"resourceSpans":' + b"[" * 100_000, JSON, ""),
            (gzip.compress(otlp.traces(5))[:-9], PROTOBUF, "gzip"),
            (b"not gzip", PROTOBUF, "gzip"),
            (zstandard.compress(otlp.traces(5))[:-9], PROTOBUF, "zstd"),
            (b"not zstd", JSON, "zstd"),
        ],
    )
    def test_what_can_never_succeed_is_400(
        self, client: httpx.Client, open_gateway: RunningGateway, body: bytes, kind: str, encoding: str
    ) -> None:
        """With a Status in the request's type, without Retry-After, and remembered as a dead letter without content."""
        response = post(client, open_gateway.url + "/v1/traces", body, kind, **{"Content-Encoding": encoding})
        assert response.status_code == 400
        assert response.headers["content-type"] == kind
        assert status(response).code == 3
        assert status(response).message
        assert "retry-after" not in response.headers
        (letter,) = open_gateway.intake.dead_letters
        assert (letter.origin, letter.size) == ("http:traces", len(body))

    def test_the_same_bad_body_has_the_same_fingerprint(
        self, client: httpx.Client, open_gateway: RunningGateway
    ) -> None:
        """A client that resends it for ever is recognised."""
        for body in (b"\xff\xff\xff", b"\xff\xff\xff", b"\xff\xff\xfe"):
            post(client, open_gateway.url + "/v1/traces", body)
        prints = [letter.fingerprint for letter in open_gateway.intake.dead_letters]
        assert prints[0] == prints[1] != prints[2]

    @pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
    @pytest.mark.parametrize("size", [2**20 + 1, 300 * 2**20])
    def test_a_bomb_is_413(self, client: httpx.Client, open_gateway: RunningGateway, compress: Any, size: int) -> None:
        """Just over the cap, and far over it; the process lives."""
        name = "gzip" if compress is gzip.compress else "zstd"
        response = post(client, open_gateway.url + "/v1/traces", compress(bytes(size)), **{"Content-Encoding": name})
        assert response.status_code == 413
        assert status(response).code == 8
        assert post(client, open_gateway.url + "/v1/traces", otlp.traces()).status_code == 200

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_over_the_cap_is_413(
        self, client: httpx.Client, open_gateway: RunningGateway, chunked: bool
    ) -> None:
        """Counted while reading, so a missing Content-Length hides nothing."""
        body = bytes(2**20 + 1000)
        content = (body[i : i + 2**16] for i in range(0, len(body), 2**16)) if chunked else body
        response = post(client, open_gateway.url + "/v1/traces", content)
        assert response.status_code == 413
        assert "retry-after" not in response.headers

    def test_a_body_without_end_is_cut_off(self, open_gateway: RunningGateway) -> None:
        """After twice the cap the gateway stops reading and closes."""
        host, port = open_gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
            raw.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
            sent = 0
            try:
                while sent < 64 * 2**20:
                    raw.sendall(b"10000\r\n" + bytes(2**16) + b"\r\n")
                    sent += 2**16
            except OSError:
                pass
        assert sent < 64 * 2**20

    def test_records_that_cannot_be_used_are_a_partial_success(
        self, client: httpx.Client, open_gateway: RunningGateway
    ) -> None:
        """The rest is kept; the client learns how many and why, and must not send them again."""
        response = post(client, open_gateway.url + "/v1/traces", otlp.traces(4, broken=2))
        assert response.status_code == 200
        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        assert partial.rejected_spans == 2
        assert "2 " in partial.error_message
        assert (len(open_gateway.intake.spans), len(open_gateway.intake.dead_letters)) == (4, 2)

    def test_partial_success_in_json(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """64-bit integers are strings there."""
        body = json.loads(otlp.traces_json(3))
        body["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["traceId"] = "zz"
        response = post(client, open_gateway.url + "/v1/traces", json.dumps(body), JSON)
        assert response.status_code == 200
        assert response.json()["partialSuccess"]["rejectedSpans"] == "1"
        assert response.json()["partialSuccess"]["errorMessage"]

    @pytest.mark.parametrize(("error", "code", "rpc"), [(LogFull("full"), 429, 8), (SinkUnavailable("away"), 503, 14)])
    @pytest.mark.parametrize("kind", [PROTOBUF, JSON])
    def test_full_or_unavailable_is_to_be_sent_again(
        self, client: httpx.Client, open_gateway: RunningGateway, error: Exception, code: int, rpc: int, kind: str
    ) -> None:
        """429 or 503 with Retry-After; nothing is kept."""
        open_gateway.intake.refuse = error
        body = otlp.traces() if kind == PROTOBUF else otlp.traces_json()
        response = post(client, open_gateway.url + "/v1/traces", body, kind)
        assert (response.status_code, response.headers["retry-after"]) == (code, "2")
        assert status(response).code == rpc
        assert response.headers["content-type"] == kind

    def test_anything_unexpected_is_503_and_counted_by_type(
        self, client: httpx.Client, open_gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Never 500, and what the exception says is not logged."""
        open_gateway.intake.refuse = ZeroDivisionError(CANARY)
        before = open_gateway.value("spanwatch_requests_failed_total", exception="ZeroDivisionError")
        response = post(client, open_gateway.url + "/v1/traces", otlp.traces())
        assert (response.status_code, status(response).code) == (503, 14)
        assert int(response.headers["retry-after"]) >= 1
        assert CANARY not in response.text
        assert open_gateway.value("spanwatch_requests_failed_total", exception="ZeroDivisionError") == before + 1

    def test_a_bad_body_is_400_even_when_its_dead_letter_cannot_be_kept(
        self, client: httpx.Client, open_gateway: RunningGateway
    ) -> None:
        """Sending it again would not help."""
        open_gateway.intake.refuse = LogFull("full")
        assert post(client, open_gateway.url + "/v1/traces", b"\xff\xff\xff").status_code == 400

    def test_a_client_that_hangs_up_harms_nobody(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Half a body, then nothing: counted, and the next request is served."""
        host, port = open_gateway.url.removeprefix("http://").split(":")
        labels = {"transport": "http", "signal": "traces", "outcome": "unavailable"}
        before = open_gateway.value("spanwatch_requests_answered_total", **labels)
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
            raw.sendall(b"Content-Length: 1000\r\n\r\n" + bytes(10))
        deadline = time.monotonic() + 20
        while open_gateway.value("spanwatch_requests_answered_total", **labels) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert post(client, open_gateway.url + "/v1/traces", otlp.traces()).status_code == 200

    def test_other_methods_and_paths(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """405 and 404, no documentation pages."""
        assert client.get(open_gateway.url + "/v1/traces").status_code == 405
        for path in ("/", "/docs", "/openapi.json", "/v1/profiles"):
            assert client.get(open_gateway.url + path).status_code == 404


class TestLimits:
    def test_over_the_emitters_rate_is_429(self, client: httpx.Client) -> None:
        """A burst, then Retry-After in whole seconds until there is room again."""
        now = [100.0]
        with gateway(requests_per_second=0.5, clock=lambda: now[0]) as running:
            codes = [post(client, running.url + "/v1/traces", otlp.traces()).status_code for _ in range(2)]
            assert codes == [200, 429]
            response = post(client, running.url + "/v1/traces", otlp.traces())
            assert int(response.headers["retry-after"]) == 2
            assert status(response).code == 8
            now[0] += 2.0
            assert post(client, running.url + "/v1/traces", otlp.traces()).status_code == 200

    def test_a_full_log_is_told_before_the_body_is_decoded(self, client: httpx.Client) -> None:
        """Refusing must cost little just then."""

        def full() -> None:
            raise LogFull("full")

        with gateway(check=full) as running:
            response = post(client, running.url + "/v1/traces", b"\xff\xff\xff")
            assert response.status_code == 429
            assert running.value("spanwatch_bytes_received_total", transport="http", signal="traces") == 0

    def test_too_many_bodies_at_once_are_told_to_come_back(self, client: httpx.Client) -> None:
        """Half-sent bodies hold memory: past four full ones the next is refused, and served once they are gone."""
        with gateway(max_body_bytes=100_000) as running:
            host, port = running.url.removeprefix("http://").split(":")
            held = []
            for _ in range(5):
                raw = socket.create_connection((host, int(port)), timeout=30)
                raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
                raw.sendall(b"Content-Length: 100000\r\n\r\n" + bytes(90_000))
                held.append(raw)
            assert held[-1].recv(100).startswith(b"HTTP/1.1 503")
            for raw in held:
                raw.close()
            deadline = time.monotonic() + 20
            while post(client, running.url + "/v1/traces", otlp.traces(150)).status_code != 200:
                assert time.monotonic() < deadline


class TestTokens:
    def test_only_known_tokens_are_served_and_name_the_sender(self, client: httpx.Client, tmp_path: Path) -> None:
        """401 with a Status before the body is looked at; tenant and emitter come from the token alone."""
        made, file = new_token("acme", "ci-runner"), tmp_path / "tokens.toml"
        file.write_text(made.entry)
        with gateway(tokens_file=file, host="0.0.0.0") as running:
            for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": f"Basic {made.token}"}):
                response = post(client, running.url + "/v1/traces", b"\xff", **headers)
                assert (response.status_code, status(response).code) == (401, 16)
                assert response.headers["www-authenticate"] == "Bearer"
            asserted = otlp.traces(1, **{"tenant": "evil", "spanwatch.tenant": "evil", "emitter": "evil"})
            good = {"Authorization": f"Bearer {made.token}"}
            assert post(client, running.url + "/v1/traces", asserted, **good).status_code == 200
            (span,) = running.intake.spans
            assert (span.resource.tenant, span.resource.emitter) == ("acme", "ci-runner")
            post(client, running.url + "/v1/traces", b"\xff\xff", **good)
            (letter,) = running.intake.dead_letters
            assert (letter.tenant, letter.emitter) == ("acme", "ci-runner")
            assert client.get(running.url + "/healthz").status_code == 200

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_without_tokens_other_machines_are_not_listened_to(self, host: str) -> None:
        """Refused at the start, not per request."""
        with pytest.raises(SettingsError, match="tokens_file"), gateway(host=host):
            raise AssertionError("it listened")

    def test_a_taken_port_is_a_settings_error(self) -> None:
        """Both ports; with the address in the message."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for name in ("port", "grpc_port"):
                with pytest.raises(SettingsError, match=str(port)), gateway(**{name: port}):
                    raise AssertionError("it listened")


class TestPages:
    def test_alive_and_ready(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Readiness says which part is not and why."""
        assert client.get(open_gateway.url + "/healthz").json() == {"status": "alive"}
        assert client.get(open_gateway.url + "/readyz").status_code == 200
        open_gateway.reasons["sink"] = "store away"
        response = client.get(open_gateway.url + "/readyz")
        assert response.status_code == 503
        assert response.json()["reasons"] == {"sink": "store away"}

    def test_metrics_count_and_carry_nothing(self, client: httpx.Client, open_gateway: RunningGateway) -> None:
        """Requests, bytes and records; no attribute, name, header or path of anybody."""
        values = {
            name: open_gateway.value(name, **labels)
            for name, labels in (
                ("spanwatch_records_accepted_total", {"signal": "traces"}),
                ("spanwatch_requests_answered_total", {"transport": "http", "signal": "traces", "outcome": "ok"}),
            )
        }
        body = otlp.traces(7, session=CANARY, **{CANARY: CANARY})
        post(client, open_gateway.url + "/v1/traces?" + CANARY, body, **{"X-Canary": CANARY})
        client.get(open_gateway.url + "/" + CANARY)
        text = client.get(open_gateway.url + "/metrics").text
        assert CANARY not in text
        accepted = values["spanwatch_records_accepted_total"] + 7
        answered = values["spanwatch_requests_answered_total"] + 1
        assert f'spanwatch_records_accepted_total{{signal="traces"}} {accepted}' in text
        assert f'spanwatch_requests_answered_total{{outcome="ok",signal="traces",transport="http"}} {answered}' in text


def call(running: RunningGateway, service: str, body: bytes, **metadata: str) -> bytes:
    """One raw Export."""
    with grpc.insecure_channel(running.grpc, compression=grpc.Compression.Gzip) as channel:
        method = f"/opentelemetry.proto.collector.{service}/Export"
        answer: bytes = channel.unary_unary(method)(body, metadata=tuple(metadata.items()), timeout=30)
        return answer


TRACE = "trace.v1.TraceService"


class TestGrpc:
    def test_the_three_services_take_gzip(self, open_gateway: RunningGateway) -> None:
        """Empty answers for full success; the same spans as over HTTP."""
        dropped = open_gateway.value("spanwatch_points_dropped_total")
        assert call(open_gateway, TRACE, otlp.traces(200)) == b""
        assert call(open_gateway, "logs.v1.LogsService", otlp.logs(2)) == b""
        assert call(open_gateway, "metrics.v1.MetricsService", otlp.metrics()) == b""
        assert call(open_gateway, TRACE, b"") == b""
        assert [s.signal for s in open_gateway.intake.spans] == ["span"] * 200 + ["log"] * 2
        assert open_gateway.value("spanwatch_points_dropped_total") == dropped + 3

    def test_partial_success(self, open_gateway: RunningGateway) -> None:
        """As over HTTP."""
        answer = ExportTraceServiceResponse.FromString(call(open_gateway, TRACE, otlp.traces(1, broken=3)))
        assert answer.partial_success.rejected_spans == 3
        assert [letter.origin for letter in open_gateway.intake.dead_letters] == ["grpc:traces"] * 3

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (LogFull("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
            (SinkUnavailable("away"), grpc.StatusCode.UNAVAILABLE),
            (ZeroDivisionError(CANARY), grpc.StatusCode.UNAVAILABLE),
        ],
    )
    def test_what_may_be_sent_again_carries_retry_info(
        self, open_gateway: RunningGateway, error: Exception, code: grpc.StatusCode
    ) -> None:
        """A client drops the batch on RESOURCE_EXHAUSTED without it."""
        open_gateway.intake.refuse = error
        with pytest.raises(grpc.RpcError) as caught:
            call(open_gateway, TRACE, otlp.traces())
        assert caught.value.code() == code
        assert CANARY not in caught.value.details()
        details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
        info = error_details_pb2.RetryInfo()
        assert status_pb2.Status.FromString(details).details[0].Unpack(info)
        assert info.retry_delay.seconds == 2

    def test_what_can_never_succeed(self, open_gateway: RunningGateway) -> None:
        """INVALID_ARGUMENT, and RESOURCE_EXHAUSTED without RetryInfo for a message over the cap after inflating."""
        for body, code in (
            (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (bytes(2**20 + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(open_gateway, TRACE, body)
            assert caught.value.code() == code
            assert "grpc-status-details-bin" not in dict(caught.value.trailing_metadata())

    def test_tokens(self, tmp_path: Path) -> None:
        """UNAUTHENTICATED without one; with one its tenant."""
        made, file = new_token("acme", "laptop"), tmp_path / "tokens.toml"
        file.write_text(made.entry)
        with gateway(tokens_file=file) as running:
            for metadata in ({}, {"authorization": "Bearer nobody"}):
                with pytest.raises(grpc.RpcError) as caught:
                    call(running, TRACE, otlp.traces(), **metadata)
                assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
            call(running, TRACE, otlp.traces(), authorization=f"Bearer {made.token}")
            assert [s.tenant for s in running.intake.spans] == ["acme"]

    def test_it_can_be_turned_off(self) -> None:
        """-1: no port, HTTP still there."""
        with gateway(grpc_port=-1) as running:
            assert running.grpc == "127.0.0.1:0"
            assert httpx.get(running.url + "/healthz").status_code == 200
