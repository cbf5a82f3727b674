"""The process of the command line: `traceq`, and `python -m traceq`."""

import gc

_OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""More than are imported. Hardly any garbage is made: what is read has no cycles."""


def run() -> None:
    """Run the command line of this process and exit."""
    # What is imported stays: looking through it for garbage after every 700 objects takes a twentieth of a short run.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # Late: this imports most of it.
    from traceq.cli import run as run_commands

    run_commands()


if __name__ == "__main__":
    run()
