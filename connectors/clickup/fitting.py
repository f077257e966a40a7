"""Answers that fit, under the name by which this connector knows them; they are `fitting.py`'s."""

from __future__ import annotations

from fitting import GUIDANCE, SHORT, Answer, Report, compact, dump, find_long_ones, fit

__all__ = ("GUIDANCE", "SHORT", "Answer", "Report", "compact", "dump", "find_long_ones", "fit")
