"""A line, and every way of being wrong that a check must find, chosen by the parameter `fault`."""

import random


class Scorer:
    def load(self, folder, params):
        self.slope, self.offset, self.fault = params["slope"], params["offset"], params["fault"]
        self.calls = 0

    def predict(self, inputs):
        self.calls += 1
        x = inputs["x"]
        y = [self.slope * value + self.offset for value in x]
        match self.fault:
            case "raises":
                raise ValueError("cannot score this")
            case "nan":
                y[-1] = float("nan")
            case "short":
                y = y[1:]
            case "hashes":
                y = [value + hash("salt") % 1000 for value in y]
            case "remembers":
                y = [value + self.calls for value in y]
            case "scales per call":
                low, high = min(y), max(y)
                y = [(value - low) / (high - low) if high > low else 0.5 for value in y]
            case "ignores slope":
                y = [value + self.offset for value in x]
            case "no zero":
                y = [1 / value for value in x]
            case "dies at the end":
                if max(x) >= 10:
                    raise SystemExit(3)
            case "draws":
                y = [value + random.gauss(0, 1) for value in y]
        return {"y": y}
