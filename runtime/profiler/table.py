"""The printed table of a profile, as PyTorch prints it."""

from __future__ import annotations

from math import log10

UNITS = (("s", 1_000_000.0), ("ms", 1_000.0), ("us", 1.0))
GAP = "  "
WIDTH = 12


def table(rows, sort_by, row_limit, widths, header, top_level_only, time_unit):
    """The text of a list of events; nothing where there is none."""
    if not rows:
        return ""
    ordered = sorted(rows, key=_key(sort_by), reverse=True) if sort_by is not None else list(rows)
    if top_level_only:
        ordered = [row for row in ordered if row.cpu_parent is None]
    if row_limit >= 0:
        ordered = ordered[:row_limit]
    total = rows.self_cpu_time_total
    columns = _columns(rows, total, widths, time_unit)
    rule = "".join("-" * width + GAP for _, width, _ in columns)
    lines = []
    for title in (header, "This report only display top-level ops statistics"):
        if title is not None and (title is header or top_level_only):
            lines += ["=" * len(rule), title]
    lines += [rule, _line((name for name, _, _ in columns), columns), rule]
    for row in ordered:
        lines += _lines(row, columns)
    lines += [rule, f"Self CPU time total: {shown_time(total, time_unit)}", ""]
    return "\n".join(lines)


def _key(sort_by):
    """The attribute to sort by; those of other devices are zero for every row."""
    if not isinstance(sort_by, str):
        raise TypeError(f"table: sort_by is {type(sort_by).__name__}; it must be str or None")
    name = sort_by.replace("cuda", "device").replace("xpu", "device")
    return lambda row: getattr(row, name)


def _columns(rows, total, widths, unit):
    """(heading, width, text of a row) for each column."""
    name_width, shapes_width, source_width = widths
    width = _width("Name", [row.key for row in rows], name_width)
    columns = [("Name", width, lambda row, width=width: _cut(row.key, width))]

    def add(heading, text, width=WIDTH):
        columns.append((heading, width, text))

    add("Self CPU %", lambda row: _share(row.self_cpu_time_total, total))
    add("Self CPU", lambda row: shown_time(row.self_cpu_time_total, unit))
    add("CPU total %", lambda row: "0.00%" if row.is_async else _share(row.cpu_time_total, total))
    add("CPU total", lambda row: shown_time(row.cpu_time_total, unit))
    add("CPU time avg", lambda row: shown_time(row.cpu_time, unit))
    if rows.profile_memory:
        add("CPU Mem", lambda row: shown_memory(row.cpu_memory_usage))
        add("Self CPU Mem", lambda row: shown_memory(row.self_cpu_memory_usage))
    add("# of Calls", lambda row: str(row.count))
    if any(row.input_shapes for row in rows):
        width = _width("Input Shapes", [str(row.input_shapes) for row in rows], shapes_width)
        add("Input Shapes", lambda row, width=width: str(row.input_shapes)[:width], width)
    if any(row.stack for row in rows):
        entries = [entry for row in rows for entry in row.stack]
        width = _width("Source Location", entries, source_width)
        add("Source Location", lambda row: row.stack, width)
    if rows.with_flops and any(row.flops > 0 for row in rows):
        scale, letter = _flops_unit(min(row.flops for row in rows if row.flops > 0))
        text = lambda row: f"{row.flops / scale:8.3f}".strip() if row.flops else "--"  # noqa: E731
        add(f"Total {letter}FLOPs", text)
    return columns


def _lines(row, columns):
    """One row as a line, or as several where its callers fill more than one."""
    texts = [text(row) for _, _, text in columns]
    stack = next((text for text in texts if isinstance(text, list)), None)
    if stack is None:
        return [_line(texts, columns)]
    lines = []
    for number, entry in enumerate([*stack, ""] if stack else [""]):
        cells = []
        for text, (_, width, _) in zip(texts, columns, strict=True):
            if isinstance(text, list):
                cells.append(entry if len(entry) <= width else "..." + entry[3 - width :])
            else:
                cells.append("" if number else text)
        lines.append(_line(cells, columns))
    return lines


def _line(texts, columns):
    """Cells aligned to the right; the callers to the left."""
    cells = []
    for text, (heading, width, _) in zip(texts, columns, strict=True):
        aligned = text.ljust(width) if heading == "Source Location" else text.rjust(width)
        cells.append(aligned + GAP)
    return "".join(cells)


def _width(heading, texts, most):
    """The width of a column of texts: at most what is wanted, but enough for its heading."""
    width = max(map(len, texts)) + 4
    return max(width if most is None else min(width, most), len(heading))


def _cut(text, width):
    return text if len(text) < width - 3 else text[: width - 3] + "..."


# --- figures -------------------------------------------------------------------------------------


def shown_time(microseconds, unit=None):
    """A time with its unit: `12.345us`, `1.234ms`, `1.234s`."""
    if unit not in ("s", "ms"):
        size = abs(microseconds)
        unit = next((u for u, scale in UNITS if size >= scale), "us") if unit is None else "us"
    scale = dict(UNITS)[unit]
    return f"{microseconds / scale:.3f}{unit}"


def _share(time, total):
    return f"{time * 100.0 / total:.2f}%" if total else "NaN"


def shown_memory(nbytes):
    """A number of bytes with its unit: `512 B`, `1.50 KB`, `-2.00 MB`."""
    for unit, scale in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if abs(nbytes) >= scale:
            return f"{nbytes / scale:.2f} {unit}"
    return f"{nbytes} B"


def _flops_unit(smallest):
    """(scale, letter) for which the smallest figure still has digits before its point."""
    step = min(int(log10(smallest) // 3), 5)
    return 1000.0**step, ("", "K", "M", "G", "T", "P")[step]
