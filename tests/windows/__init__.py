"""Tests of windows chosen by words."""
