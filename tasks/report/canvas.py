"""Figures without global state: one look, text taken literally, SVG that can stand inside an HTML page."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tasks.report.lettering import columns

INK = "#1b2434"
MUTED = "#5b6779"
RULE = "#d3dae3"
PAPER = "#ffffff"
HELP = "#2166ac"
HURT = "#b2182b"
NEUTRAL = "#8a94a3"
THEME = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
"""Colors that follow the page's light or dark scheme; every other color is drawn as it is."""

ROLE_FILL = {"base": "#cfe8e3", "middle": "#dfdcf2", "dependent": "#fbe3b5"}
ROLE_LINE = {"base": "#0f766e", "middle": "#6554a8", "dependent": "#a86a10"}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "beyond-iid",
    "svg.image_inline": True,
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.unicode_minus": True,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify": False,
    "path.sketch": None,
    "path.effects": [],
}
_STYLE_LOCK = threading.Lock()  # matplotlib's parameters are global: two reports at once must not mix them
_NAMESPACE = re.compile(r"^\{[^}]*\}")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_FONT_FAMILY = re.compile(r"\s*font-family:[^;]*;?")
_NO_ROTATION = re.compile(r"^rotate\(-?0 [^)]*\)$")


@dataclass(frozen=True)
class Drawing:
    """A drawn figure on its way into the page.

    Attributes:
        figure: the figure; its size in points is its size in the page's units.
        tooltips: gid of an artist → text shown while pointing at it.
        least: smallest scale on a screen, in the page's pixels per point; narrower pages scroll.
    """

    figure: Figure
    tooltips: Mapping[str, str] = field(default_factory=dict)
    least: float = 0.92


def sheet(width: float, height: float) -> Figure:
    """An empty figure of that size in points."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in points from the figure's upper left corner, without spines."""
    full_width, full_height = figure.get_figwidth() * 72, figure.get_figheight() * 72
    axes = figure.add_axes(
        (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(length=0, pad=5)
    return axes


def text_width(text: str, size: float) -> float:
    """Width in points that a text of that font size will need at most in a usual sans-serif font."""
    return columns(text) * size * 0.58


def inline_svg(draw: Callable[[], Drawing], name: str, alt: str) -> str:
    """Draw, and return an `<svg>` element for HTML: no fixed size, no namespaces, ids that start with `name`.

    Attributes of the page (`--ink`, `--muted`, `--rule`, `--paper`) give its text and rules their color.
    """
    buffer = io.StringIO()
    with _styled():
        drawing = draw()
        drawing.figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None}
        )
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 - our own output of the line above
    _strip_namespaces(root)
    _rename(root, name, drawing.tooltips)
    width, height = drawing.figure.get_figwidth() * 72, drawing.figure.get_figheight() * 72
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "role": "group" if root.find(".//a") is not None else "img",
            "aria-label": alt,
            "style": f"min-width:{drawing.least * width:.0f}px;width:{1.3 * width:.0f}px",
        }
    )
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def write_figure(draw: Callable[[], Drawing], path: Path, dpi: int = 200) -> None:
    """Write a figure on white as a file of its own; the path's suffix says which format (.svg or .png)."""
    with _styled():
        figure = draw().figure
        if path.suffix == ".png":
            FigureCanvasAgg(figure)
            figure.savefig(path, format="png", dpi=dpi, facecolor=PAPER, metadata={"Software": None})
        else:
            figure.savefig(path, format="svg", facecolor=PAPER, metadata={"Date": None})


@contextmanager
def _styled() -> Iterator[None]:
    with _STYLE_LOCK, mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The reader's browser has fonts for emoji and other scripts; only the measuring font lacks them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        yield


def _strip_namespaces(root: ElementTree.Element) -> None:
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        element.attrib = {_NAMESPACE.sub("", key): value for key, value in element.attrib.items()}
        element.tail = (element.tail or "").strip() or None
        if element.text and not element.text.strip():
            element.text = None
    _drop_empty(root)


def _drop_empty(element: ElementTree.Element) -> None:
    for child in list(element):
        _drop_empty(child)
        if child.tag in ("metadata", "style") or (child.tag in ("g", "defs") and len(child) == 0):
            element.remove(child)


def _rename(root: ElementTree.Element, name: str, tooltips: Mapping[str, str]) -> None:
    ids = {element.get("id") for element in root.iter()}
    used = {
        next(g for g in match if g) for e in root.iter() for v in e.attrib.values() for match in _REFERENCE.findall(v)
    }
    kept = {i: f"{name}-{i}" for i in sorted(i for i in ids & used if i)}
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier in tooltips:
            title = ElementTree.Element("title")
            title.text = tooltips[str(identifier)]
            element.insert(0, title)
        if identifier in kept:
            element.set("id", kept[identifier])
        element.attrib.pop("target", None)
        for key, value in list(element.attrib.items()):
            if key == "transform" and _NO_ROTATION.match(value):
                del element.attrib[key]
            else:
                element.set(key, _slim(key, value, kept))


def _slim(key: str, value: str, kept: Mapping[str, str]) -> str:
    for old, new in kept.items():
        if f"#{old}" in value:
            value = value.replace(f"url(#{old})", f"url(#{new})")
            value = f"#{new}" if value == f"#{old}" else value
    if key == "href" and value.startswith("data:"):
        return "".join(value.split())
    if key in ("d", "x", "y", "points") or (key == "transform" and "matrix" not in value and "scale" not in value):
        value = " ".join(value.split())
        return _LONG_NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), value)
    if key == "style":
        value = _FONT_FAMILY.sub("", value).replace(": ", ":").replace("; ", ";")
        for color, variable in THEME.items():
            value = value.replace(color, variable)
    return value
