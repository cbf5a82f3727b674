"""A load test in small: a program with OpenTelemetry in it that makes some requests to itself.

Its times are made up, so that it ends at once and its answers are the same every time. Yours would call a service.
"""

from __future__ import annotations

from random import Random

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, set_span_in_context

MS = 10**6
START_NS = 1_790_000_000 * 10**9
REQUESTS = 200


def main() -> None:
    """Make the requests, and send their spans to where OTEL_EXPORTER_OTLP_ENDPOINT says."""
    random = Random(1)  # noqa: S311  the same every time is the point
    provider = TracerProvider(resource=Resource({"service.name": "checkout"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("load-test")
    query = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM cart WHERE id = $1"}
    for number in range(REQUESTS):
        begun = START_NS + number * 50 * MS
        asked = begun + 2 * MS
        answered = asked + int(random.lognormvariate(2.3, 0.2) * MS)
        root = tracer.start_span("POST /orders", kind=SpanKind.SERVER, start_time=begun)
        context = set_span_in_context(root)
        tracer.start_span("SELECT cart", context, SpanKind.CLIENT, query, start_time=asked).end(answered)
        root.end(answered + 3 * MS)
    provider.shutdown()


if __name__ == "__main__":
    main()
