"""provisional"""


def check(spec, scalars):
    return None
