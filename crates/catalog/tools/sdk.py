"""Reads Stripe's official SDK for Python: its objects, its lists, the names of its events."""

import ast
import pathlib
import re
from dataclasses import dataclass


@dataclass
class Object:
    """A class that calls itself by an object's name."""

    name: str
    # property, annotation, documentation
    properties: list
    # class to module, for the classes that annotations name
    imports: dict
    v2: bool


@dataclass
class Listing:
    """A `list` method of a service."""

    path: str
    objects: list
    # parameter: required
    params: dict
    created: bool
    # where one of its objects is, if that can be asked for
    retrieve: str


class Sdk:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.trees = {}
        self.version = re.search(r'VERSION = "([^"]+)"', self.text("_version.py")).group(1)
        self.api = re.search(r'CURRENT = "([^"]+)"', self.text("_api_version.py")).group(1)
        self.classes = {}
        self.objects = {}
        for path in sorted(self.folder.rglob("*.py")):
            if "params" not in path.parts:
                self.read_objects(path)

    def text(self, name):
        return (self.folder / name).read_text()

    def tree(self, path):
        if path not in self.trees:
            self.trees[path] = ast.parse(path.read_text())
        return self.trees[path]

    def read_objects(self, path):
        for node in self.tree(path).body:
            name = isinstance(node, ast.ClassDef) and object_name(node)
            if name:
                self.classes[module(self.folder, path), node.name] = name
                imports = {node.name: module(self.folder, path), **imported(self.tree(path))}
                self.objects[name] = Object(name, properties(node), imports, name.startswith("v2."))

    def listings(self):
        """Every list, by path."""
        services = [(path, node) for path in sorted(self.folder.rglob("*_service.py")) for node in self.tree(path).body]
        found = [self.listing(path, node) for path, node in services if isinstance(node, ast.ClassDef) and method(node, "list")]
        return sorted(found, key=lambda listing: (listing.path.startswith("/v2/"), listing.path))

    def listing(self, path, service):
        node = method(service, "list")
        imports = imported(self.tree(path))
        returned = re.findall(r"\w+", ast.unparse(node.returns))
        objects = [self.classes[imports[name], name] for name in returned if (imports.get(name), name) in self.classes]
        params, created = {}, False
        annotation = next((ast.unparse(arg.annotation) for arg in [*node.args.args, *node.args.posonlyargs] if arg.arg == "params"), None)
        if annotation:
            name = re.search(r"\w+ListParams", annotation).group(0)
            params, created = self.params(imports[name], name)
        retrieve = method(service, "retrieve")
        return Listing(url(node), objects, params, created, retrieve and url(retrieve))

    def params(self, where, name):
        path = self.folder / (where.removeprefix("stripe.").replace(".", "/") + ".py")
        body = next(node.body for node in self.tree(path).body if isinstance(node, ast.ClassDef) and node.name == name)
        fields = {field.target.id: ast.unparse(field.annotation) for field in body if isinstance(field, ast.AnnAssign)}
        required = {field: not annotation.startswith("NotRequired") for field, annotation in fields.items()}
        return required, "Created" in fields.get("created", "")

    def event_types(self):
        """Every type of event, snapshots then thin ones."""
        literals = ast.walk(self.tree(self.folder / "params/_webhook_endpoint_create_params.py"))
        dotted = {node.value for node in literals if isinstance(node, ast.Constant) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(node.value))}
        thin = set()
        for path in sorted((self.folder / "events").glob("_v2_*.py")):
            thin.update(re.findall(r'LOOKUP_TYPE = "(v2\.[^"]+)"', path.read_text()))
        return sorted(dotted), sorted(thin)


def object_name(node):
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and getattr(field.target, "id", "") == "OBJECT_NAME" and field.value is not None:
            return field.value.value
    return None


def properties(node):
    found = []
    for index, field in enumerate(node.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        following = node.body[index + 1] if index + 1 < len(node.body) else None
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        doc = following.value.value if documented else ""
        annotation = ast.unparse(field.annotation)
        if not annotation.startswith("ClassVar"):
            found.append((field.target.id.rstrip("_"), annotation, doc))
    return found


def method(service, name):
    return next((node for node in service.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def url(node):
    """The path that a method asks."""
    texts = [value.value for value in ast.walk(node) if isinstance(value, ast.Constant)]
    return next(text for text in texts if str(text).startswith("/v"))


def imported(tree):
    """Name to the module that it is from."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.asname or name.name: node.module for node in imports for name in node.names}


def module(folder, path):
    return ".".join(["stripe", *path.relative_to(folder).with_suffix("").parts])
