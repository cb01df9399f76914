"""Tests of the pass machinery."""
