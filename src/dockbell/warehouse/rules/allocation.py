"""Which article items a quantity is taken from."""

from collections.abc import Iterable, Iterator

from dockbell.store.database import Row


def taken_from(items: Iterable[Row], count: int) -> Iterator[tuple[int, int, bool]]:
    """(item, how many of it, whether that is all of it), in the given order, until there are `count`."""
    for item in items:
        if count == 0:
            return
        here = min(count, int(item["number_of_items"]))
        if here:
            count -= here
            yield int(item["id"]), here, here == item["number_of_items"]
    assert count == 0, "there is less than the rules allowed"
