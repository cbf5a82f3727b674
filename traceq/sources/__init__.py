"""Where traces come from: a Jaeger server, or files. Opened by `open_source`."""

from __future__ import annotations

from traceq.sources.interface import ConnectionOptions, ProgressListener, Source, no_progress


def open_source(
    locations: tuple[str, ...],
    options: ConnectionOptions | None = None,
    progress: ProgressListener = no_progress,
) -> Source:
    """Open a server (one `http://` or `https://` URL) or files (paths, patterns, directories, `-` for standard input).

    Nothing is read or sent before the first question.

    Raises:
        ValueError: If URLs and files are mixed, or several URLs are given.
        InputError: If nothing matches a pattern.
    """
    if any(is_url(location) for location in locations):
        if len(locations) > 1:
            raise ValueError("one server at a time: give one URL, or any number of files")
        from traceq.sources.jaeger import JaegerSource

        return JaegerSource(locations[0], options or ConnectionOptions(), progress)
    from traceq.sources.bodies import expanded
    from traceq.sources.files import FileSource

    return FileSource(expanded(locations), progress)


def is_url(location: str) -> bool:
    """Tell a server from a file."""
    return location.startswith(("http://", "https://"))
