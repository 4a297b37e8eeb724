"""Reads Stripe's SDK for Python: the shapes of objects, the methods of services, the names of events."""

import ast
import pathlib
import re


class Reader:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.modules = {}
        self.version = re.search(r'VERSION = "([^"]+)"', (self.folder / "_version.py").read_text()).group(1)
        self.api = re.search(r'CURRENT = "([^"]+)"', (self.folder / "_api_version.py").read_text()).group(1)
        # (module, class) of every class that says which object it is, and the other way round.
        self.named = {}
        for path in sorted(self.folder.rglob("_*.py")):
            where = self.where(path)
            if ".params." in where or ".events." in where:
                continue
            for name, cls in self.module(where).classes.items():
                kind = object_name(cls)
                if kind:
                    self.named[where, name] = kind
        self.by_kind = {kind: place for place, kind in self.named.items() if not place[1].startswith("Deleted")}

    def where(self, path):
        return ".".join(["stripe", *path.relative_to(self.folder).with_suffix("").parts])

    def module(self, where):
        if where not in self.modules:
            path = self.folder.joinpath(*where.split(".")[1:])
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            self.modules[where] = Module(where, ast.parse(path.read_text()))
        return self.modules[where]

    def shape(self, kind):
        """Property to type of an object of this kind."""
        where, name = self.by_kind[kind]
        module = self.module(where)
        return self.members(module, module.classes[name], [])

    def members(self, module, cls, scopes):
        """The annotated members of a class; `scopes` are the classes around it."""
        own = [*scopes, cls]
        v2 = ".v2." in module.where
        texts = {name for name, how in assigned(cls, "_field_encodings").items() if how == "int64_string"}
        shape = {}
        for field, following in zip(cls.body, [*cls.body[1:], None]):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if field.target.id == "deleted" or ast.unparse(field.annotation).startswith("ClassVar"):
                continue
            name = wire_name(cls, field.target.id)
            doc = following.value.value if is_text(following) else ""
            optional, annotation = unwrap(field.annotation)
            kind = self.kind_of(module, annotation, own, name, doc, v2)
            shape[name + ("?" if optional else "")] = "n" if field.target.id in texts else kind
        return shape

    def kind_of(self, module, node, scopes, name, doc, v2):
        text = ast.unparse(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # What is quoted is imported, for reading only, unless it is of this module.
            quoted = ast.parse(node.value, mode="eval").body
            return self.kind_of(module, quoted, [] if node.value in module.imports else scopes, name, doc, v2)
        if text == "str":
            return "z" if v2 and is_moment(name, doc) else "s"
        if text == "int":
            return "t" if "since the Unix epoch" in doc or "Unix timestamp" in doc or is_moment(name, doc) else "i"
        if text in ("bool", "float", "Decimal", "Any"):
            return {"bool": "b", "float": "f", "Decimal": "d", "Any": "any"}[text]
        if isinstance(node, ast.Subscript):
            return self.subscript(module, node, scopes, name, doc, v2)
        return self.named_class(module, text, scopes)

    def subscript(self, module, node, scopes, name, doc, v2):
        base, inner = ast.unparse(node.value), node.slice
        if base == "Optional":
            return self.kind_of(module, inner, scopes, name, doc, v2)
        if base == "Literal":
            return literal(node)
        if base == "List":
            return [self.kind_of(module, inner, scopes, name, doc, v2)]
        if base in ("ExpandableField", "ListObject"):
            targets = [self.target(module, each, scopes) for each in alternatives(inner)]
            return ("r:" if base == "ExpandableField" else "l:") + "|".join(dict.fromkeys(targets))
        if base in ("UntypedStripeObject", "Dict"):
            value = inner.elts[1] if isinstance(inner, ast.Tuple) else inner
            return {"*": self.kind_of(module, value, scopes, name, doc, v2)}
        if base == "Union":
            each = alternatives(node)
            literals = [value for value in each if ast.unparse(value).startswith("Literal")]
            if literals:
                return "e:" + "|".join(literal(value)[2:] for value in literals)
            return self.kind_of(module, each[0], scopes, name, doc, v2)
        raise SystemExit(f"{module.where}: what is {ast.unparse(node)}?")

    def target(self, module, node, scopes):
        """The kind of object that a reference or a list is of; the word for one that has no class of its own."""
        found = self.kind_of(module, node, scopes, "", "", False)
        return found.removeprefix("o:") if isinstance(found, str) else ast.unparse(node).lower()

    def named_class(self, module, text, scopes):
        """A class around the annotation, of the module, or imported."""
        path = text.split(".")
        for depth in range(len(scopes), -1, -1):
            body = scopes[depth - 1].body if depth else module.tree.body
            found, around = descend(body, path), scopes[:depth]
            if found:
                if (module.where, text) in self.named and not depth:
                    return "o:" + self.named[module.where, text]
                *outer, cls = found
                return self.members(module, cls, [*around, *outer])
        if path[0] not in module.imports:
            raise SystemExit(f"{module.where}: where is {text}?")
        where, name = module.imports[path[0]]
        if (where, name) in self.named:
            return "o:" + self.named[where, name]
        other = self.module(where)
        return self.members(other, other.classes[name], [])

    def services(self):
        """Every service that lists: what it is asked with, and where one of its objects is."""
        for path in sorted(self.folder.rglob("*_service.py")):
            module = self.module(self.where(path))
            for cls in module.classes.values():
                if method(cls, "list"):
                    yield module, cls

    def params(self, module, function):
        """Parameter to (required, annotation) of a method."""
        arguments = [*function.args.posonlyargs, *function.args.args]
        annotation = next((ast.unparse(each.annotation) for each in arguments if each.arg == "params"), "")
        name = re.search(r"\w+Params", annotation)
        if not name:
            return {}
        where, original = module.imports[name.group(0)]
        cls = self.module(where).classes[original]
        fields = [field for field in cls.body if isinstance(field, ast.AnnAssign)]
        return {field.target.id: (not ast.unparse(field.annotation).startswith("NotRequired"), ast.unparse(field.annotation)) for field in fields}

    def returned(self, module, function):
        names = re.findall(r"\w+", ast.unparse(function.returns))
        return [self.named[module.imports[name]] for name in names if module.imports.get(name) in self.named]

    def event_objects(self):
        """Type of event to the kind of object it is about, for those that have a class of their own."""
        objects = {}
        for path in sorted((self.folder / "events").glob("_v?_*.py")):
            module = self.module(self.where(path))
            for cls in module.classes.values():
                function = method(cls, "fetch_related_object")
                lookup = next((field.value.value for field in cls.body if isinstance(field, ast.Assign)), None)
                kinds = self.returned(module, function) if function else []
                objects.setdefault(lookup, kinds[0] if kinds else None)
        return objects

    def snapshot_types(self):
        """Every type of snapshot event."""
        tree = self.module("stripe.params._webhook_endpoint_create_params").tree
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        return sorted({text for text in texts if re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)+", str(text))} - {self.api})


class Module:
    def __init__(self, where, tree):
        self.where = where
        self.tree = tree
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        self.imports = {name.asname or name.name: (node.module, name.name) for node in found for name in node.names}


def object_name(cls):
    for field in cls.body:
        if isinstance(field, ast.AnnAssign) and getattr(field.target, "id", "") == "OBJECT_NAME" and field.value is not None:
            return field.value.value
    return None


def wire_name(cls, name):
    """What the API calls a member whose name Python could not spell."""
    return assigned(cls, "_field_remappings").get(name, name).rstrip("_")


def assigned(cls, name):
    """A table that the class keeps under this name."""
    values = [field.value for field in cls.body if isinstance(field, ast.Assign) and getattr(field.targets[0], "id", "") == name]
    return ast.literal_eval(values[0]) if values else {}


def method(cls, name):
    return next((node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def url(function):
    texts = [node.value for node in ast.walk(function) if isinstance(node, ast.Constant)]
    return next(text for text in texts if re.match(r"/v\d/", str(text)))


def unwrap(node):
    """Whether an annotation is optional, and what is in it."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Optional":
        return True, node.slice
    return False, node


def alternatives(node):
    """The members of a union, with the texts of forward references read."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        quoted = ast.parse(node.value, mode="eval").body
        return alternatives(quoted) if isinstance(quoted, ast.Subscript) else [node]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Union":
        return list(node.slice.elts)
    return [node]


def literal(node):
    values = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    values = [value.value for value in values]
    return "true" if values == [True] else "e:" + "|".join(map(str, values))


def descend(body, path):
    found = []
    for name in path:
        cls = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None)
        if cls is None:
            return None
        found.append(cls)
        body = cls.body
    return found


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_moment(name, doc):
    if "RFC 3339" in doc or "ISO 8601" in doc or "ISO-8601" in doc:
        return True
    return bool(re.search(r"(^created$|_at$)", name))
