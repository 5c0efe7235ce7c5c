"""The templates, as they are written and as their transforms leave them: SAM's, or the one that expands loops.

Rules about functions, routes and permissions are held against the latter: what a source says and what
is deployed are not always the same (`ResponseTransferMode: STREAM` deploys a buffered integration).
"""

import copy
import json
import logging
import os
from functools import lru_cache
from pathlib import Path

# The transform requires a region, but uses nothing in it.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.lib.cfn_language_extensions.models import TemplateProcessingContext  # noqa: E402
from samcli.lib.cfn_language_extensions.processors import ForEachProcessor  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
ROOT = REPOSITORY / "template.yaml"
NESTED = sorted((REPOSITORY / "infra").glob("*.yaml"))
TEMPLATES = [ROOT, *NESTED]


# Silences the transform's own log.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

# A packaged function's code; the transform does not accept a folder.
PACKAGED_CODE = "s3://bucket/code.zip"


class ManagedPolicies:
    """Replaces IAM's list of policies, which SAM would request from AWS: SAM's own table maps names to ARNs."""

    def load(self):
        return {}


@lru_cache(maxsize=None)
def source(path):
    """A template as written."""
    return yaml_parse(path.read_text())


def expanded(template):
    """A template with its loops (`Fn::ForEach`) expanded, as by AWS::LanguageExtensions, and all else as written."""
    context = TemplateProcessingContext(fragment=template)
    ForEachProcessor().process_template(context)
    return {part: content for part, content in context.fragment.items() if part != "Transform"}


@lru_cache(maxsize=None)
def transformed(path, **parameters):
    """A template after its transform, deployed with these parameters."""
    template = copy.deepcopy(source(path))
    if "Transform" not in template:
        return template
    if template["Transform"] == "AWS::LanguageExtensions":
        return expanded(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = PACKAGED_CODE
    return json.loads(json.dumps(transform(template, parameters, ManagedPolicies())))


def name(path):
    """A template's name in messages: `infra/api.yaml`."""
    return str(path.relative_to(REPOSITORY))


def resources(kind, path=None):
    """`(template, logical id, resource)` of one type, of the transformed templates."""
    for template in [path] if path else TEMPLATES:
        for logical_id, resource in transformed(template).get("Resources", {}).items():
            if resource["Type"] == kind:
                yield template, logical_id, resource


def source_functions():
    """`(template, logical id, function)` of each function, as written."""
    for template in TEMPLATES:
        for logical_id, resource in source(template)["Resources"].items():
            # A loop is a list; SAM's resources cannot be in one.
            if isinstance(resource, dict) and resource["Type"] == "AWS::Serverless::Function":
                yield template, logical_id, resource


def function_names():
    """The functions' names as written, such as `${Name}-otp`, by logical id."""
    return {logical_id: function["Properties"]["FunctionName"]["Fn::Sub"] for _, logical_id, function in resources("AWS::Lambda::Function")}


def walk(value, path=()):
    """All values inside a value, with the path of each."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, (*path, index))


def as_list(value):
    """A value as a list: IAM accepts a single value in place of a list."""
    return value if isinstance(value, list) else [value]


def alternatives(value):
    """The values that a value may have in a deployment: those of all branches of its conditions, none for no value."""
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        for branch in value["Fn::If"][1:]:
            yield from alternatives(branch)
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


def flat(values):
    """A list with the alternatives of each element in its place."""
    return [inner for value in values for inner in alternatives(value)]


def forms():
    """`(template, form, content)`: each as written, and those with a transform also as transformed."""
    for path in TEMPLATES:
        yield path, "as written", source(path)
        if "Transform" in source(path):
            yield path, "transformed", transformed(path)


def write_transformed(directory):
    """Writes the transformed templates, which the linters check besides the sources."""
    for path, form, content in forms():
        if form == "transformed":
            (Path(directory) / f"{path.stem}.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    import sys

    write_transformed(sys.argv[1])
