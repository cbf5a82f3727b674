"""Programs for those who work on traceq."""
