"""Shares: so many of something that a node has, shared out among goods owners without setting any aside.

Whoever wants one may have it while they hold less than three times what is free. So one goods owner alone gets three quarters, and
what is left serves others at once; two get three sevenths each; and nobody who holds few is ever refused while there is
one. (The rule is the dynamic threshold of switches with one buffer: Choudhury and Hahne, 1998.) Automation webhooks for
the same goods owners count as one.
"""

from collections import Counter

OF_WHAT_IS_FREE = 3
Owners = frozenset[int] | None


class Shares:
    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self._by_owners: Counter[Owners] = Counter()

    def free(self) -> int:
        return max(0, self.count - self.taken)

    def room(self, owners: Owners) -> int:
        """How many more they may have now; each one taken makes it less by four."""
        return max(0, OF_WHAT_IS_FREE * self.free() - self._by_owners[owners])

    def take(self, owners: Owners, count: int = 1) -> None:
        """`count` is negative where something is given back."""
        self.taken += count
        self._by_owners[owners] += count
        if not self._by_owners[owners]:
            del self._by_owners[owners]
