"""The command line: the one part of traceir that prints, exits and reads the environment."""
