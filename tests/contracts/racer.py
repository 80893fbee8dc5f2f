"""One of several processes that write the same keys at the same time: `racer.py ADDRESS NAME ROUNDS SIZE`.

Prints the rounds it won. Each begins when a line comes in, so that all begin together.
"""

import json
import sys

from headgate.errors import Conflict
from headgate.stores import open_store


def main() -> None:
    address, name, rounds, size = sys.argv[1:]
    store = open_store(address)
    store.create(f"ready/{name}", b"")
    won = []
    sys.stdin.readline()
    for number in range(int(rounds)):
        try:
            store.create(f"race/{number:03d}", name.encode() * int(size))
        except Conflict:
            continue
        won.append(number)
    sys.stdout.write(json.dumps(won))


if __name__ == "__main__":
    main()
