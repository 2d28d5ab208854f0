"""The log that `sluice sink --log` writes, and whether a limit holds in it.

Times are seconds of time.monotonic(), as the tests' own.
"""
import collections
import pathlib
from typing import NamedTuple


class Event(NamedTuple):
    time: float
    kind: str  # open, refused, message, close
    connection: int
    address: str  # the sink's
    who: str  # open: the client's address; message: the recipient; tls: the protocol
    tls: str = ""  # message: the protocol that it came in, "" in clear


def read(path):
    """All whole lines so far, in order of time."""
    text = pathlib.Path(path).read_text(encoding="ascii")
    events = []
    for line in text[:text.rfind("\n") + 1].splitlines():
        time, kind, connection, address, *who = line.split(" ")
        events.append(Event(int(time) / 1e9, kind, int(connection), address,
                            who[0] if who else "", who[1] if kind == "message" and who[1:] else ""))
    return sorted(events, key=lambda event: event.time)


def messages(events):
    return [event for event in events if event.kind == "message"]


def times(events):
    return [event.time for event in messages(events)]


def most_open(events):
    """The most connections at a time: over all, and by the sink's address."""
    now, most = collections.Counter(), collections.Counter()
    for event in events:
        step = {"open": 1, "close": -1}.get(event.kind, 0)
        for what in ("all", event.address):
            now[what] += step
            most[what] = max(most[what], now[what])
    return most.pop("all", 0), dict(most)


def windows(moments, length=1.0):
    """For each moment: how many there are in the window of that length that ends with it."""
    counts, first = [], 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= length:
            first += 1
        counts.append(last - first + 1)
    return counts


def burst_needed(moments, rate):
    """The smallest b such that any window of t seconds, however short or long, holds at most
    b + rate * t of the moments."""
    empty_at = float("-inf")
    most = 0.0
    for moment in moments:
        empty_at = max(empty_at, moment) + 1 / rate
        most = max(most, (empty_at - moment) * rate)
    return most
