"""A plug-in as a stranger would write it, and the tests that install it."""
