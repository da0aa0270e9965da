"""What `load` makes of a file: values, defaults, places."""

from pathlib import Path

import pytest
from rederive.codegen.check import check, load_checked
from rederive.codegen.errors import MOST_COLLECTED, SpecError
from rederive.codegen.load import load
from rederive.codegen.model import Mark
from stand_ins import SCALARS

TANH = """\
- op: tanh(Tensor self) -> Tensor
  doc: Hyperbolic tangent.
  pointwise: tanh(self)
  gradients:
    self: grad * (1 - result * result)
"""


def entry_of(text):
    return load(text).entries[0]


def with_keys(*lines):
    return entry_of(TANH + "".join(f"  {line}\n" for line in lines))


def messages(text, **options):
    with pytest.raises(SpecError) as caught:
        load_checked(text, SCALARS, **options)
    return [diagnostic.message for diagnostic in caught.value.diagnostics]


def test_entry_has_formulas_and_defaults():
    entry = entry_of(TANH)
    assert entry.name == "tanh"
    assert entry.family == "pointwise"
    assert [name for name, _ in entry.results] == ["result"]
    assert dict(entry.gradients)["self"].text == "grad * (1 - result * result)"
    assert entry.namespace == ("torch",)
    assert entry.method is True
    assert not entry.auto


def test_path_and_text_give_equal_specifications(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(TANH)
    assert load(path).entries == load(TANH).entries
    assert load(path).path == str(path)


def test_line_ends_and_byte_order_mark_do_not_matter(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TANH.replace("\n", "\r\n").encode())
    assert load(path).entries == load(TANH).entries


def test_words_that_yaml_once_took_for_booleans_are_text():
    entry = with_keys("calls: [{self: [3], order: no, other: on}]")
    assert entry.calls == ((("self", [3]), ("order", "no"), ("other", "on")),)


def test_numbers_and_constants_of_yaml():
    entry = with_keys("calls: [{a: 1e-5, b: .5, c: -3, d: .inf, e: null, f: true, g: 1.2.3}]")
    assert [value for _, value in entry.calls[0]] == [
        1e-5,
        0.5,
        -3,
        float("inf"),
        None,
        True,
        "1.2.3",
    ]


def test_number_can_stand_for_a_formula():
    assert (
        dict(entry_of(TANH.replace("grad * (1 - result * result)", "0")).gradients)["self"].text
        == "0"
    )


def test_method_is_false_outside_the_main_namespace():
    assert with_keys("namespace: nn.functional").method is False
    assert with_keys("method: property").method == "property"


def test_all_outputs_and_arguments_when_nothing_is_differentiable():
    text = TANH.partition("  gradients")[0] + "  not_differentiable: all\n"
    assert entry_of(text).not_differentiable == ("self", "result")


def test_places_point_at_keys_and_values():
    places = with_keys("linear: [self]").places
    assert places.key("gradients", "self") == Mark(5, 5, 4)
    assert places.value("gradients", "self") == Mark(5, 11, 28)
    assert places.value("linear", 0) == Mark(6, 12, 4)
    assert places.value("linear", 7) == places.value("linear")


def test_formula_places_follow_folding():
    text = TANH.replace(
        "grad * (1 - result * result)", ">-\n      grad *\n      (1 - result * oops)"
    )
    with pytest.raises(SpecError) as caught:
        load_checked(text, SCALARS)
    assert caught.value.diagnostics[0].mark == Mark(7, 21, 4)


@pytest.mark.parametrize(
    ("written", "column"),
    [("'where(self == ''a'', oops, grad)'", 33), ('"where(self == 1, oops, grad)"', 29)],
)
def test_formula_places_follow_quotes(written, column):
    text = TANH.replace("grad * (1 - result * result)", written)
    with pytest.raises(SpecError) as caught:
        load_checked(text, SCALARS)
    assert caught.value.diagnostics[0].mark == Mark(5, column, 4)


def test_missing_file_is_a_mistake(tmp_path):
    with pytest.raises(SpecError, match="the file cannot be read: No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(SpecError, match="the file cannot be read"):
        load(tmp_path)
    with pytest.raises(SpecError, match="the file cannot be read"):
        load(Path("a\0b"))


def test_large_file_is_refused():
    assert messages("# " + "x" * (1 << 20)) == ["the file is larger than 1048576 bytes"]


def test_imported_operators_may_be_called_and_not_declared_again():
    imported = load(TANH).entries
    text = TANH.replace("tanh(Tensor", "twice(Tensor")
    assert load_checked(text, SCALARS, imported=imported).imported == imported
    assert messages(TANH, imported=imported) == ["op 'tanh': declared twice"]
    other = text + "  aliases: [tanh]\n"
    assert messages(other, imported=imported) == [
        "op 'twice': 'torch.tanh' is already a name of 'tanh'"
    ]


def test_broken_entry_still_counts_as_declared():
    broken = "- op: exp(Tensr self) -> Tensor\n  doc: Text.\n  pointwise: exp(self)\n"
    user = TANH.replace("tanh(self)", "exp(self)").replace("tanh(Tensor", "f(Tensor")
    assert messages(broken + user) == ["op 'exp': unknown type 'Tensr'"]


def test_check_alone_reports_on_what_was_loaded():
    specification = load(TANH.replace("result * result", "result * reslt"))
    with pytest.raises(SpecError) as caught:
        check(specification, SCALARS)
    assert str(caught.value).startswith("derivatives.yaml:5:32: error: op 'tanh', gradient of")


def test_flood_of_mistakes_is_cut_off():
    text = "".join(TANH.replace("tanh", f"f{i}") for i in range(MOST_COLLECTED + 50))
    with pytest.raises(SpecError) as caught:
        load_checked(text, SCALARS)
    assert len(caught.value.diagnostics) == MOST_COLLECTED
    assert str(caught.value).endswith("... and 400 more errors")


def test_mistakes_come_in_file_order():
    text = TANH + TANH.replace("doc:", "dog:") + TANH.replace("- result", "- reslt")
    with pytest.raises(SpecError) as caught:
        load_checked(text, SCALARS)
    lines = [diagnostic.mark.line for diagnostic in caught.value.diagnostics]
    assert lines == sorted(lines)
    assert len(lines) > 1


def test_long_line_is_cut_around_its_mistake():
    text = TANH.replace("Hyperbolic", "x" * 5000).replace("tangent.", "\u200b" + "y" * 5000)
    with pytest.raises(SpecError) as caught:
        load(text)
    head, line, caret = str(caught.value).split("\n")[:3]
    assert head.endswith("error: the invisible character U+200B")
    assert len(line) < 250
    assert line[caret.index("^")] == "\u200b"
