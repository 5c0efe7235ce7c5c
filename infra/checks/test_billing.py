"""Selling plans: off by default, and what exists only where they are sold."""

import json
import re
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from unittest.mock import patch

from botocore.exceptions import ClientError
from templates import NESTED, REPOSITORY, ROOT, TEMPLATES, resources, source, transformed
from test_metrics import watched
from test_permissions import documents
from test_references import references
from test_versions import evaluated

PATHS = {path.stem: path for path in NESTED}
# The fields of Cashfree's secret that each function reads, by variable.
READS = {
    "OrdersFunction": {"CASHFREE_CLIENT_ID": "clientId", "CASHFREE_CLIENT_SECRET": "clientSecret"},
    "WebhookFunction": {"CASHFREE_CLIENT_SECRET": "clientSecret", "CASHFREE_WEBHOOK_SECRETS": "webhookSecrets"},
    "SweepFunction": {"CASHFREE_CLIENT_ID": "clientId", "CASHFREE_CLIENT_SECRET": "clientSecret"},
}
WEBHOOK = "/api/webhooks/cashfree"

# A program, so its name has no `.py`.
loader = SourceFileLoader("preflight", str(REPOSITORY / "infra/preflight"))
preflight = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(preflight)


def variables(function):
    return function["Properties"]["Environment"]["Variables"]


def roles(function):
    """The roles as which a function logs in to Postgres, by variable."""
    urls = {name: value["Fn::Sub"] for name, value in variables(function).items() if name.endswith("DATABASE_URL") and "Fn::Sub" in value}
    return {name: re.match(r"postgres://(\w+)@", url)[1] for name, url in urls.items()}


def names_the_secret(value):
    return "CashfreeSecretName" in json.dumps(value)


def where_nothing_is_sold(value):
    """A value as it is in a deployment without Cashfree's secret."""
    if isinstance(value, list):
        return [where_nothing_is_sold(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.get("Fn::If", [None])[0] == "SellsPlans":
        return where_nothing_is_sold(value["Fn::If"][2])
    return {key: where_nothing_is_sold(inner) for key, inner in value.items()}


def kept_where_nothing_is_sold(path):
    """A template's resources, by logical id, as they are in such a deployment."""
    written = transformed(path)["Resources"].items()
    return {logical_id: where_nothing_is_sold(resource) for logical_id, resource in written if resource.get("Condition") != "SellsPlans"}


def accepted(**parameters):
    """Whether the root's rules accept these parameters."""
    root = source(ROOT)
    known = {name: of.get("Default", "") for name, of in root["Parameters"].items()} | parameters
    return all(
        evaluated(assertion["Assert"], root, known)
        for rule in root["Rules"].values() if evaluated(rule["RuleCondition"], root, known)
        for assertion in rule["Assertions"])


def matches(statement, uri):
    """Whether a statement of the firewall matches a path; knows those that name one."""
    if "NotStatement" in statement:
        return not matches(statement["NotStatement"]["Statement"], uri)
    match = statement["ByteMatchStatement"]
    assert match["FieldToMatch"] == {"UriPath": {}} and match["PositionalConstraint"] == "ENDS_WITH"
    return uri.endswith(match["SearchString"])


class Billing(unittest.TestCase):
    def test_a_deploy_needs_three_parameters_and_sells_nothing_by_default(self):
        parameters = source(ROOT)["Parameters"]
        self.assertEqual({name for name, of in parameters.items() if "Default" not in of}, {"DomainName", "SenderAddress", "OpenRouterSecretName"})
        self.assertEqual(parameters["CashfreeSecretName"]["Default"], "")
        self.assertEqual(parameters["CashfreeMode"]["Default"], "sandbox")

    def test_selling_is_refused_where_there_is_no_ipv4(self):
        self.assertTrue(accepted(NatMode="none"))
        self.assertFalse(accepted(NatMode="none", CashfreeSecretName="chat/cashfree"))
        for nat in ("gateway", "instance"):
            self.assertTrue(accepted(NatMode=nat, CashfreeSecretName="chat/cashfree"), nat)

    def test_sellsplans_is_the_same_everywhere(self):
        selling = {"Fn::Not": [{"Fn::Equals": [{"Ref": "CashfreeSecretName"}, ""]}]}
        passed_on = {"Fn::Equals": [{"Ref": "SellsPlans"}, "true"]}
        for path, condition in ((ROOT, selling), (PATHS["api"], selling), (PATHS["async"], selling), (PATHS["edge"], passed_on), (PATHS["alarms"], passed_on)):
            self.assertEqual(source(path)["Conditions"]["SellsPlans"], condition, path)
        stacks = source(ROOT)["Resources"]
        for stack in ("Edge", "Alarms"):
            self.assertEqual(stacks[stack]["Properties"]["Parameters"]["SellsPlans"], {"Fn::If": ["SellsPlans", "true", "false"]}, stack)

    def test_without_its_name_no_variable_refers_to_the_secret_and_no_function_may_read_it(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            named = {variable: value for variable, value in variables(function).items() if names_the_secret(value)}
            expected = {
                variable: {"Fn::If": ["SellsPlans", {"Fn::Sub": f"secret:${{CashfreeSecretName}}#{field}"}, ""]}
                for variable, field in READS.get(logical_id, {}).items()}
            self.assertEqual(named, expected, logical_id)
            may_read = any(names_the_secret(document) for document in documents(path, function))
            self.assertEqual(may_read, logical_id in READS, logical_id)
        for path in TEMPLATES:
            for logical_id, resource in kept_where_nothing_is_sold(path).items():
                if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
                    self.assertFalse(names_the_secret(resource), logical_id)

    def test_nothing_refers_to_what_exists_only_where_plans_are_sold(self):
        for path in TEMPLATES:
            kept = kept_where_nothing_is_sold(path)
            left_out = set(transformed(path)["Resources"]) - set(kept)
            self.assertFalse({logical_id for _, logical_id in references({"Resources": kept})} & left_out, path)

    def test_functions_log_in_as_the_role_of_their_work(self):
        # A user's request never writes what fulfilment writes, and what is reached without a session never sees a chat.
        expected = {
            "OrdersFunction": {"DATABASE_URL": "app_user", "MONEY_DATABASE_URL": "app_money"},
            "WebhookFunction": {"MONEY_DATABASE_URL": "app_money"},
            "SweepFunction": {"DATABASE_URL": "app_job"},
        }
        for _, logical_id, function in resources("AWS::Lambda::Function"):
            found = roles(function)
            if found:
                self.assertEqual(found, expected.get(logical_id, {"DATABASE_URL": "app_user"}), logical_id)
        [webhook] = [function for _, logical_id, function in resources("AWS::Lambda::Function") if logical_id == "WebhookFunction"]
        self.assertFalse({"CACHE_URL", "SESSION_KEYS"} & set(variables(webhook)))

    def test_the_firewall_looks_into_every_body_but_the_webhooks(self):
        rules = source(PATHS["firewall"])["Resources"]["Firewall"]["Properties"]["Rules"]
        groups = [rule["Statement"]["ManagedRuleGroupStatement"] for rule in rules if "ManagedRuleGroupStatement" in rule["Statement"]]
        self.assertEqual(len(groups), 2)
        for group in groups:
            # With and without the stage's name.
            for path, looked_at in {
                WEBHOOK: False, f"/live{WEBHOOK}": False, "/api/chat": True, "/live/api/orders": True, f"{WEBHOOK}/": True, f"{WEBHOOK}/x": True,
            }.items():
                self.assertEqual(matches(group["ScopeDownStatement"], path), looked_at, f"{group['Name']} {path}")
        # The front door has no exception.
        [first] = [rule for rule in rules if rule["Priority"] == 0]
        self.assertEqual(list(first["Action"]), ["Block"])
        match = first["Statement"]["NotStatement"]["Statement"]["ByteMatchStatement"]
        self.assertEqual(match["FieldToMatch"], {"SingleHeader": {"Name": "x-origin-secret"}})

    def test_alarms_on_payments_cover_every_function_that_records_them(self):
        fulfils = {
            function["Properties"]["FunctionName"]["Fn::Sub"] for _, _, function in resources("AWS::Lambda::Function")
            if {"app_money", "app_job"} & set(roles(function).values())}
        calls = {
            function["Properties"]["FunctionName"]["Fn::Sub"] for _, _, function in resources("AWS::Lambda::Function")
            if "CASHFREE_CLIENT_ID" in variables(function)}
        seen = set(watched())
        self.assertEqual({function for metric, function in seen if metric == "PaymentMismatch"}, fulfils)
        self.assertEqual({function for metric, function in seen if metric == "PaymentsMisconfigured"}, calls)

    def test_what_costs_money_by_the_month_exists_only_where_plans_are_sold(self):
        for _, logical_id, alarm in [*resources("AWS::CloudWatch::Alarm", PATHS["alarms"]), *resources("AWS::CloudWatch::Dashboard", PATHS["alarms"])]:
            text = json.dumps(alarm)
            of_payments = any(metric in text for metric in ("Deliveries", "Payment", "OrdersStuck", "WebhookRefused"))
            self.assertEqual(alarm.get("Condition") == "SellsPlans", of_payments, logical_id)


class Preflight(unittest.TestCase):
    """Cashfree's secret, before a deploy begins to use it."""

    def refusal(self, secret, **parameters):
        """What the check says of a secret with this text, or of none."""
        with patch("boto3.client") as client:
            get = client.return_value.get_secret_value
            get.return_value = {"SecretString": secret}
            if secret is None:
                get.side_effect = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
            return preflight.cashfree({"CashfreeSecretName": "chat/cashfree"} | parameters)

    def test_it_asks_for_what_functions_read(self):
        self.assertEqual(set(preflight.CASHFREE_FIELDS), {field for fields in READS.values() for field in fields.values()})

    def test_a_complete_secret_is_accepted(self):
        whole = {"clientId": "id", "clientSecret": "secret", "webhookSecrets": ""}
        self.assertIsNone(self.refusal(json.dumps(whole)))
        self.assertIsNone(self.refusal(json.dumps(whole | {"webhookSecrets": "new,old"})))
        self.assertIsNone(self.refusal(None, CashfreeSecretName=""))

    def test_a_secret_that_would_keep_functions_from_starting_is_refused_without_being_shown(self):
        whole = {"clientId": "hunter2", "clientSecret": "hunter2", "webhookSecrets": "hunter2"}
        wrong = [json.dumps({k: v for k, v in whole.items() if k != field}) for field in whole]
        wrong += [json.dumps(whole | {field: ""}) for field in ("clientId", "clientSecret")]
        wrong += [json.dumps(whole | {"webhookSecrets": ["hunter2"]}), "hunter2", '"hunter2"', "[]"]
        for secret in wrong:
            said = self.refusal(secret)
            self.assertIn("chat/cashfree", said)
            self.assertNotIn("hunter2", said)
        self.assertIn("no secret chat/cashfree", self.refusal(None))
