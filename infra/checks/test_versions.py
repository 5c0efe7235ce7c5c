"""Versions of functions: a changed parameter makes a new one, which is what gets requests."""

import re
import unittest

from templates import NESTED, ROOT, resources, source, source_functions, transformed, walk

PATHS = {path.stem: path for path in NESTED}
API = PATHS["api"]
# What only the deployment's name decides: functions have it in their own names, and are replaced with it.
FOLLOWS_FROM_NAME = {"Name", "CacheUrl", "CacheName", "CacheUserName", "DatabaseEndpoint", "AppOriginSecretName"}
# Secrets, for the ends of whose ARNs the root puts an output of data.yaml into Revision.
SECRETS = {"SessionKeys", "LoginPepper", "OriginSecret"}
DESCRIPTION_LIMIT = 256


def named(value, template):
    """The parameters that a value depends on, also by way of conditions."""
    found = set()
    for _, inner in walk(value):
        if not isinstance(inner, dict) or len(inner) != 1:
            continue
        (function, argument), = inner.items()
        if function == "Ref":
            found.add(argument)
        elif function == "Fn::Sub":
            found |= set(re.findall(r"\$\{(\w+)\}", argument))
        elif function == "Fn::If":
            found |= named(template["Conditions"][argument[0]], template)
    return found & set(template["Parameters"])


def version(function, **parameters):
    """A function's version when deployed with these parameters: its logical id and its description."""
    [found] = [
        (logical_id, properties["Description"]["Fn::Sub"])
        for logical_id, properties in (
            (logical_id, resource["Properties"])
            for logical_id, resource in transformed(API, **parameters)["Resources"].items()
            if resource["Type"] == "AWS::Lambda::Version"
        )
        if properties["FunctionName"] == {"Ref": function}
    ]
    logical_id, description = found
    return logical_id, re.sub(r"\$\{(\w+)\}", lambda word: parameters.get(word[1], ""), description)


def environments():
    """`(logical id, environment)` of the functions that have versions."""
    for _, logical_id, function in resources("AWS::Lambda::Function", API):
        yield logical_id, function["Properties"]["Environment"]["Variables"]


class Versions(unittest.TestCase):
    def test_a_changed_parameter_of_an_environment_makes_a_new_version(self):
        for function, environment in environments():
            for parameter in named(environment, source(API)) - FOLLOWS_FROM_NAME - SECRETS:
                one, other = (version(function, **{parameter: value}) for value in ("one", "other"))
                self.assertNotEqual(one, other, f"{function}: {parameter}")

    def test_a_changed_property_makes_a_new_version(self):
        for _, logical_id, function in source_functions():
            if logical_id in dict(environments()):
                self.assertIs(function["Properties"]["AutoPublishAliasAllProperties"], True, logical_id)

    def test_a_version_is_only_made_where_something_besides_its_description_changed(self):
        for function, environment in environments():
            description = next(
                found["Properties"]["Description"] for _, _, found in resources("AWS::Lambda::Version", API)
                if found["Properties"]["FunctionName"] == {"Ref": function})
            self.assertLessEqual(named(description, source(API)), named(environment, source(API)), function)

    def test_a_replaced_secret_makes_new_versions(self):
        output = source(PATHS["data"])["Outputs"]["SecretsRevision"]["Value"]
        self.assertEqual({value["Ref"] for _, value in walk(output) if isinstance(value, dict) and set(value) == {"Ref"}}, SECRETS)
        given = source(ROOT)["Resources"]["Api"]["Properties"]["Parameters"]["Revision"]
        self.assertEqual(given, {"Fn::Sub": "${Revision} ${Data.Outputs.SecretsRevision}"})

    def test_what_follows_from_the_name_does(self):
        kept = source(PATHS["data"])["Resources"]
        self.assertEqual(kept["Database"]["Properties"]["DBInstanceIdentifier"], {"Ref": "Name"})
        self.assertEqual(kept["Cache"]["Properties"]["ServerlessCacheName"], {"Ref": "Name"})
        self.assertEqual(kept["CacheUser"]["Properties"]["UserName"], {"Fn::Sub": "${Name}-app"})
        given = source(ROOT)["Resources"]["Api"]["Properties"]["Parameters"]
        self.assertEqual(given["AppOriginSecretName"], {"Fn::Sub": "${Name}/app-origin"})

    def test_the_longest_parameters_fit_into_a_versions_description(self):
        root = source(ROOT)["Parameters"]
        longest = {parameter: of["MaxLength"] for parameter, of in root.items() if "MaxLength" in of}
        longest |= {
            "Ipv6Only": len("false"),
            "AppOrigin": max(len("https://") + longest["DomainName"], len("secret:/app-origin") + longest["Name"]),
            # An ARN of a secret ends in six characters.
            "Revision": int(re.search(r",(\d+)\}", root["Revision"]["AllowedPattern"])[1]) + len(" ") + 6 * len(SECRETS),
        }
        for function, environment in environments():
            words = {word: "x" * longest[word] for word in named(environment, source(API)) - FOLLOWS_FROM_NAME - SECRETS}
            self.assertLessEqual(len(version(function, **words)[1]), DESCRIPTION_LIMIT, function)
