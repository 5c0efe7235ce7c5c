"""References resolve: within a template, and between a template and its nested ones."""

import re
import tomllib
import unittest

from templates import REPOSITORY, ROOT, TEMPLATES, name, source, transformed, walk

PSEUDO = {
    f"AWS::{word}"
    for word in ("AccountId", "NotificationARNs", "NoValue", "Partition", "Region", "StackId", "StackName", "URLSuffix")
}


def references(template):
    """The logical ids in a template's values, each with its path."""
    for where, value in walk({part: template.get(part, {}) for part in ("Resources", "Outputs", "Conditions")}):
        if not isinstance(value, dict) or len(value) != 1:
            continue
        (function, argument), = value.items()
        if function == "Ref":
            yield where, argument
        elif function == "Fn::GetAtt":
            yield where, (argument if isinstance(argument, list) else argument.split("."))[0]
        elif function == "Fn::Sub":
            text, own = argument if isinstance(argument, list) else (argument, {})
            for found in re.findall(r"\$\{([^!}][^}]*)\}", text):
                if found.split(".")[0] not in own:
                    yield where, found.split(".")[0]


def nested():
    """`(logical id, properties, child's path)` of each template inside the root."""
    for logical_id, resource in source(ROOT)["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            yield logical_id, resource["Properties"], REPOSITORY / resource["Properties"]["TemplateURL"]


class References(unittest.TestCase):
    def test_every_reference_is_to_a_resource_or_a_parameter(self):
        for path in TEMPLATES:
            template = transformed(path)
            known = PSEUDO | set(template["Resources"]) | set(template.get("Parameters", {}))
            for where, logical_id in references(template):
                self.assertIn(logical_id, known, f"{name(path)}: {'.'.join(map(str, where))}")

    def test_nested_templates_get_every_parameter_and_no_unknown_one(self):
        for logical_id, properties, child in nested():
            given = set(properties.get("Parameters", {}))
            parameters = source(child).get("Parameters", {})
            needed = {parameter for parameter, of in parameters.items() if "Default" not in of}
            self.assertLessEqual(given, set(parameters), f"{logical_id}: {name(child)} has no such parameter")
            self.assertLessEqual(needed, given, f"{logical_id} gives {name(child)} too little")

    def test_every_referenced_output_of_a_nested_template_exists(self):
        outputs = {logical_id: set(source(child).get("Outputs", {})) for logical_id, _, child in nested()}
        for where, value in walk(source(ROOT)):
            asked = []
            if isinstance(value, dict) and set(value) == {"Fn::GetAtt"}:
                attribute = value["Fn::GetAtt"]
                asked = [attribute if isinstance(attribute, str) else ".".join(attribute)]
            elif isinstance(value, dict) and set(value) == {"Fn::Sub"} and isinstance(value["Fn::Sub"], str):
                asked = re.findall(r"\$\{([^!}]+)\}", value["Fn::Sub"])
            for reference in asked:
                stack, _, output = reference.partition(".Outputs.")
                if output:
                    self.assertIn(output, outputs[stack], f"{'.'.join(map(str, where))}: of {stack}")

    def test_every_parameter_is_used(self):
        for path in TEMPLATES:
            template = source(path)
            used = {argument for _, argument in references(template)}
            used |= {value["Ref"] for _, value in walk(template) if isinstance(value, dict) and set(value) == {"Ref"}}
            self.assertLessEqual(set(template.get("Parameters", {})), used, name(path))

    def test_every_template_is_part_of_the_product(self):
        children = {child for _, _, child in nested()}
        self.assertEqual(children | {ROOT}, set(TEMPLATES))

    def test_sam_is_told_to_read_loops(self):
        # By default `sam build` and `sam deploy` fail on them.
        loops = [path for path in TEMPLATES if source(path).get("Transform") == "AWS::LanguageExtensions"]
        told = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())["default"]["global"]["parameters"]
        self.assertEqual(told.get("language_extensions", False), bool(loops))

    def test_at_most_four_parameters_have_to_be_given(self):
        needed = [parameter for parameter, of in source(ROOT)["Parameters"].items() if "Default" not in of]
        self.assertLessEqual(len(needed), 4, needed)

    def test_every_parameter_of_the_root_has_a_description_and_a_group(self):
        template = source(ROOT)
        groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [parameter for group in groups for parameter in group["Parameters"]]
        self.assertCountEqual(grouped, template["Parameters"])
        for parameter, of in template["Parameters"].items():
            self.assertIn("Description", of, parameter)
            if "AllowedPattern" in of:
                self.assertIn("ConstraintDescription", of, parameter)
