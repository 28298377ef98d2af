"""A budget of tokens: calls beyond the first (retries, hedges) stay a small share of those that succeed.

Source: gRFC A6, "Throttling Retry Attempts and Hedged RPCs", simplified. There every failure takes a token and extra
calls stop below half of the maximum; here every extra call takes one. What is kept is what matters: only success
earns tokens. So a backend that fails completely gets the tokens at hand and then nothing but first calls, and the
bound can be read off: extra calls <= tokens at the start + ratio * successes.
"""


class TokenBudget:
    """Holds up to `max_tokens`; a success deposits `ratio` of a token, an extra call withdraws a whole one.

    Attributes:
        refused: Withdrawals refused so far.
    """

    __slots__ = ("_max_tokens", "_ratio", "_tokens", "refused")

    def __init__(self, max_tokens: float, ratio: float, *, tokens: float | None = None) -> None:
        """Sets the budget up.

        Args:
            max_tokens: How many extra calls may follow each other without a success between them.
            ratio: Extra calls per success in the long run.
            tokens: How many there are at the start; None for `max_tokens`.
        """
        self._max_tokens = max_tokens
        self._ratio = ratio
        self._tokens = max_tokens if tokens is None else tokens
        self.refused = 0

    def __repr__(self) -> str:
        return f"<TokenBudget {self._tokens:.2f} of {self._max_tokens:g} tokens, {self.refused} withdrawals refused>"

    def deposit(self) -> None:
        """Takes note of one success."""
        self._tokens = min(self._max_tokens, self._tokens + self._ratio)

    def withdraw(self) -> bool:
        """Whether one extra call may be made; if so, it has been paid for."""
        if self._tokens < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        return True
