"""The report's page: what its first screen says, one row per reason, and nothing from elsewhere."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

pytest.importorskip("jinja2")

from hypergrad_papers.checks import near
from hypergrad_papers.claims import PAPERS, Claim, Extent, Need, Outcome, Verdict
from paper_figs import report, trial
from paper_figs.figures import Figure

DEVICE = trial.Device("A device, OpenCL 3.0")
EQUAL = trial.Verdict(10, ())
MNIST = Need("MNIST with the authors' logs", "make figures FETCH=1")
TIME = Need("some minutes", "make figures FULL=1")
NEVER = Need("it takes a machine that nobody has")


def describe(paper, row, verdict, need=None, ours=4.0):
    """A row of the table of claims."""

    def compute(run):
        """Two, squared."""

    claim = Claim(compute, paper, row, "a table", "none is needed", (), Extent.BUNDLED, "")
    checks = [] if need else [near("of two", 4.0, ours)]
    return report.describe(Outcome(claim, checks, verdict, str(need or ""), need))


CLAIMS = [
    describe("baydin2018", "1", Verdict.REPRODUCED),
    describe("baydin2018", "2", Verdict.NOT_RUN, MNIST),
    describe("baydin2018", "3", Verdict.NOT_RUN, MNIST),
    describe("baydin2018", "4", Verdict.NOT_RUN, TIME),
    describe("hdm2025", "1", Verdict.NO_VALUE),
    describe("hdm2025", "2", Verdict.REPRODUCED),
    describe("hdm2025", "3", Verdict.NOT_REPRODUCED, ours=5.0),
    describe("hdm2025", "4", Verdict.NOT_RUN, NEVER),
    describe("osgm2025", "1", Verdict.NOT_RUN, MNIST),
    describe("osgm2025", "2", Verdict.REPRODUCED),
]


class Page(HTMLParser):
    """Its elements with their attributes in order, and the text between; every element is closed as it was opened."""

    EMPTY = ("meta", "link", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def find(self, *tags):
        """The attributes of these elements."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def make_entry(name, facts=None):
    figure = Figure(name, f"Title of {name}", f"A curve of {name} that falls, < 1 & steep.", f"Caption of {name}.")
    table = [{"": "one", "loss": 1}]
    return report.Entry(figure, b"<svg/>", {"facts": facts or {"seed": 1, "losses": table}, "command": "python -m x"})


ENTRIES = [make_entry("rates"), make_entry("spike")]


def render(entries=ENTRIES, claims=CLAIMS, device=DEVICE, verdict=EQUAL):
    return report.render(entries, claims, device, verdict)


NO_DEVICE = (trial.Device(trouble="no OpenCL device was found; install one"), None)
PAGES = {
    "whole": render(),
    "no device": render(device=NO_DEVICE[0], verdict=None),
    "figures alone": render(claims=[]),
    "claims alone": render(entries=[]),
    "nothing": render(entries=[], claims=[]),
    "nothing run": render(claims=[claim for claim in CLAIMS if claim["need"]]),
    "bits differ": render(verdict=trial.Verdict(10, ("AdamW in float32",))),
    "kernels failed": render(verdict=None),
}


@pytest.fixture(params=PAGES)
def any_page(request):
    return Page(PAGES[request.param])


def first_screen(text):
    return text[: text.index("<nav")]


def test_first_screen_says_what_it_is_in_two_sentences():
    [lead] = re.findall(r'<p class="lead">(.*?)</p>', first_screen(PAGES["whole"]), re.DOTALL)
    assert len(re.findall(r"[.:?!](?:\s|$)", lead.replace(":", ","))) == 2
    assert "OpenCL" in lead


def test_first_screen_shows_the_first_picture_and_the_others_follow():
    first = Page(first_screen(PAGES["whole"]) + "</main></body></html>")
    assert [image["alt"] for image in first.find("img")] == [ENTRIES[0].figure.alt]
    assert [image["alt"] for image in Page(PAGES["whole"]).find("img")] == [entry.figure.alt for entry in ENTRIES]


def test_bars_have_the_numbers_of_the_verdicts():
    text = first_screen(PAGES["whole"])
    bars = dict(re.findall(r'<div class="bar" role="img" data-paper="(.*?)".*?>(<span.*?)</div>', text))
    drawn = {
        paper: dict(re.findall(r'<span class="([a-z-]+)" style="flex: (\d+) 1 0">', bar)) for paper, bar in bars.items()
    }
    assert drawn == {
        PAPERS["baydin2018"]: {"reproduced": "1", "not-run": "3"},
        PAPERS["hdm2025"]: {"reproduced": "1", "not-reproduced": "1", "not-run": "1", "no-published-value": "1"},
        PAPERS["osgm2025"]: {"reproduced": "1", "not-run": "1"},
    }
    for bar in bars.values():
        assert re.findall(r"flex: (\d+)", bar) == re.findall(r"<b>(\d+)</b>", bar)
    assert (
        'aria-label="Baydin et al. 2018, 4 claims: 1 reproduced, 0 not reproduced, 3 not run, 0 no published value"'
        in text
    )
    keys = re.sub(r"<.*?>", "", text[text.index('<ul class="keys"') :].split("</ul>")[0])
    assert re.findall(r"(\d+) ([a-z ]+?)(?=\d|$)", keys) == [
        ("3", "reproduced"), ("1", "not reproduced"), ("5", "not run"), ("1", "no published value"),
    ]  # fmt: skip


def test_first_screen_names_the_device_and_what_was_compared():
    text = first_screen(PAGES["whole"])
    assert "<b>A device, OpenCL 3.0</b>" in text
    assert "all 10 runs equal NumPy" in text
    assert trial.COMPARED in text
    assert "alarm" not in text[text.index("<main>") :]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no device", "No OpenCL device: no kernel ran"),
        ("no device", "no OpenCL device was found; install one"),
        ("no device", "hypergrad doctor"),
        ("no device", "not compared"),
        ("bits differ", "1 of 10 runs differ from NumPy&#39;s: AdamW in float32"),
        ("bits differ", "hypergrad doctor"),
        ("kernels failed", "The kernels failed on this device"),
    ],
)
def test_trouble_with_the_kernels_is_loud_and_has_a_remedy(name, said):
    text = first_screen(PAGES[name])
    assert '<section class="alarm"' in text
    assert said in text
    assert "equal NumPy" not in text


def read_rows(text, table):
    body = text[text.index(f'<table class="{table}"') :].split("<tbody")[1].split("</tbody>")[0]
    return re.findall(r"<tr role.*?</tr>", body, re.DOTALL)


def test_claims_that_were_not_run_are_one_row_per_reason_with_the_command_and_a_list():
    rows = read_rows(PAGES["whole"], "needs")
    assert len(rows) == 3
    assert "MNIST with the authors" in rows[0]
    assert "<code>make figures FETCH=1</code>" in rows[0]
    assert "3 claims" in rows[0]
    assert re.findall(r"<li>(.*?): ", rows[0]) == [
        "Baydin et al. 2018, row 2",
        "Baydin et al. 2018, row 3",
        "OSGM 2025, row 1",
    ]
    assert "<code>make figures FULL=1</code>" in rows[1]
    assert "1 claim " in rows[1]
    assert "It takes a machine that nobody has" in rows[2]
    assert "<code>" not in rows[2]
    assert all(row.count("<details>") == row.count("</details>") == 1 for row in rows)


def test_claims_that_were_run_are_one_row_each_what_failed_first():
    rows = read_rows(PAGES["whole"], "claims")
    assert [re.findall(r'<b class="verdict (\S+)">', row) for row in rows] == [
        ["not-reproduced"], ["reproduced"], ["reproduced"], ["reproduced"], ["no-published-value"],
    ]  # fmt: skip
    assert "published 4, ours 5, accepted 4" in rows[0]
    assert "make figures" not in "".join(rows)


def test_every_claim_is_on_the_page_once():
    text = PAGES["whole"]
    listed = re.findall(r"<li>(.*?), row (\d+): Two, squared</li>", text)
    tabled = re.findall(r'<tr role="row" class.*?>\n<td role="cell">(.*?)</td><td role="cell">(.*?)</td>', text)
    assert sorted(listed + tabled) == sorted((claim["paper"], claim["row"]) for claim in CLAIMS)


def test_page_needs_nothing_from_elsewhere(any_page):
    for tag, attributes in any_page.elements:
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
    assert not any_page.find("iframe", "object", "embed", "base")


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_style_and_script_fetch_nothing(text):
    code = "".join(re.findall(r"<(?:style|script)>.*?</", text, re.DOTALL))
    assert code
    assert not re.search(r"https?:|//|@import|url\(|fetch\(|import\(", code)


def test_links_lead_somewhere_and_names_are_unique(any_page):
    names = [attributes["id"] for _, attributes in any_page.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    links = [link["href"][1:] for link in any_page.find("a")]
    labels = [a["aria-labelledby"] for _, a in any_page.elements if "aria-labelledby" in a]
    assert set(links + labels) <= set(names)


def test_every_picture_has_alternative_text(any_page):
    assert all(len(image["alt"]) > 20 for image in any_page.find("img"))
    assert all(a.get("aria-label") for _, a in any_page.elements if a.get("role") in ("img", "region"))


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_header_of_a_column_is_never_empty(text):
    assert not re.findall(r"<th[^>]*>\s*</th>", text)


def test_headings_leave_no_level_out(any_page):
    levels = [int(tag[1]) for tag, _ in any_page.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))
    assert levels[0] == 1


def test_what_scrolls_sideways_is_reached_by_keyboard():
    regions = [a for _, a in Page(PAGES["whole"]).elements if a.get("class") == "wide"]
    assert len(regions) == 2
    assert all((a["tabindex"], a["role"]) == ("0", "region") for a in regions)
    assert {a["aria-label"] for a in regions} == {"Title of rates: losses", "Title of spike: losses"}


def luminance(colour):
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def read_schemes():
    """The colours by name, of the light and of the dark page."""
    blocks = re.findall(r":root \{(.*?)\}", PAGES["whole"], re.DOTALL)
    schemes = [dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in blocks]
    return [
        {k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in scheme.items()} for scheme in schemes
    ]


def test_text_stands_out_from_its_ground_in_light_and_dark():
    light, dark = read_schemes()[:2]
    assert set(light) == set(dark)
    for scheme in (light, dark):
        for ground in ("page", "card"):
            for ink in ("ink", "soft", "good", "bad", "open"):
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)  # WCAG 2.2, AA
        assert contrast("#ffffff", scheme["bar-good"]) >= 4.5
        assert contrast("#000000", scheme["bar-bad"]) >= 4.5


def test_verdicts_are_words_beside_their_colours():
    for row, word in zip(read_rows(PAGES["whole"], "claims"), ["not reproduced", "reproduced"], strict=False):
        assert f">{word}</b>" in row


def test_text_of_a_claim_or_a_figure_is_escaped():
    odd = make_entry("rates", {"<b>seed": "1 < 2 & 3"})
    claim = describe("hdm2025", "1", Verdict.NOT_RUN, Need("x < 1 & <script>", "echo '<b>'"))
    page = Page(render(entries=[odd], claims=[claim]))
    assert "x < 1 & <script>" in page.text.replace("X <", "x <")
    assert "1 < 2 & 3" in page.text
    assert "echo '<b>'" in page.text


def test_kernels_give_numpys_bits_on_the_device_of_this_run():
    device = trial.find_device()
    if not device.name:
        assert device.trouble
        pytest.skip("no OpenCL device")
    verdict = trial.compare_bits()
    assert verdict == (10, ())
    assert str(verdict) == "all 10 runs equal NumPy's in every bit"


def test_trial_finds_a_kernel_that_differs(monkeypatch):
    train = trial.train

    def spoil(make, problem, steps, dtype, device, **options):
        run = train(make, problem, steps, dtype, device="numpy", **options)
        if device == "opencl" and make is trial.AdamW:
            run.theta[-1] = -run.theta[-1]
        return run

    monkeypatch.setattr(trial, "train", spoil)
    verdict = trial.compare_bits()
    assert verdict.differing == ("AdamW in float32", "AdamW in float64")
    assert str(verdict) == "2 of 10 runs differ from NumPy's: AdamW in float32, AdamW in float64"


def test_rates_of_the_trial_move():
    for make, options in trial.OPTIMIZERS.items():
        lr = trial.train(make, trial.quadratic([0.1] * 5), trial.STEPS, device="numpy", **options).lr
        assert (len(set(lr)) > trial.STEPS / 2) == (make is not trial.AdamW), make
