"""What the tests of the front end take for the scalar functions: names and arities only."""

SCALARS = {
    "exp": 1,
    "log": 1,
    "maximum": 2,
    "minimum": 2,
    "pow": 2,
    "sigmoid": 1,
    "sqrt": 1,
    "tanh": 1,
}
