# mypy: ignore-errors
"""erf and erfc: text for the generator, not imported.

Near 0, erf(x) is x times a polynomial in x**2; further out it is 1 - exp(P(x)) with P a polynomial
for log(erfc(x)). erfc(x) for x >= 0 is exp(-x**2) times the scaled function erfcx, which changes
slowly.
"""

import numpy as np

from .exponential import (
    EXP2_FLOAT32,
    exp_parts_float64,
    exp_parts_pair_float64,
)
from .primitives import (
    at_most,
    exact_product,
    fused,
    magnitude,
    nearest_integer,
    ordered_sum,
    polynomial,
    power_of_2_float32,
    power_of_2_float64,
    quotient_of_pairs,
    scalar,
    scaled,
    two_sum,
    with_sign,
)
from .short import exp_short

# erf(x) / x - 1 in powers of x**2 for |x| <= 1: minimax (tools/minimax.py), 2**-29 and 2**-56.
ERF_NEAR_FLOAT32 = (
    np.float32(0.12837916612625122),
    np.float32(-0.3761262893676758),
    np.float32(0.11283618211746216),
    np.float32(-0.02685512602329254),
    np.float32(0.005190733820199966),
    np.float32(-0.000803076196461916),
    np.float32(7.920374628156424e-05),
)

ERF_NEAR_FLOAT64 = (
    0.12837916709551256,
    -0.3761263890318334,
    0.11283791670936541,
    -0.026866170641870045,
    0.005223977595844043,
    -0.0008548325435906245,
    0.00012055278873575507,
    -1.4924432051783906e-05,
    1.644371223321512e-06,
    -1.6180488176602137e-07,
    1.3601049074473383e-08,
    -7.577877146419059e-10,
)

# log2(erfc(x)) for 1 <= x <= 4 in powers of x - 1, and log(erfc(x)) for 1 <= x <= 6 in powers of
# x - 5/2: minimax with the weight erfc, so that the error of erf is 2**-27 and 2**-59.
ERF_FAR_FLOAT32 = (
    np.float32(-2.668416738510132),
    np.float32(-3.8072214126586914),
    np.float32(-1.2164011001586914),
    np.float32(-0.059703003615140915),
    np.float32(0.013955734670162201),
    np.float32(-0.002385408151894808),
    np.float32(0.00019799663277808577),
)

ERF_FAR_FLOAT64 = (
    -7.806815272727265,
    -5.352680750986401,
    -0.9438937335241231,
    -0.010858072738139766,
    0.002165476899655323,
    -0.00042093256373649385,
    7.703079848258893e-05,
    -1.2755838466395365e-05,
    1.7690001416879065e-06,
    -1.5595516507769178e-07,
    -1.2622430718279327e-08,
    1.0911205874367311e-08,
    -3.511931651445928e-09,
    8.524834669992104e-10,
    -1.603527355549924e-10,
    2.0064009580891518e-11,
    -2.0877349285763146e-12,
    3.6818338598315047e-13,
    3.836541399268099e-13,
    -1.8744061310495987e-13,
)

# (1 + 2 x) exp(x**2) erfc(x) in powers of t = (x - 4) / (x + 4), for 0.65 <= x <= 28: the constant
# term in two parts, and the rest divided by t; error 2**-55.
ERFCX_HIGH = 1.2329951186255526

ERFCX_LOW = -4.898139722429743e-17

ERFCX_REST = (
    -0.1396211168405621,
    0.015379652102621159,
    0.06809705425463716,
    -0.10103906603640075,
    0.09373283500057927,
    -0.06633036580967919,
    0.037167515496234704,
    -0.01619773409052367,
    0.0050319703991004334,
    -0.0007577730560366586,
    -0.00019925928948063298,
    0.00015062072075838678,
    -2.438914128317175e-05,
    -1.1219810702476568e-05,
    5.684854076186902e-06,
    2.9135607882374346e-07,
    -7.872551260550876e-07,
    7.456096562670813e-08,
    7.631890021354573e-08,
    -1.5158334132201812e-08,
)

# The same for results in float32, for 0.65 <= x <= 10.5, 2**-29.
ERFCX_SHORT = (
    1.2329951183663876,
    -0.13962108441811794,
    0.015379705657593062,
    0.06809516173687494,
    -0.10104159664497024,
    0.09376261641627694,
    -0.06628571497528424,
    0.03699638826815205,
    -0.016509815960343246,
    0.005320395071241565,
)


@scalar
def erf_float32(x):
    y = magnitude(x)
    near = y + y * polynomial(y * y, ERF_NEAR_FLOAT32)
    far = at_most(y, np.float32(4.0))
    # 1 - 2**exponent, without rounding the power first.
    exponent = polynomial(far - np.float32(1.0), ERF_FAR_FLOAT32)
    n = nearest_integer(exponent)
    scale = power_of_2_float32(n)
    r = exponent - np.float32(n)
    far = fused(-scale, r * polynomial(r, EXP2_FLOAT32), np.float32(1.0) - scale)
    return with_sign(far if y > np.float32(1.0) else near, x)


@scalar
def erf_float64(x):
    y = magnitude(x)
    near = y + y * polynomial(y * y, ERF_NEAR_FLOAT64)
    far = at_most(y, 6.0)
    q, n = exp_parts_float64(polynomial(far - 2.5, ERF_FAR_FLOAT64))
    scale = power_of_2_float64(n)
    far = (1.0 - scale) - scale * q
    return with_sign(far if y > 1.0 else near, x)


@scalar
def erfc_float64(x):
    y = magnitude(x)
    y = at_most(y, 28.0)
    z, lost = exact_product(y, y)
    near = 1.0 - (x + x * polynomial(z, ERF_NEAR_FLOAT64))
    q, rest, n = exp_parts_pair_float64(-746.0 if z > 746.0 else -z)
    t = (y - 4.0) / (y + 4.0)
    value, value_low = ordered_sum(ERFCX_HIGH, t * polynomial(t, ERFCX_REST))
    below, below_low = two_sum(1.0, 2.0 * y)
    factor, left = quotient_of_pairs(value, value_low + ERFCX_LOW, below, below_low)
    far = scaled(factor + (left + factor * (q + (rest - lost * (1.0 + q)))), n)
    far = 2.0 - far if x < 0.0 else far
    return near if y < 0.65 else far


@scalar
def erfc_float32(x):
    y = np.float64(magnitude(x))
    y = at_most(y, 10.5)
    wide = np.float64(x)
    near = 1.0 - (wide + wide * np.float64(polynomial(x * x, ERF_NEAR_FLOAT32)))
    t = (y - 4.0) / (y + 4.0)
    far = exp_short(-y * y) * (polynomial(t, ERFCX_SHORT) / (1.0 + 2.0 * y))
    far = 2.0 - far if x < np.float32(0.0) else far
    return np.float32(near if y < 0.65 else far)
