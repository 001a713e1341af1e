"""How a long-running process of ours collects garbage.

Spans live for a second or two, in great numbers, and form no cycles. Python's default runs a young collection every
700 allocations, so that spans still in flight grow old and full collections walk all of them again and again: a
sixth of the embedded driver's processor time. What start-up made is taken out of collection, and the rest runs rarely.
"""

import gc

YOUNG, MIDDLE, OLD = 50_000, 50, 100


def settle() -> None:
    """Call once when everything is built and the stream is about to flow; the process's setting, not a part's."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
