"""How much is let through: requests in any 60 seconds, and the limit on a calendar's use."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .state import ApiError

WINDOW = timedelta(seconds=60)
WORDS = {
    "rateLimitExceeded": "Rate Limit Exceeded",
    "userRateLimitExceeded": "User Rate Limit Exceeded",
}


@dataclass
class Quota:
    """Counts always, refuses only where a limit is set. `forms` take turns: (status, reason)."""

    per_user: int | None = None
    per_project: int | None = None
    forms: list[tuple[int, str]] = field(default_factory=lambda: [(403, "rateLimitExceeded")])
    retry_after: int | None = None
    peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    refused: int = 0
    _times: dict[str, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))
    _read_only: dict[str, datetime] = field(default_factory=dict)

    def take(self, user: str, now: datetime) -> None:
        """Let one request through, or refuse it; what was refused is not counted."""
        limits = {f"user {user}": self.per_user, "project": self.per_project}
        for key, limit in limits.items():
            times = self._times[key]
            while times and times[0] <= now - WINDOW:
                times.popleft()
            if limit is not None and len(times) >= limit:
                raise self._refusal()
        for key in limits:
            self._times[key].append(now)
            self.peaks[key] = max(self.peaks[key], len(self._times[key]))

    def limit_use(self, account: str, until: datetime) -> None:
        """Let an account only read for a while."""
        self._read_only[account] = until

    def check_use(self, account: str, now: datetime) -> None:
        if self._read_only.get(account, now) > now:
            raise ApiError(403, "quotaExceeded", "Calendar usage limits exceeded.")

    def _refusal(self) -> ApiError:
        status, reason = self.forms[self.refused % len(self.forms)]
        self.refused += 1
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ApiError(status, reason, WORDS[reason], headers)
