"""Versions of functions: a changed parameter publishes a new one, which then gets the requests."""

import re
import unittest

from templates import NESTED, ROOT, resources, source, source_functions, transformed, walk

PATHS = {path.stem: path for path in NESTED}
API = PATHS["api"]
# Parameters that follow from the deployment's name: functions have it in their own names, and are replaced with
# it.
FOLLOWS_FROM_NAME = {"Name", "CacheUrl", "CacheName", "CacheUserName", "DatabaseEndpoint", "AppOriginSecretName"}
# Outputs of data.yaml of which the root puts parts into Revision: the ARNs of secrets and of the vault's keys.
IN_REVISION = {"SessionKeys", "LoginPepper", "OriginSecret", "VaultKeys"}
# The names of a table and of a bucket that are only replaced deliberately, together with a change of Revision
# (docs/operations.md).
REPLACED_BY_HAND = {"Inbox", "Uploads"}
SAID_ELSEWHERE = FOLLOWS_FROM_NAME | IN_REVISION | REPLACED_BY_HAND
DESCRIPTION_LIMIT = 256


def named(value, template):
    """The parameters that a value depends on, also through conditions."""
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


def evaluated(value, template, known):
    """Evaluates a value as CloudFormation does, given the references' values; knows the functions in data.yaml's outputs."""
    if isinstance(value, list):
        return [evaluated(inner, template, known) for inner in value]
    if not isinstance(value, dict):
        return value
    (function, argument), = value.items()
    if function == "Fn::If":
        condition, *branches = argument
        holds = evaluated(template["Conditions"][condition], template, known)
        return evaluated(branches[0 if holds else 1], template, known)
    argument = evaluated(argument, template, known)
    return {
        "Ref": lambda: known[argument],
        "Fn::GetAtt": lambda: known[".".join(argument)],
        "Fn::Sub": lambda: re.sub(r"\$\{([\w.]+)\}", lambda word: known[word[1]], argument),
        "Fn::Join": lambda: argument[0].join(argument[1]),
        "Fn::Split": lambda: argument[1].split(argument[0]),
        "Fn::Select": lambda: argument[1][argument[0]],
        "Fn::Equals": lambda: argument[0] == argument[1],
        "Fn::Not": lambda: not argument[0],
    }[function]()


def vault_key(identifier):
    return f"arn:aws:kms:ap-south-1:111122223333:key/{identifier}"


OWN, OTHER = vault_key("1234abcd-12ab-34cd-56ef-1234567890ab"), vault_key("98fe76dc-98fe-76dc-54ba-0987654321fe")


def secrets_revision(vault_keys):
    """The output that is part of Revision, with the stack's own vault key or with others."""
    data = source(PATHS["data"])
    known = {
        secret: f"arn:aws:secretsmanager:ap-south-1:111122223333:secret:{secret}-1a2B3c4D5e6F-AbCdEf"
        for secret in IN_REVISION - {"VaultKeys"}
    }
    known |= {"VaultKeys": vault_keys, "VaultKey.Arn": OWN}
    return evaluated(data["Outputs"]["SecretsRevision"]["Value"], data, known)


def environments():
    """`(logical id, environment)` of the functions that have versions."""
    for _, logical_id, function in resources("AWS::Lambda::Function", API):
        yield logical_id, function["Properties"]["Environment"]["Variables"]


class Versions(unittest.TestCase):
    def test_a_changed_parameter_of_an_environment_makes_a_new_version(self):
        for function, environment in environments():
            for parameter in named(environment, source(API)) - SAID_ELSEWHERE:
                one, other = (version(function, **{parameter: value}) for value in ("one", "other"))
                self.assertNotEqual(one, other, f"{function}: {parameter}")

    def test_a_changed_property_makes_a_new_version(self):
        everyones = source(API)["Globals"]["Function"]
        for _, logical_id, function in source_functions():
            if logical_id in dict(environments()):
                properties = everyones | function["Properties"]
                self.assertIs(properties["AutoPublishAliasAllProperties"], True, logical_id)

    def test_changed_concurrency_makes_no_new_version(self):
        # Lambda refuses a version with the code and the configuration of the one before. Another transform in front of
        # SAM's could replace the parameters that SAM compares by name.
        self.assertEqual(source(API)["Transform"], "AWS::Serverless-2016-10-31")
        for function, _ in environments():
            for one, other in (({"Size": "small"}, {"Size": "medium"}), ({"ReserveConcurrency": "true"}, {"ReserveConcurrency": "false"})):
                self.assertEqual(version(function, **one), version(function, **other), function)

    def test_a_version_never_differs_in_its_description_only(self):
        for function, environment in environments():
            description = next(
                found["Properties"]["Description"] for _, _, found in resources("AWS::Lambda::Version", API)
                if found["Properties"]["FunctionName"] == {"Ref": function})
            self.assertLessEqual(named(description, source(API)), named(environment, source(API)), function)

    def test_a_replaced_secret_makes_new_versions(self):
        output = source(PATHS["data"])["Outputs"]["SecretsRevision"]["Value"]
        self.assertEqual({value["Ref"] for _, value in walk(output) if isinstance(value, dict) and set(value) == {"Ref"}}, IN_REVISION)
        given = source(ROOT)["Resources"]["Api"]["Properties"]["Parameters"]["Revision"]
        self.assertEqual(given, {"Fn::Sub": "${Revision} ${Data.Outputs.SecretsRevision}"})

    def test_each_step_of_the_vaults_key_rotation_makes_new_versions(self):
        steps = ["", f"{OWN},{OTHER}", f"{OTHER},{OWN}", OTHER]
        parameter = source(ROOT)["Parameters"]["VaultKeys"]
        for step in steps:
            self.assertRegex(step, parameter["AllowedPattern"])
        for wrong in (f"{OWN},", f"{OWN},{OTHER},{OWN}", f"{OWN} {OTHER}", OWN.replace("key/", "alias/"), vault_key("mrk-" + 32 * "a")):
            self.assertNotRegex(wrong, parameter["AllowedPattern"])
        revisions = [secrets_revision(step) for step in steps]
        self.assertEqual(len(set(revisions)), len(steps), revisions)
        # Naming the stack's own key changes nothing for functions.
        self.assertEqual(secrets_revision(OWN), revisions[0])

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
            **{name: max(map(len, root[name]["AllowedValues"])) for name in ("CashfreeMode", "PdfEngine")},
            "AppOrigin": max(len("https://") + longest["DomainName"], len("secret:/app-origin") + longest["Name"]),
            "Revision": int(re.search(r",(\d+)\}", root["Revision"]["AllowedPattern"])[1]) + len(" " + secrets_revision(f"{OWN},{OTHER}")),
        }
        for function, environment in environments():
            words = {word: "x" * longest[word] for word in named(environment, source(API)) - SAID_ELSEWHERE}
            self.assertLessEqual(len(version(function, **words)[1]), DESCRIPTION_LIMIT, function)
