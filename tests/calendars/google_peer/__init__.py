"""A small Google Calendar of our own for tests: API v3, batches, tokens, as Google's client speaks.

Where nobody has written down what Google does, the peer is the stricter of the possibilities. What a
product should not need, it does not know: searching, recurrence beyond keeping the rule, push.
"""

from .faults import Rule
from .peer import GooglePeer
from .remote import RemotePeer, apart

__all__ = ["GooglePeer", "RemotePeer", "Rule", "apart"]
