"""Compile: turn a model folder into a bundle, with Python as it is or with any toolchain."""
