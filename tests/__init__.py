"""The tests of traceir."""
