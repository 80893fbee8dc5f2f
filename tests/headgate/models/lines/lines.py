"""Answers a line with a line. x = -1 ends it, -2 makes it say too much, -3 nonsense, -4 an error."""

import json
import sys

sys.stdout.reconfigure(line_buffering=True)
for asked, line in enumerate(sys.stdin, start=1):
    x = json.loads(line)["inputs"]["x"]
    if x == [-1.0]:
        sys.exit(1)
    if x == [-3.0]:
        sys.stdout.write("well...\n")
        continue
    if x == [-4.0]:
        sys.stdout.write('{"error": "no such well"}\n')
        continue
    answer = json.dumps({"outputs": {"y": [2 * value for value in x], "asked": [asked] * len(x)}})
    sys.stdout.write(f"{answer}\n" * (2 if x == [-2.0] else 1))
