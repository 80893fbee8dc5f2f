"""What people are told of releases, and how it reaches them. It decides nothing, and no release waits for it."""

from headgate.notices.delivery import Delivered, Trouble, deliver, try_channel, undelivered

__all__ = ["Delivered", "Trouble", "deliver", "try_channel", "undelivered"]
