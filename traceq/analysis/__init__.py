"""Answers about traces, one question a module: pure functions from span tables to small results."""
