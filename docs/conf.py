"""Sphinx: `make docs` builds the site; warnings are errors."""

import re
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), *(str(ROOT / folder) for folder in ("", "reference", "kernels", "validation"))]

project = "hypergrad"
author = "the authors of hypergrad"
project_copyright = "the authors of hypergrad, MIT licence"
release = metadata.version("hypergrad-opencl")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "extensions.reference",
    "extensions.torch_pages",
    "extensions.optax_pages",
    "extensions.docstrings",
    "extensions.gallery",
    "extensions.pictures",
    "extensions.printed",
]
exclude_patterns = ["build", "**/sg_execution_times.rst"]  # of earlier builds: they load a script from the network
suppress_warnings = ["config.cache"]

# Markdown.
myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 4

# The reference.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
nitpicky = True
smartquotes = False  # "raise" is a value
nitpick_ignore_regex = [
    # The documents of other packages are elsewhere, and the build needs no network.
    (r"py:.*", r"(numpy|np|os|scipy|pyopencl|collections|typing|types|contextlib|pathlib|optparse)\..*"),
    (r"py:.*", r"(NDArray|Callable|Iterable|Iterator|Sequence|Mapping|Any|Path|OptimizeResult|Self)"),
    # Type aliases and annotations that name what stands in internal modules.
    (
        r"py:.*",
        r"hypergrad\._core\..*|DeviceChoice|PathName|hypergrad\.\w+\.Options|hypergrad_reference\.rule\.Learned",
    ),
]

# The examples, which run as the site is built.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    # Those of torch run where it is installed, as does that of transformers. Elsewhere see extensions.printed.
    "filename_pattern": "|".join(
        pattern
        for pattern, module in {"plot_": "numpy", "torch_[cs]": "torch", "torch_trainer": "transformers"}.items()
        if find_spec(module)
    ),
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,  # seconds: a page is the same whenever it is built
    "write_computation_times": False,  # that page loads a script from the network
    "show_signature": False,
    "abort_on_example_error": True,
    "copyfile_regex": r"GALLERY_HEADER\.rst",
}

# The page.
html_theme = "furo"
html_title = "hypergrad"
html_static_path = ["static"]
html_css_files = ["hypergrad.css"]
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []

# MathJax as one file, without fonts of its own, so that a page works from file:// and without a network.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

# Documents of the repository that are pages of the site as well, and where links between them lead.
PAGES = {
    "docs/howto/add_a_rule.md": "howto/add_a_rule",
    "docs/howto/rerun_a_paper.md": "howto/rerun_a_paper",
    "docs/index.md": "index",
    "README.md": "project/readme",
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "validation/FINDINGS.md": "explanation/findings",
    "reference/README.md": "reference/rules",
    "kernels/README.md": "reference/kernels",
    "validation/data/README.md": "project/data",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")


def point_to_pages(app: Any, path: Path, docname: str, content: list[str]) -> None:
    """Links of an included document lead to its neighbours' pages, and to files of the repository elsewhere."""
    folder = (DOCS / path).resolve().parent

    def point(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve().relative_to(ROOT).as_posix()
        page = PAGES.get(target)
        return f"/{page}.md{link[2] or ''}" if page else f"/../{target}"

    content[0] = LINK.sub(point, content[0])


def strip_code(app: Any, doctree: Any) -> None:
    """Drop the empty line that ends an example, which doctest needs and a reader does not."""
    from docutils import nodes  # tests collect this file where Sphinx is not installed

    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext() and block.rawsource.endswith("\n"):
            block.rawsource = block.rawsource.rstrip("\n")
            block[:] = [nodes.Text(block.rawsource)]


CARRIED = ("furo", "Sphinx", "sphinx-basic-ng", "sphinx-copybutton", "sphinx-design", "sphinx-gallery")
"""Packages of which scripts and styles are part of the site; with MathJax, whose licence is docs/static/MathJax-*."""


def copy_carried(app: Any) -> None:
    """Take MathJax's one file out of the package from PyPI that has it, and the licences of what the site carries."""
    copy_from("sphinx-mathjax-offline", "tex-svg.js", DOCS / "static/mathjax/tex-svg.js")
    for name in CARRIED:
        copy_from(name, "LICENSE", DOCS / f"static/licences/{name}.txt")


def copy_from(package: str, begin: str, target: Path) -> None:
    """Copy the first file of a package whose name begins like this, unless it is there."""
    found = [file for file in metadata.distribution(package).files or [] if file.name.upper().startswith(begin.upper())]
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        shutil.copy(str(found[0].locate()), target)


FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]*)")


def refuse_network(app: Any, exception: Exception | None) -> None:
    """Every page works without a network: none loads a script, a style or a picture from one."""
    from sphinx.errors import ExtensionError

    for name in () if exception else (*app.env.found_docs, "genindex", "search"):
        page = Path(app.outdir) / f"{name}.html"
        if found := FETCHED.findall(page.read_text("utf-8")):
            raise ExtensionError(f"{page} loads {found} from a network: leave it out, or copy it into the site")


def setup(app: Any) -> None:
    """Connect what this file adds."""
    app.connect("builder-inited", copy_carried)
    app.connect("include-read", point_to_pages)
    app.connect("doctree-read", strip_code)
    app.connect("build-finished", refuse_network)
