"""Compositions of declared operators written by hand, one for each entry of the program family.

They take and return tensors and call operators only, so that gradients of every order follow. What
a formula can say does not belong here.
"""

from .attention import scaled_dot_product_attention
from .contraction import einsum
from .multi_head import multi_head_attention

__all__ = ["einsum", "multi_head_attention", "scaled_dot_product_attention"]
