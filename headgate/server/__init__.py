"""The model server: answers requests with one bundle, over the Open Inference Protocol."""
