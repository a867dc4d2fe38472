"""What an emulator plays beside its calls, where its channel declares so: pushes, sign-ins, options of listings.

The contract of that capability needs the part; it says so where an emulator lacks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from syncd.sdk.channel import Webhook


class Pushes(ABC):
    """A mall that pushes (`publishes_webhooks`)."""

    signs_pushes: ClassVar[bool] = True
    """Whether a push is signed over its whole body; False where it only bears a key."""

    def registered(self) -> Sequence[str] | None:
        """Addresses of ours that the mall pushes to, one for each kind of push; None where a person registers them."""
        return None

    def forget_registration(self) -> None:  # noqa: B027  # nothing to end where a person registers it
        """End what is registered, as a mall does after failures."""

    @abstractmethod
    def pushed(self) -> Sequence[Webhook]:
        """What the mall has pushed since the last call, header names in lower case."""


class SignsIn(ABC):
    """A mall with a page of its own where a person signs in (`signs_in`)."""

    sign_in_quirks: ClassVar[Sequence[str]] = ()
    """Switches of `quirks` that speak of the sign-in: the walk is tested under each of their settings."""

    @abstractmethod
    def person_signs_in(self, address: str) -> str:
        """A person opens the page, signs in and agrees; what they bring back."""

    @abstractmethod
    def end_access(self) -> None:
        """Every access token ends now; what it is renewed with does not."""

    @abstractmethod
    def withdraw(self) -> None:
        """The right to work for the shop is withdrawn: nothing given out so far works any longer."""


class HasOptions(ABC):
    """A mall whose listings have options (`listing_options`)."""

    @abstractmethod
    def options_of(self, key: str) -> Mapping[str, str]:
        """The options of a listing as they stand now, by the names and in the form of the capability."""
