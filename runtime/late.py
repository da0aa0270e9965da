"""What modules that load early call of modules that load later: set there, so that no call imports.

backward: `autograd.backward`.
"""

backward = None
