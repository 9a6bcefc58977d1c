"""The shape of the code: who may import whom, what waits until it is needed, how long a module may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "utils").rglob("*.py"))
}  # fmt: skip

LAYERS = [
    {"utils.errors", "utils.events", "utils.settings", "utils.colab"},
    {"utils.locks", "utils.processes", "utils.environment", "utils.atomic", "utils.copies", "utils.post_length",
     "utils.terminal", "utils.report", "utils.pace", "utils.countdown", "utils.figures",
     "utils.memory", "utils.threads"},
    {"utils.language_model", "utils.story", "utils.head", "utils.low_rank"},
    {"utils.scoring", "utils.sampling", "utils.bot", "utils.adapters"},
    {"utils.timelines.dates", "utils.timelines.encodings", "utils.timelines.markup", "utils.timelines.plain_text",
     "utils.timelines.containers", "utils.timelines.json_values", "utils.timelines.handles"},
    {"utils.timelines.fields"},
    {"utils.timelines.tables"},
    {"utils.timelines.__init__", "utils.timelines.files", "utils.timelines.archive", "utils.timelines.exports",
     "utils.timelines.samples", "utils.timelines.json_lines", "utils.timelines.folders",
     "utils.timelines.network", "utils.timelines.shelf", "utils.timelines.fetching", "utils.timelines.x_api",
     "utils.timelines.bluesky", "utils.timelines.mastodon",
     "utils.cleaning", "utils.dataset", "utils.models",
     "utils.footprint", "utils.course", "utils.schedule", "utils.training", "utils.new_posts", "utils.comparison",
     "utils.generation", "utils.evaluation"},
    {"utils.tracking_runs"},
    {"utils.tracking"},
    {"utils.pipeline", "utils.experiments", "utils.sharing.card", "utils.sharing.gguf", "utils.sharing.hub",
     "utils.sharing.links"},
    {"utils.sharing.__init__", "utils.update"},
    {"utils.listener"},
    {"utils.dashboard.html", "utils.dashboard.worker", "utils.dashboard.visitor", "utils.dashboard.runs"},
    {"utils.dashboard.region"},
    {"utils.dashboard.key", "utils.dashboard.upload"},
    {"utils.dashboard.author", "utils.dashboard.write", "utils.dashboard.publish"},
    {"utils.dashboard.train", "utils.dashboard.game", "utils.dashboard.update", "utils.dashboard.keep"},
    {"utils.dashboard.__init__"},
    {"utils.commands.__init__"},
    {"utils.commands.posts", "utils.commands.train", "utils.commands.bots", "utils.commands.update",
     "utils.commands.share"},
    {"utils.__main__", "utils.__init__"},
]  # fmt: skip
"""From the ground up; a module imports from layers below its own."""

STAGES_MAY_USE = {
    ("utils.cleaning", "utils.timelines"),
    ("utils.dataset", "utils.cleaning"),
    ("utils.new_posts", "utils.cleaning"),
    ("utils.new_posts", "utils.dataset"),
    ("utils.training", "utils.dataset"),
    ("utils.training", "utils.course"),
    ("utils.training", "utils.schedule"),
    ("utils.schedule", "utils.course"),
    ("utils.schedule", "utils.dataset"),
    ("utils.course", "utils.dataset"),
    ("utils.evaluation", "utils.cleaning"),
    ("utils.evaluation", "utils.generation"),
    ("utils.timelines.samples", "utils.timelines"),
    ("utils.timelines.files", "utils.timelines"),
    ("utils.timelines.archive", "utils.timelines"),
    ("utils.timelines.json_lines", "utils.timelines"),
    ("utils.timelines.exports", "utils.timelines"),
    ("utils.timelines.files", "utils.timelines.archive"),
    ("utils.timelines.files", "utils.timelines.exports"),
    ("utils.timelines.folders", "utils.timelines"),
    ("utils.timelines.folders", "utils.timelines.archive"),
    ("utils.timelines.folders", "utils.timelines.exports"),
    ("utils.timelines.__init__", "utils.timelines.exports"),
    ("utils.timelines.__init__", "utils.timelines.folders"),
    ("utils.timelines.__init__", "utils.timelines.fetching"),
    ("utils.timelines.network", "utils.timelines"),
    ("utils.timelines.shelf", "utils.timelines"),
    ("utils.timelines.shelf", "utils.timelines.json_lines"),
    *(
        ("utils.timelines.fetching", f"utils.timelines{module}")
        for module in ("", ".network", ".shelf", ".x_api", ".bluesky", ".mastodon")
    ),
    *(
        (f"utils.timelines.{network}", f"utils.timelines{module}")
        for network in ("x_api", "bluesky", "mastodon")
        for module in ("", ".network", ".shelf")
    ),
    ("utils.timelines.bluesky", "utils.timelines.exports"),
    ("utils.timelines.__init__", "utils.timelines.samples"),
    ("utils.timelines.__init__", "utils.timelines.archive"),
    ("utils.timelines.__init__", "utils.timelines.files"),
    ("utils.timelines.samples", "utils.timelines.files"),
}
"""What stages take from each other: the dataclass that the stage before hands over."""

ONE_HOME = {
    "ipywidgets": {"utils.dashboard"},
    "IPython": {"utils.dashboard"},
    "tweepy": {"utils.timelines.x_api"},
    "mastodon": {"utils.timelines.mastodon"},
    "requests": {"utils.timelines"},
    "wandb": {"utils.tracking_runs"},
    "huggingface_hub": {"utils.models", "utils.sharing"},
    "gguf": {"utils.sharing.gguf"},
    "twitter_text": {"utils.post_length"},
    "rich": {"utils.terminal"},
    "click": {"utils.terminal", "utils.commands", "utils.__main__"},
    "ftfy": {"utils.timelines.encodings"},
    "libipld": {"utils.timelines.exports"},
    "selectolax": {"utils.timelines.markup"},
    "anywidget": {"utils.dashboard"},
    "filelock": {"utils.locks"},
    "matplotlib": {"utils.figures"},
    "psutil": {"utils.environment", "utils.memory"},
    "sklearn": {"utils.evaluation"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from utils import x` counts as utils.x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in ("utils", "utils.timelines", "utils.dashboard"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def layer_of(module: str) -> int | None:
    names = {module, f"{module}.__init__"}
    return next((number for number, layer in enumerate(LAYERS) if layer & names), None)


def test_every_module_has_its_layer() -> None:
    assert set(MODULES) == set().union(*LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    for imported in imports(MODULES[module]):
        below = layer_of(imported)
        if below is not None and (module, imported) not in STAGES_MAY_USE:
            assert below < layer_of(module) or below == layer_of(module) < 4, f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_lives_in_its_one_home(module: str) -> None:
    for imported in imports(MODULES[module]):
        homes = ONE_HOME.get(imported.split(".")[0])
        assert homes is None or any(module.startswith(home) for home in homes), f"{module} imports {imported}"


@pytest.mark.parametrize(
    "statement",
    [
        "import utils",
        "import utils.__main__",
        "import utils.terminal, utils.pipeline",
        "from utils.dashboard import Dashboard; Dashboard()",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    code = (
        f"{statement}; import sys; print([m for m in ('torch', 'transformers', 'rich', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_and_stays_readable(module: str) -> None:
    source = MODULES[module].read_text("utf-8")
    assert ast.get_docstring(ast.parse(source)), f"{module} has no docstring"
    assert len(source.splitlines()) <= 330, f"{module} is long; is it two things?"


@pytest.mark.parametrize("module", MODULES)
def test_text_is_read_and_written_in_a_named_encoding(module: str) -> None:
    """Else it is Windows' own there, in which most languages and all emoji are errors."""
    for call in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        texts = [node.value for node in call.args if isinstance(node, ast.Constant)]
        match call.func:
            case ast.Name(id="open"):
                text = not any("b" in ast.unparse(mode) for mode in (*call.args[1:], *(k.value for k in call.keywords)))
            case ast.Attribute(attr="read_text" | "write_text"):
                text = "utf-8" not in texts
            case _:
                text = given.get("text") == "True"
        assert not text or "encoding" in given, f"{module}, line {call.lineno}"


def test_public_functions_and_classes_say_what_they_do() -> None:
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        for node in tree.body + [child for known in classes for child in known.body]:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            obvious = isinstance(node, ast.FunctionDef) and len(node.body) == 1 and len(node.args.args) <= 1
            assert not public or obvious or ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def test_the_map_names_every_module() -> None:
    text = (ROOT / "utils" / "__init__.py").read_text("utf-8")
    for path in (ROOT / "utils").iterdir():
        if path.name not in ("__init__.py", "__pycache__"):
            assert path.name in text, f"{path.name} is not on the map"
