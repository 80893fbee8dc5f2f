"""A line through two points."""

import sklearn
from sklearn.linear_model import LinearRegression


class Model:
    def load(self, folder, params):
        self.line = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])

    def predict(self, inputs):
        y = self.line.predict([[x] for x in inputs["x"]]).round(9)
        return {"y": y, "library": [sklearn.__version__] * len(y)}
