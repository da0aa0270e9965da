"""Linear algebra beyond smooth samples: errors, equal eigenvalues, singular matrices, einsum."""

import numpy as np
import pytest
import rederive as rd

linalg = rd.linalg


def tensor(values, grad=False):
    return rd.tensor(values, dtype=rd.float64, requires_grad=grad)


def gradient(function, x):
    return rd.autograd.grad(function(x), x)[0].numpy()


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]
BATCH = [[[1.0, 0.0], [0.0, 1.0]], SINGULAR]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: linalg.inv(tensor(SINGULAR)), "inv: The diagonal element 2 is zero"),
        (lambda: linalg.inv(tensor(BATCH)), r"inv: \(Batch element 1\): The diagonal element 2"),
        (lambda: rd.inverse(tensor(SINGULAR)), "the input matrix is singular"),
        (lambda: linalg.solve(tensor(BATCH), tensor(BATCH)), r"solve: \(Batch element 1\): The"),
        (lambda: linalg.cholesky(tensor(SINGULAR)), "leading minor of order 2 is not positive"),
        (lambda: rd.cholesky(tensor(-np.eye(2))), "^cholesky: .*leading minor of order 1"),
        (lambda: linalg.svd(tensor([[float("nan")]])), "contained non-finite values"),
    ],
)
def test_matrices_without_what_is_asked_for(call, text):
    with pytest.raises(linalg.LinAlgError, match=text) as caught:
        call()
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh"])
def test_matrices_must_be_square_and_floating(name):
    function = getattr(linalg, name)
    text = f"linalg.{name}: A must be batches of square matrices, but they are 2 by 3 matrices"
    with pytest.raises(RuntimeError, match=text):
        function(rd.ones(2, 3))
    with pytest.raises(RuntimeError, match="must have at least 2 dimensions"):
        function(rd.ones(3))
    with pytest.raises(RuntimeError, match="Expected a floating point or complex tensor"):
        function(rd.ones(2, 2, dtype=rd.int64))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: linalg.solve(rd.eye(2), rd.ones(3)), r"the equation AX = B \(2x2 and 3x1\)"),
        (lambda: linalg.solve(rd.eye(2), rd.ones(2, 3), left=False), "equation XA = B"),
        (lambda: linalg.solve(rd.eye(2), tensor([1.0, 2.0])), "A of type Float and B of type Doub"),
        (lambda: linalg.qr(rd.ones(3, 2), mode="x"), "unrecognized mode 'x'"),
        (lambda: linalg.eigh(rd.eye(2), UPLO="X"), "to be 'L' or 'U', but got X"),
        (lambda: linalg.svd(rd.eye(2), driver="gesvd"), "keyword argument `driver=`"),
        (lambda: rd.trace(rd.ones(2, 3, 3)), "expected a matrix, but got tensor with dim 3"),
        (lambda: linalg.vector_norm(rd.ones(0), float("inf")), "cannot compute the inf norm"),
        (lambda: linalg.vector_norm(rd.ones(2, dtype=rd.int64)), "Got Long"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


def test_gradients_that_do_not_exist():
    a = tensor(np.arange(6.0).reshape(3, 2), True)
    with pytest.raises(RuntimeError, match="not computed when mode='r'"):
        linalg.qr(a, "r").R.sum().backward()
    with pytest.raises(RuntimeError, match="not differentiable when mode='complete'"):
        linalg.qr(a, "complete").R.sum().backward()


def test_determinants_of_singular_matrices_have_their_cofactors():
    assert gradient(linalg.det, tensor(SINGULAR, True)).tolist() == [[4.0, -2.0], [-2.0, 1.0]]
    zero = tensor(np.zeros((3, 3)), True)
    assert gradient(linalg.det, zero).tolist() == np.zeros((3, 3)).tolist()
    corner = np.diag([2.0, 3.0, 5.0, 0.0])
    np.testing.assert_allclose(gradient(linalg.det, tensor(corner, True))[3, 3], 30.0)


def test_log_determinants_of_singular_matrices_are_infinite():
    a = tensor(SINGULAR, True)
    sign, logarithm = linalg.slogdet(a)
    assert (float(sign), float(logarithm)) == (0.0, -np.inf)
    assert not np.isfinite(gradient(lambda x: linalg.slogdet(x).logabsdet, a)).any()


def test_values_of_matrices_with_equal_ones_have_finite_gradients():
    one = tensor(np.eye(3), True)
    eye = np.eye(3).tolist()
    assert gradient(lambda x: linalg.eigh(x).eigenvalues.sum(), one).tolist() == eye
    assert gradient(lambda x: linalg.svd(x).S.sum(), one).tolist() == eye
    assert gradient(lambda x: rd.svd(x, compute_uv=False).S.sum(), one).tolist() == eye
    zero = tensor(np.zeros((2, 2)), True)
    assert np.isfinite(gradient(lambda x: linalg.svd(x).S.sum(), zero)).all()


def test_rotations_between_equal_values_do_not_matter_where_the_loss_ignores_them():
    """The orthogonal factor of a multiple of the identity, and projections onto whole spaces."""
    weight = tensor(np.random.default_rng(0).normal(size=(3, 3)))

    def polar(x):
        U, _, Vh = linalg.svd(x)
        return (weight * (U @ Vh)).sum()

    found = gradient(polar, tensor(2 * np.eye(3), True))
    w = weight.numpy()
    np.testing.assert_allclose(found, (w - w.T) / 4, atol=1e-12)

    def whole(x):
        Q = linalg.eigh(x).eigenvectors
        return (weight * (Q @ Q.mT)).sum()

    np.testing.assert_allclose(gradient(whole, tensor(np.eye(3), True)), 0, atol=1e-12)


def test_close_values_keep_what_the_gaps_do_not_touch():
    close = tensor(np.diag([1.0, 1.0 + 1e-12, 3.0]), True)
    weight = np.random.default_rng(1).normal(size=(3, 3))

    def polar(x):
        U, _, Vh = linalg.svd(x)
        return (tensor(weight) * (U @ Vh)).sum()

    found = gradient(polar, close)
    sums = np.add.outer([1.0, 1.0, 3.0], [1.0, 1.0, 3.0])
    np.testing.assert_allclose(found, (weight - weight.T) / sums, atol=1e-3)


def test_older_spellings():
    a = tensor(np.random.default_rng(2).normal(size=(3, 2)))
    U, S, V = rd.svd(a)
    assert repr(type(U)) and U.shape == (3, 2) and V.shape == (2, 2)
    np.testing.assert_allclose((U * S @ V.mT).numpy(), a.numpy(), atol=1e-12)
    assert rd.svd(a, some=False).U.shape == (3, 3)
    assert a.qr(some=False).Q.shape == (3, 3)
    assert linalg.svd(a)._fields == ("U", "S", "Vh")
    assert repr(rd.slogdet(rd.eye(2))).startswith("rederive.return_types.slogdet(\nsign=")
    assert repr(linalg.slogdet(rd.eye(2))).startswith("rederive.return_types.linalg_slogdet(")
    assert a.mT.matmul(a).det().item() == pytest.approx(float(S.prod() ** 2))


def test_nodes_have_the_names_that_users_know():
    a = rd.eye(2, requires_grad=True)
    names = [linalg.inv(a), linalg.det(a), linalg.solve(a, a), linalg.eigh(a)[0], linalg.qr(a)[0]]
    assert [t.grad_fn.name() for t in names] == [
        "LinalgInvExBackward0",
        "LinalgDetBackward0",
        "LinalgSolveExBackward0",
        "LinalgEighBackward0",
        "LinalgQrBackward0",
    ]


@pytest.mark.parametrize("order", [0, 0.5, 1, 2, 3, -1, float("inf"), -float("inf")])
def test_norms_of_zero_have_no_slope(order):
    x = tensor([0.0, 0.0], True)
    found = gradient(lambda x: linalg.vector_norm(x, order), x)
    assert found.tolist() == [0.0, 0.0]


def test_equal_extrema_share_the_gradient_of_a_norm():
    x = tensor([3.0, -3.0, 1.0], True)
    found = gradient(lambda x: linalg.vector_norm(x, float("inf")), x)
    assert found.tolist() == [0.5, -0.5, 0.0]


# --- einsum --------------------------------------------------------------------------------------


EQUATIONS = [
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("...i,...i", (3, 2, 4), (1, 4)),
    ("ii...->...i", (3, 3, 2)),
    ("ab,cd->", (2, 3), (3, 2)),
    ("ijj,j,i->j", (2, 3, 3), (3,), (2,)),
    ("Zz,zA->AZ", (2, 3), (3, 4)),
    ("i , i -> i", (3,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in EQUATIONS])
def test_einsum_is_that_of_numpy(equation, shapes):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=shape) for shape in shapes]
    wanted = np.einsum(equation, *arrays)
    tensors = [tensor(a) for a in arrays]
    np.testing.assert_allclose(rd.einsum(equation, *tensors).numpy(), wanted, atol=1e-12)
    np.testing.assert_allclose(rd.einsum(equation, tensors).numpy(), wanted, atol=1e-12)


def test_einsum_takes_lists_of_numbers_and_sums_dots_that_are_left_out():
    a, b = rd.arange(6.0).reshape(2, 3), rd.arange(12.0).reshape(3, 4)
    assert (rd.einsum(a, [0, 1], b, [1, 2], [0, 2]) == a @ b).all()
    assert (rd.einsum(a, [..., 1], b, [1, 2]) == a @ b).all()
    assert rd.einsum("...j->j", a).tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ij", rd.ones(2)), r"the number of subscripts in the equation \(2\) does not match"),
        (("ij...", rd.ones(2)), r"\(2\) is more than the number of dimensions \(1\)"),
        (("i,j", rd.ones(2)), "fewer operands were provided than specified"),
        (("i", rd.ones(2), rd.ones(2)), "more operands were provided than specified"),
        (("i1", rd.ones(2, 2)), r"subscripts must be in \[a-zA-Z\]"),
        (("i..", rd.ones(2)), "found '.' for operand 0 that is not part of any ellipsis"),
        (("ij,jk", rd.ones(2, 3), rd.ones(4, 2)), "subscript j has size 4 for operand 1 which"),
        (("ii", rd.ones(2, 3)), "subscript i is repeated for operand 0 but the sizes"),
        (("i->ii", rd.ones(2)), "output subscript i appears more than once"),
        (("i->j", rd.ones(2)), "output subscript j does not appear in the equation"),
    ],
)
def test_errors_of_einsum(arguments, text):
    with pytest.raises(RuntimeError, match=text):
        rd.einsum(*arguments)
