"""The device object. There is one device: the CPU."""


class device:
    """Where a tensor lives: `device("cpu")`. Any other device is refused when it is made."""

    __slots__ = ("index", "type")

    def __init__(self, type="cpu", index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if not isinstance(type, str):
            raise RuntimeError(f"device: got {type!r}; cpu is the only device here")
        kind, _, number = type.partition(":")
        if kind != "cpu" or (number and not number.isdecimal()):
            raise RuntimeError(f"device: got '{type}'; cpu is the only device here")
        self.type = kind
        self.index = int(number) if number else index

    def __repr__(self):
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return (device, (self.type, self.index))


cpu = device("cpu")


class layout:
    """How the elements lie in memory. Strided is the only layout."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "rederive." + self.name

    def __reduce__(self):
        return self.name


strided = layout("strided")


def check_device(value):
    """Accept None and every spelling of the CPU; RuntimeError for anything else."""
    if value is not None and value is not cpu:
        device(value)
