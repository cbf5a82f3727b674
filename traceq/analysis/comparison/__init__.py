"""What changed between two sets of requests: times, calls, errors and tags, and how sure that is."""
